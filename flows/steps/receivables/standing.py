"""Open terms out of the store, as columns: the current decisions, and over them what was agreed and said since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import orjson
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import NEVER, Ints, as_date, day_number
from flows.steps.followed import FOLLOWED
from flows.steps.receivables.columns import NOT_PAUSED, OpenTerms
from models.domain.receivables import ageing, dunning
from models.domain.receivables.agreements import (
    Instalment,
    Plan,
    Promise,
    PromiseState,
    latest,
    plan_broken,
    plan_open,
    promise_state,
)
from models.records.contract_file import load_contract_text

#: Where the columns of a decision's body stand.
CODE, STATUS, GROSS, DUE, OUTSTANDING = 0, 1, 5, 6, 7
OWING = frozenset({"ready", "invoiced", "part_paid"})
Key = tuple[int, str]  # contract id, term code


def to_date(number: int) -> date:
    """The date of a day number that is one."""
    found = as_date(number)
    assert found is not None
    return found


class _Codes:
    """Names to indices."""

    def __init__(self, *first: str) -> None:
        self.known: dict[str, int] = {n: i for i, n in enumerate(first)}

    def __call__(self, name: str) -> int:
        return self.known.setdefault(name, len(self.known))


@dataclass(slots=True)
class _Rows:
    contract: list[int] = field(default_factory=list)
    term: list[str] = field(default_factory=list)
    customer: list[int] = field(default_factory=list)
    currency: list[int] = field(default_factory=list)
    manager: list[int] = field(default_factory=list)
    due: list[int] = field(default_factory=list)
    open: list[int] = field(default_factory=list)


_NO_LADDERS: dunning.Ladders = {}


def open_terms(
    connection: Connection, as_of: int, ladders: dunning.Ladders = _NO_LADDERS, *, undated: bool = False
) -> OpenTerms:
    """What is open on a day, by the decisions of the last night up to it. `ladders`: of the configuration.

    `undated`: also what was invoiced and has no due date, because nobody knows when the invoice arrived.
    """
    rows, customers, currencies, managers = _Rows(), _Codes(), _Codes(), _Codes("")
    early = _Early(connection, as_of)
    for contract, customer, currency, manager, body in _bodies(connection, as_of):
        who = customers(customer), currencies(currency), managers(manager or "")
        for term in orjson.loads(body):
            if term[STATUS] not in OWING or (term[DUE] >= NEVER and not (undated and term[STATUS] != "ready")):
                continue
            ready = term[STATUS] == "ready"
            sum_ = term[GROSS] - early.paid((contract, term[CODE])) if ready else term[OUTSTANDING]
            if sum_ > 0:
                _append(rows, contract, term[CODE], who, term[DUE], sum_)
    overlay = Overlay(connection, as_of)
    size = len(rows.due)
    covered, paused, reminded = np.zeros(size, np.int64), np.full(size, NOT_PAUSED, np.int32), np.zeros(size, np.int32)
    columns = OpenTerms(
        np.array(rows.contract, np.int64), np.array(rows.term, object), np.array(rows.customer, np.int32),
        np.array(rows.currency, np.int32), np.array(rows.manager, np.int32), np.array(rows.due, np.int32),
        np.array(rows.open, np.int64), covered, np.zeros(size, np.int32), np.zeros(size, np.int32), paused, reminded,
        tuple(customers.known), tuple(currencies.known), tuple(managers.known), [], [],
    )  # fmt: skip
    return overlay.lay_over(_with_rules(connection, columns, ladders))


_EARLY = """
SELECT r.contract_id, t.code, SUM(r.gross) FROM receipts r JOIN terms t ON t.id = r.term_id
WHERE COALESCE(r.maturity_day, r.day) <= :d AND NOT EXISTS (SELECT 1 FROM invoices i
WHERE i.contract_id = r.contract_id AND i.term_id = r.term_id AND i.cancelled_day IS NULL AND i.issued_day <= :d)
GROUP BY r.contract_id, t.code
"""


class _Early:
    """Money that came before any invoice; read only where a term without one is due."""

    def __init__(self, connection: Connection, as_of: int) -> None:
        self.connection, self.as_of = connection, as_of
        self.sums: dict[Key, int] | None = None

    def paid(self, key: Key) -> int:
        """What came for a term."""
        if self.sums is None:
            self.sums = {(c, t): int(s) for c, t, s in fetch(self.connection, _EARLY, {"d": self.as_of})}
        return self.sums.get(key, 0)


def _append(rows: _Rows, contract: int, term: str, who: tuple[int, int, int], due: int, sum_: int) -> None:
    rows.contract.append(contract)
    rows.term.append(term)
    rows.customer.append(who[0])
    rows.currency.append(who[1])
    rows.manager.append(who[2])
    rows.due.append(due)
    rows.open.append(sum_)


_BODIES = f"""
SELECT c.id, c.customer, c.currency, c.project_manager, d.body FROM standing s
JOIN contracts c ON c.id = s.contract_id AND {FOLLOWED}
JOIN decisions d ON d.id = (SELECT MAX(x.id) FROM decisions x WHERE x.contract_id = s.contract_id AND x.as_of <= :d)
WHERE d.body LIKE '%"invoiced"%' OR d.body LIKE '%"part_paid"%' OR d.body LIKE '%"ready"%' ORDER BY c.id
"""


def _bodies(connection: Connection, as_of: int) -> Sequence[tuple[Any, ...]]:
    """The decisions in force on a day that may hold something open."""
    return fetch(connection, _BODIES, {"d": as_of})


def _with_rules(connection: Connection, terms: OpenTerms, configured: dunning.Ladders) -> OpenTerms:
    """The ladders and buckets of the contracts that name some or their customer's class; the others have the standard."""
    ladders: list[Sequence[dunning.Step]] = [dunning.ladder_of(configured, dunning.DEFAULT_CLASS)]
    sets: list[Sequence[ageing.Bucket]] = [ageing.STANDARD]
    for contract, text in fetch(
        connection,
        "SELECT c.id, v.long_form FROM contracts c JOIN contract_versions v ON v.id = c.version_id "
        f"WHERE {FOLLOWED} AND (v.long_form LIKE '%ladder%' OR v.long_form LIKE '%ageing%' "
        "OR v.long_form LIKE '%customer_class%') ORDER BY c.id",
    ):
        loaded = load_contract_text(text, "").contracts
        own = _of_contract(terms, contract)
        if loaded and own.stop > own.start:
            rules = loaded[0].rules
            agreed = rules.ladder if "ladder" in rules.stated else dunning.ladder_of(configured, rules.customer_class)
            terms.ladder[own] = _index(ladders, agreed)
            terms.bucket_set[own] = _index(sets, loaded[0].rules.ageing)
    return replace(terms, ladders=tuple(ladders), bucket_sets=tuple(sets))


