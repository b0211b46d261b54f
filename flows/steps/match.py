"""Match: the contracts that a change or the passing of time touches, their facts as columns, evaluated.

Everything comes from the store in a few wide queries; bindings connect slots with milestones, and the
changes of those milestones become the changes of slots on the contract's own calendar days (D5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch, wanted_ids
from flows.steps.changes import ACCEPTED, DONE, PERCENT
from flows.steps.evaluation.batch import Batch, from_bytes, ranges
from flows.steps.evaluation.columns import NEVER, Days, Ints
from flows.steps.evaluation.days import Calendars
from flows.steps.evaluation.facts import Changes, Claims, Facts
from flows.steps.evaluation.run import Evaluation, evaluate
from models.domain.calendars_spec import CalendarSpec

#: Contracts evaluated at once: columns of a few tens of thousands of terms stay small in memory.
CHUNK = 20_000

#: Gives the calendars of these names.
CalendarsOf = Callable[[Sequence[str]], Mapping[str, CalendarSpec]]

#: What people record may commit a little after the moment it carries: look back this far (microseconds).
SLACK = 120_000_000

_TOUCHED = """
SELECT c.id FROM contracts c LEFT JOIN standing s ON s.contract_id = c.id
WHERE c.active AND (s.contract_id IS NULL OR s.version_id <> c.version_id OR s.next_look <= :as_of OR s.as_of > :as_of)
UNION SELECT c.id FROM contracts c WHERE c.active AND c.id IN (
SELECT b.contract_id FROM bindings b JOIN standing s ON s.contract_id = b.contract_id
  JOIN milestones m ON m.id = b.milestone_id WHERE m.changed_at > s.evaluated_at
UNION SELECT b.contract_id FROM bindings b JOIN standing s ON s.contract_id = b.contract_id WHERE b.recorded_at > s.evaluated_at
UNION SELECT f.contract_id FROM facts f JOIN standing s ON s.contract_id = f.contract_id WHERE f.recorded_at >= s.evaluated_at - :slack
)
UNION SELECT i.contract_id FROM invoices i JOIN standing s ON s.contract_id = i.contract_id WHERE i.recorded_at >= s.evaluated_at - :slack
UNION SELECT r.contract_id FROM receipts r JOIN standing s ON s.contract_id = r.contract_id WHERE r.recorded_at >= s.evaluated_at - :slack
UNION SELECT k.contract_id FROM credits k JOIN standing s ON s.contract_id = k.contract_id WHERE k.recorded_at >= s.evaluated_at - :slack
UNION SELECT v.contract_id FROM interventions v JOIN standing s ON s.contract_id = v.contract_id WHERE v.recorded_at >= s.evaluated_at - :slack
"""


def touched(connection: Connection, as_of: int) -> list[int]:
    """Contracts to evaluate tonight; evaluating the others again would change nothing.

    One that no file holds any more gets no records; its money is still followed.
    """
    return sorted(r[0] for r in fetch(connection, _TOUCHED, {"as_of": as_of, "slack": SLACK}))


def all_active(connection: Connection) -> list[int]:
    """Every contract in force."""
    return [r[0] for r in fetch(connection, "SELECT id FROM contracts WHERE active ORDER BY id")]


def chunks(ids: Sequence[int], size: int = CHUNK) -> Iterator[Sequence[int]]:
    """Parts small enough for memory."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


@dataclass(frozen=True, slots=True)
class Head:
    """What the outputs need of a contract."""

    id: int
    number: str
    customer: str
    currency: str
    manager: str | None
    version_id: int
    active: bool = True  # does a file still hold it?


@dataclass(frozen=True, slots=True)
class Source:
    """What fills a slot: the binding behind it."""

    kind: str
    connection: str | None
    milestone_id: int | None
    what: int = DONE  # which of the milestone's changes fill it


@dataclass(frozen=True, slots=True)
class Proof:
    """One true change of a milestone: who, how sure, from where."""

    what: int
    by: str | None
    provenance: str
    grade: int
    url: str | None


class Recorded(NamedTuple):
    """What a person said of an event: from which day it holds, or does not."""

    day: int
    holds: bool
    by: str
    source: str


@dataclass(frozen=True, slots=True)
class Matched:
    """A chunk of contracts with its facts and its evaluation."""

    heads: tuple[Head, ...]
    term_ids: tuple[int, ...]
    term_codes: tuple[str, ...]
    term_names: tuple[str, ...]
    batch: Batch
    facts: Facts
    calendars: Calendars
    out: Evaluation
    sources: Mapping[int, Source]  # by slot
    records: Mapping[tuple[int, str], Sequence[Recorded]]  # (contract id, event) -> what people recorded of it


def match(
    connection: Connection,
    ids: Sequence[int],
    as_of: int,
    calendars_of: CalendarsOf,
    known_at: int | None = None,
) -> Matched:
    """Evaluate contracts as of a day, from what the store knows (or knew at `known_at`)."""
    table = wanted_ids(connection, ids)
    rows = fetch(
        connection,
        "SELECT c.id, c.number, c.customer, c.currency, c.project_manager, c.version_id, c.active, v.compiled FROM contracts c "
        f"JOIN {table} w ON w.id = c.id JOIN contract_versions v ON v.id = c.version_id ORDER BY c.id",
    )
    heads = tuple(Head(*r[:7]) for r in rows)
    batch = from_bytes([bytes(r[7]) for r in rows])
    terms = fetch(
        connection,
        f"SELECT t.id, t.code, t.name, t.contract_id, t.position FROM terms t JOIN {table} w ON w.id = t.contract_id ORDER BY t.contract_id, t.position, t.id",
    )
    kept = _current_terms(terms, heads, batch)
    loader = _Loader(connection, table, heads, batch, known_at or 2**62)
    facts, sources, records = loader.facts([t[0] for t in kept])
    calendars = Calendars.named(batch.calendars, calendars_of(batch.calendars))
    out = evaluate(batch, facts, calendars, as_of)
    return Matched(
        heads, tuple(t[0] for t in kept), tuple(t[1] for t in kept), tuple(t[2] for t in kept),
        batch, facts, calendars, out, sources, records,
    )  # fmt: skip


def _current_terms(rows: Sequence[tuple[Any, ...]], heads: Sequence[Head], batch: Batch) -> list[tuple[Any, ...]]:
    """The terms of the current versions. A version with fewer terms leaves the later ones' rows behind."""
    own: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        own.setdefault(row[3], []).append(row)
    kept: list[tuple[Any, ...]] = []
    for head, count in zip(heads, np.diff(batch.term_at).tolist(), strict=True):
        kept += own[head.id][:count]
    return kept