def _index(known: list[Any], one: Any) -> int:
    if one not in known:
        known.append(one)
    return known.index(one)


def _of_contract(terms: OpenTerms, contract: int) -> slice:
    return slice(
        int(np.searchsorted(terms.contract, contract, side="left")),
        int(np.searchsorted(terms.contract, contract, side="right")),
    )


# --- what was agreed and said -------------------------------------------------------------------------


class Overlay:
    """Agreements, touches, bills and holds of the few terms that have some."""

    def __init__(self, connection: Connection, as_of: int) -> None:
        self.connection, self.as_of = connection, as_of
        self.agreements = self._grouped(
            "SELECT a.contract_id, t.code, a.kind, a.made_day, a.until_day, a.gross, a.plan, a.default_clause "
            "FROM agreements a JOIN terms t ON t.id = a.term_id WHERE a.made_day <= :d ORDER BY a.id"
        )
        self.touches = self._grouped(
            "SELECT r.contract_id, t.code, r.kind, r.level, r.day, r.due_day, r.gross FROM reminders r "
            "JOIN terms t ON t.id = r.term_id WHERE r.day <= :d ORDER BY r.id"
        )
        self.holds = self._grouped(
            "SELECT v.contract_id, t.code, v.kind FROM interventions v JOIN terms t ON t.id = v.term_id "
            "WHERE v.day <= :d AND v.kind IN ('hold', 'release') ORDER BY v.id"
        )
        self.bills = self._grouped(
            "SELECT r.contract_id, t.code, SUM(r.gross) FROM receipts r JOIN terms t ON t.id = r.term_id "
            # A bill that bounced stands there twice, once below zero: nothing is in hand.
            "WHERE r.maturity_day > :d AND r.day <= :d GROUP BY r.contract_id, t.code HAVING SUM(r.gross) > 0"
        )

        self.credits = self._grouped(
            "SELECT k.contract_id, t.code, k.day FROM credits k JOIN terms t ON t.id = k.term_id WHERE k.day <= :d"
        )

    def _grouped(self, query: str) -> dict[Key, list[tuple[Any, ...]]]:
        found: dict[Key, list[tuple[Any, ...]]] = defaultdict(list)
        for contract, code, *rest in fetch(self.connection, query, {"d": self.as_of}):
            found[contract, code].append(tuple(rest))
        return found

    def paid(self, key: Key) -> list[tuple[date, int]]:
        """Money of one term by the day it counts."""
        rows = fetch(
            self.connection,
            "SELECT COALESCE(r.maturity_day, r.day), r.gross FROM receipts r JOIN terms t ON t.id = r.term_id "
            "WHERE r.contract_id = :c AND t.code = :t",
            {"c": key[0], "t": key[1]},
        )
        return [(to_date(day), int(gross)) for day, gross in rows]

    def lay_over(self, terms: OpenTerms) -> OpenTerms:
        """The columns with everything agreed; plans split their rows."""
        split: list[tuple[int, list[tuple[int, int]]]] = []
        for key in {**self.agreements, **self.touches, **self.holds, **self.bills}:
            at = _row_of(terms, key)
            if at is not None:
                self._one(terms, at, key)
                parts = self.plan(key, int(terms.open[at]), int(terms.due[at]))
                split += [(at, parts)] if parts else []
        return _split(terms, split) if split else terms

    def _one(self, terms: OpenTerms, at: int, key: Key) -> None:
        own = self.agreements.get(key, [])
        extended = [r[2] for r in own if r[0] == "extension"]
        if extended:  # the last one made stands; an agreement never moves a due date forward
            terms.due[at] = max(int(terms.due[at]), extended[-1])
        terms.paused[at] = max(int(terms.paused[at]), self.promised(key), self.held(key))
        terms.covered[at] += sum(int(r[0]) for r in self.bills.get(key, []))
        credited = [r[0] for r in self.credits.get(key, [])]
        aside = disputed(self.touches.get(key, []), int(terms.open[at]), credited)
        terms.covered[at] = min(int(terms.open[at]), int(terms.covered[at]) + aside)
        due, ladder = int(terms.due[at]), terms.ladders[int(terms.ladder[at])]
        sent = [r for r in self.touches.get(key, []) if r[0] == "reminder" and r[3] in (None, due)]
        # Who writes a reminder down by hand names no level: it was the one of that day.
        levels = [r[1] or dunning.level_on(ladder, r[2] - due) for r in sent]
        terms.reminded[at] = max(levels, default=0)

    def promised(self, key: Key) -> int:
        """The day of the promise that stands; NOT_PAUSED where none does."""
        promise = self.promise(key)
        return NOT_PAUSED if promise is None else day_number(promise.pay_by)

    def promise(self, key: Key) -> Promise | None:
        """The promise that is open."""
        rows = self.agreements.get(key, [])
        made = [Promise(to_date(r[1]), to_date(r[2]), r[3] or 0) for r in rows if r[0] == "promise"]
        promise = latest(made, to_date(self.as_of))
        if promise is None or promise_state(promise, self.paid(key), to_date(self.as_of)) is not PromiseState.OPEN:
            return None
        return promise

    def held(self, key: Key) -> int:
        """NEVER while a person keeps it off the list, else NOT_PAUSED."""
        rows = self.holds.get(key, [])
        return NEVER if rows and rows[-1][0] == "hold" else NOT_PAUSED

    def pauses(self, key: Key) -> list[dunning.Pause]:
        """What keeps reminders of a term back, in whole or in part, and until when where that is known."""
        as_of = to_date(self.as_of)
        touches, credited = self.touches.get(key, []), [r[0] for r in self.credits.get(key, [])]
        found = []
        promised = self.promised(key)
        if promised >= self.as_of:
            found.append(dunning.Pause(dunning.PauseKind.PROMISE, as_of, to_date(promised)))
        if self.held(key) != NOT_PAUSED:
            found.append(dunning.Pause(dunning.PauseKind.HOLD, as_of))
        found += [
            dunning.Pause(kind, as_of)
            for kind in (dunning.PauseKind.DISPUTE, dunning.PauseKind.CREDIT_NOTE)
            if disputed([t for t in touches if t[0] in (kind.value, "settled")], 1, credited)
        ]
        if key in self.bills:
            found.append(dunning.Pause(dunning.PauseKind.BILL, as_of))
        return found

    def plan(self, key: Key, open_: int, due: int) -> list[tuple[int, int]]:
        """(due day, open) of each open instalment of the last plan; what the plan leaves out keeps its date."""
        rows = [r for r in self.agreements.get(key, []) if r[0] == "instalment"]
        if not rows:
            return []
        own = [r for r in rows if r[4] == rows[-1][4]]
        parts = tuple(Instalment(to_date(r[2]), r[3]) for r in own)
        plan = Plan(to_date(own[0][1]), parts, default_clause=bool(own[0][5]))
        left, found = open_, []
        as_of, paid = to_date(self.as_of), self.paid(key)
        broken = plan.default_clause and plan_broken(plan, paid, as_of)
        first = min((p.due for p, o in plan_open(plan, paid, as_of) if o), default=None)
        for part, part_open in plan_open(plan, paid, as_of):
            sum_ = min(left, part_open)
            left -= sum_
            if sum_:
                found.append((day_number(first if broken and first else part.due), sum_))
        return [*found, *([(due, left)] if left else [])]


def pauses_of(connection: Connection, terms: OpenTerms, as_of: int) -> dict[int, list[dunning.Pause]]:
    """By row: the pauses of what is open."""
    overlay = Overlay(connection, as_of)
    touched = {**overlay.agreements, **overlay.touches, **overlay.holds, **overlay.bills}
    rows = {key: _row_of(terms, key) for key in touched}
    found = {row: overlay.pauses(key) for key, row in rows.items() if row is not None}
    return {row: pauses for row, pauses in sorted(found.items()) if pauses}


def disputed(touches: Sequence[tuple[Any, ...]], open_: int, credited: Sequence[int] = ()) -> int:
    """What is not asked for, of touches (kind, level, day, due day, sum): what is in dispute (条例 15), and what an
    open credit note will take off; all of it where no sum is named.

    A dispute ends when it is settled; a credit note also when one came: `credited` are the days of those that did.
    """
    found = 0
    for kind in ("dispute", "credit_note"):
        last = next((r for r in reversed(touches) if r[0] in (kind, "settled")), None)
        came = kind == "credit_note" and last is not None and any(day >= last[2] for day in credited)
        if last is not None and last[0] == kind and not came:
            found += open_ if last[4] is None else int(last[4])
    return min(open_, found)


def _row_of(terms: OpenTerms, key: Key) -> int | None:
    own = _of_contract(terms, key[0])
    return next((i for i in range(own.start, own.stop) if terms.term[i] == key[1]), None)