class _Loader:
    """Fills the columns of facts for one chunk."""

    def __init__(self, connection: Connection, table: str, heads: Sequence[Head], batch: Batch, known_at: int) -> None:
        self.connection, self.table, self.batch, self.known_at = connection, table, batch, known_at
        self.position = {h.id: i for i, h in enumerate(heads)}
        self.planned = np.full(batch.slots, NEVER, dtype=np.int32)
        self.slot: list[Ints] = []
        self.day: list[Days] = []
        self.value: list[np.ndarray] = []
        self.stated: list[tuple[int, int, bool]] = []  # by the contract: (slot, day, holds)

    def facts(self, term_ids: Sequence[int]) -> tuple[Facts, dict[int, Source], dict[tuple[int, str], list[Recorded]]]:
        """All facts of the chunk."""
        sources = self._bindings()
        records = self._recorded()
        empty = np.zeros(0, dtype=np.int64)
        slot, day, value = (np.concatenate(x) if x else empty for x in (self.slot, self.day, self.value))
        changes = Changes.build(self.batch.slots, slot.astype(np.int64), day.astype(np.int32), value.astype(bool))
        return Facts(changes, self.planned, self._claims(term_ids)), sources, records

    def _add(self, slots: Sequence[int], days: Sequence[int], values: Sequence[bool]) -> None:
        if len(slots):
            self.slot.append(np.asarray(slots, dtype=np.int64))
            self.day.append(np.asarray(days, dtype=np.int32))
            self.value.append(np.asarray(values, dtype=bool))

    # --- bindings and milestones ---

    def _bindings(self) -> dict[int, Source]:
        rows = fetch(
            self.connection,
            "SELECT b.contract_id, b.event, b.kind, b.connection, b.milestone_id, b.accepted, b.threshold_bp, b.min_grade, b.day, "
            f"b.until_day, b.amount, m.planned_day FROM bindings b JOIN {self.table} w ON w.id = b.contract_id "
            "LEFT JOIN milestones m ON m.id = b.milestone_id",
        )
        by_event: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
        for row in rows:
            by_event.setdefault((self.position[row[0]], row[1]), []).append(row)
        wanted: list[tuple[int, int, int, int, int]] = []  # slot, milestone, what, threshold, least grade
        sources: dict[int, Source] = {}
        for position, names in enumerate(self.batch.slot_names):
            for slot, name in enumerate(names, start=int(self.batch.slot_at[position])):
                for row in by_event.get((position, _event_of(name)), ()):
                    self._one(slot, name, row, wanted, sources)
        if self.stated:
            self._add(*zip(*self.stated, strict=True))
        self._milestones(np.array(wanted, dtype=np.int64).reshape(-1, 5))
        return sources

    def _one(
        self,
        slot: int,
        name: str,
        row: tuple[Any, ...],
        wanted: list[tuple[int, int, int, int, int]],
        sources: dict[int, Source],
    ) -> None:
        _, _, kind, source, milestone, accepted, threshold, grade, day, until, amount, planned = row
        if (kind == "guarantee") != name.startswith("g:"):
            return
        what = PERCENT if kind == "progress" else ACCEPTED if accepted else DONE
        sources[slot] = Source(kind, source, milestone, what)
        if kind == "guarantee":
            if day is not None and amount >= int(name.split(":", 2)[1]):
                self.stated.append((slot, day, True))
                if until is not None:
                    self.stated.append((slot, until + 1, False))
        elif kind == "date":
            self.stated.append((slot, day, True))
            self.planned[slot] = day
        elif milestone is not None:
            bound = threshold if threshold is not None else 10_000
            if name.startswith("p:"):
                bound = ceil(Fraction(name.split(":", 2)[1]) * 10_000)  # never below what is demanded
            wanted.append((slot, milestone, what, bound, grade or 0))
            if planned is not None:
                self.planned[slot] = planned

    def _milestones(self, wanted: Ints) -> None:
        """The changes of the bound milestones, on each contract's own days."""
        if not len(wanted):
            return
        changes = self._changes(np.unique(wanted[:, 1]))
        if not len(changes):
            return
        key = changes[:, 0] * 4 + changes[:, 1]
        want = wanted[:, 1] * 4 + wanted[:, 2]
        first = np.searchsorted(key, want, side="left")
        count = np.searchsorted(key, want, side="right") - first
        rows = changes[ranges(first, count)]
        owner = np.repeat(np.arange(len(wanted)), count)
        slot = wanted[owner, 0]
        percent = wanted[owner, 2] == PERCENT
        true = np.where(percent, rows[:, 4] >= wanted[owner, 3], rows[:, 4] > 0)
        true &= rows[:, 6] >= wanted[owner, 4]
        contract = self.batch.slot_contract()[slot]
        day = self._local_days(rows[:, 2], rows[:, 3], self.batch.timezone[contract])
        # A corrected date replaces the change before it.
        last = np.r_[owner[1:] != owner[:-1], True] if len(owner) else np.zeros(0, dtype=bool)
        replaced = np.r_[rows[1:, 5] > 0, False] & ~last
        keep = ~replaced
        self._add(slot[keep], day[keep], true[keep])

    def _changes(self, milestones: Ints) -> Ints:
        """(milestone, what, at, day, value, corrects, grade), in order; -1 for no `at` or `day`."""
        table = "_milestones_wanted"
        self.connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id BIGINT PRIMARY KEY)")
        self.connection.exec_driver_sql(f"DELETE FROM {table}")
        _fill(self.connection, table, milestones)
        rows = fetch(
            self.connection,
            "SELECT c.milestone_id, c.what, COALESCE(c.at, -1), COALESCE(c.day, -1), c.value, CASE WHEN c.corrects THEN 1 ELSE 0 END, c.grade "
            f"FROM milestone_changes c JOIN {table} w ON w.id = c.milestone_id WHERE c.recorded_at <= :known ORDER BY c.milestone_id, c.what, c.id",
            {"known": self.known_at},
        )
        return np.array(rows, dtype=np.int64).reshape(-1, 7)

    def _local_days(self, at: Ints, day: Ints, zone: Ints) -> Days:
        out = day.copy()
        for code, name in enumerate(self.batch.timezones):
            pick = np.flatnonzero((at >= 0) & (zone == code))
            if len(pick):
                out[pick] = local_days(at[pick], name)
        return out.astype(np.int32)

    # --- what people recorded ---

    def _recorded(self) -> dict[tuple[int, str], list[Recorded]]:
        """Events by hand, documents and sign-offs; a fact names an event, or a document or role bound to one."""
        rows = fetch(
            self.connection,
            "SELECT f.contract_id, f.event, COALESCE(f.at, -1), COALESCE(f.day, -1), f.value, f.by, f.source FROM facts f "
            f"JOIN {self.table} w ON w.id = f.contract_id WHERE f.recorded_at <= :known ORDER BY f.id",
            {"known": self.known_at},
        )
        found: dict[tuple[int, str], list[Recorded]] = {}
        slots: dict[tuple[int, str], int] = {}
        if rows:
            for position, names in enumerate(self.batch.slot_names):
                for slot, name in enumerate(names, start=int(self.batch.slot_at[position])):
                    slots[position, f"approved:{name[2:]}" if name.startswith("a:") else _event_of(name)] = slot
        for contract, event, at, day, value, by, source in rows:
            position = self.position[contract]
            target = slots.get((position, event))
            if target is not None:
                zone = self.batch.timezones[int(self.batch.timezone[position])]
                local = day if at < 0 else int(local_days(np.array([at]), zone)[0])
                self._add([target], [local], [bool(value)])
                found.setdefault((contract, event), []).append(Recorded(local, bool(value), by, source))
        return found

    # --- claims ---

    def _claims(self, term_ids: Sequence[int]) -> Claims:
        index = {t: i for i, t in enumerate(term_ids)}
        claims = Claims.none(len(term_ids))
        for term, issued, received, gross, number, credit in fetch(
            self.connection,
            "SELECT i.term_id, i.issued_day, i.received_day, i.gross, i.number, (SELECT SUM(k.gross) FROM credits k "
            "WHERE k.invoice_id = i.id AND k.recorded_at <= :known) AS credit "
            f"FROM invoices i JOIN {self.table} w ON w.id = i.contract_id "
            "WHERE i.cancelled_day IS NULL AND i.recorded_at <= :known ORDER BY i.issued_day DESC, i.id DESC",
            {"known": self.known_at},
        ):
            at = index.get(term)
            # What a red invoice took back entirely was never asked for; several invoices of a term add up.
            if at is None or (credit is not None and gross is not None and credit >= gross):
                continue
            before = int(claims.amount[at]) if claims.invoiced[at] < NEVER else 0
            claims.invoiced[at], claims.received[at] = issued, NEVER if received is None else received
            claims.amount[at] = -1 if gross is None or before < 0 else before + gross - int(credit or 0)
            claims.has_frozen[at] = number == "opening"
        self._frozen(claims, index)
        self._waived(claims, index)
        return self._money(claims, index)

    def _frozen(self, claims: Claims, index: Mapping[int, int]) -> None:
        """A term invoiced on a ready record keeps the record's days (S2)."""
        for term, ready, legal in fetch(
            self.connection,
            f"SELECT r.term_id, r.ready_day, r.legal_day FROM ready_records r JOIN {self.table} w ON w.id = r.contract_id "
            "LEFT JOIN withdrawals x ON x.record_id = r.record_id WHERE x.record_id IS NULL",
        ):
            at = index.get(term)
            if at is not None and claims.invoiced[at] < NEVER:
                claims.has_frozen[at] = True
                claims.frozen_known[at], claims.frozen_legal[at] = ready, legal

    def _waived(self, claims: Claims, index: Mapping[int, int]) -> None:
        for (term,) in fetch(
            self.connection,
            f"SELECT v.term_id FROM interventions v JOIN {self.table} w ON w.id = v.contract_id WHERE v.kind = 'waive'",
        ):
            if term in index:
                claims.waived[index[term]] = True

    def _money(self, claims: Claims, index: Mapping[int, int]) -> Claims:
        rows = [
            (index[t], maturity if maturity is not None else day, gross)
            for t, day, maturity, gross in fetch(
                self.connection,
                f"SELECT r.term_id, r.day, r.maturity_day, r.gross FROM receipts r JOIN {self.table} w ON w.id = r.contract_id "
                f"WHERE r.recorded_at <= :known AND NOT (r.reverses IS NOT NULL AND r.method IN {_NEVER_WAS}) AND NOT EXISTS "
                f"(SELECT 1 FROM receipts x WHERE x.reverses = r.id AND x.method IN {_NEVER_WAS} AND x.recorded_at <= :known)",
                {"known": self.known_at},
            )
            if t in index
        ]
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return Claims(
            claims.invoiced, claims.received, claims.amount, claims.has_frozen, claims.frozen_legal, claims.frozen_known,
            table[:, 0], table[:, 1].astype(np.int32), table[:, 2], claims.waived,
        )  # fmt: skip


#: Reversals that say the money never came; others take it back from their day on.
_NEVER_WAS = "('undone', 'opening')"


def _event_of(slot: str) -> str:
    kind, _, rest = slot.partition(":")
    return rest.partition(":")[2] if kind in "pg" else rest


def _fill(connection: Connection, table: str, ids: Ints) -> None:
    cursor = connection.connection.cursor()
    if connection.dialect.name == "sqlite":
        cursor.executemany(f"INSERT INTO {table} VALUES (?)", [(i,) for i in ids.tolist()])
    else:
        with cursor.copy(f"COPY {table} (id) FROM STDIN") as copy:
            for i in ids.tolist():
                copy.write_row((i,))
    cursor.close()


def local_days(at: Ints, timezone: str) -> Ints:
    """Day numbers of instants (epoch seconds) in a time zone."""
    local = pd.DatetimeIndex(at.astype("datetime64[s]"), tz="UTC").tz_convert(timezone).tz_localize(None)
    return local.to_numpy().astype("datetime64[D]").astype(np.int64)


def next_look(matched: Matched, as_of: int) -> Ints:
    """By contract: the next day on which something may change by time alone (NEVER: none)."""
    batch, out = matched.batch, matched.out
    first = np.full(batch.contracts, NEVER, dtype=np.int64)
    for owner, day in (
        (batch.node_contract(), out.nodes.known.astype(np.int64)),
        (
            batch.slot_contract()[np.repeat(np.arange(batch.slots), np.diff(matched.facts.changes.at))],
            matched.facts.changes.day.astype(np.int64),
        ),
        (
            np.repeat(np.arange(batch.contracts), np.diff(batch.amendment_at)),
            batch.amendments["effective"].astype(np.int64),
        ),
        (batch.term_contract(), matched.facts.claims.invoiced.astype(np.int64)),
        (batch.term_contract()[matched.facts.claims.money_term], matched.facts.claims.money_day.astype(np.int64)),
    ):
        ahead = day > as_of
        np.minimum.at(first, owner[ahead], day[ahead])
    # A plan that has slipped is expected tomorrow at the earliest: the forecast moves every night.
    late = matched.facts.planned <= as_of
    late &= matched.out.slots.since >= NEVER
    np.minimum.at(first, batch.slot_contract()[late], as_of + 1)
    return first