def _split(terms: OpenTerms, parts: Sequence[tuple[int, list[tuple[int, int]]]]) -> OpenTerms:
    """Rows of plans replaced by one for each open instalment."""
    counts: Ints = np.ones(len(terms), dtype=np.int64)
    for at, rows in parts:
        counts[at] = len(rows)
    rows_of = np.repeat(np.arange(len(terms)), counts)
    starts = np.cumsum(counts) - counts
    taken = {n: getattr(terms, n)[rows_of] for n in _COLUMNS}
    for at, rows in parts:
        for offset, (due, open_) in enumerate(rows, start=int(starts[at])):
            taken["due"][offset], taken["open"][offset] = due, open_
            taken["covered"][offset] = 0
    return replace(terms, **taken)


_COLUMNS = (
    "contract", "term", "customer", "currency", "manager", "due", "open", "covered", "ladder", "bucket_set", "paused",
    "reminded",
)  # fmt: skip


def numbers(connection: Connection) -> Mapping[int, str]:
    """Contract numbers by id."""
    return dict(fetch(connection, "SELECT id, number FROM contracts"))


def changed_since(connection: Connection) -> int:
    """How many contracts have invoices, money or credits that no night has looked at yet."""
    union = " UNION ".join(
        f"SELECT x.contract_id FROM {table} x JOIN standing s ON s.contract_id = x.contract_id "
        "WHERE x.recorded_at > s.evaluated_at"
        for table in ("invoices", "receipts", "credits")
    )
    return int(fetch(connection, f"SELECT COUNT(*) FROM ({union}) AS u")[0][0])
