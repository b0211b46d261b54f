"""Decide: what the evaluation means for the ledgers. Values in, a plan out; nothing is written here.

A term that is ready and has no living record gets one; a record whose term is no longer ready, or whose
amount or date is no longer what it says, is withdrawn (and a new occurrence follows where it is ready).
What is invoiced is never touched: a reversal is an exception for a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import uuid5

import numpy as np
import orjson
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch, wanted_ids
from flows.steps.changes import ACCEPTED, DONE, PERCENT
from flows.steps.evaluation.columns import NEVER, Mask, Op, as_date
from flows.steps.evaluation.conditions import blocking, supporting
from flows.steps.evaluation.history import history
from flows.steps.evaluation.outcome import leaf_name
from flows.steps.evaluation.run import NOT_READY, READY, STATUS_NAMES
from flows.steps.match import CalendarsOf, Matched, match, next_look
from models.domain.ready import NAMESPACE, record_id


@dataclass(frozen=True, slots=True)
class Live:
    """A ready record that has not been withdrawn."""

    contract_id: int
    record_id: str
    occurrence: int
    gross: int
    net: int
    tax: int
    ready_day: int


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A ready record to post."""

    record_id: str
    contract_id: int
    term_id: int
    occurrence: int
    gross: int
    net: int
    tax: int
    lines: str
    currency: str
    ready_day: int
    legal_day: int
    evidence: str
    version_id: int
    index: int  # of the term in the chunk


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A living record to withdraw."""

    record_id: str
    contract_id: int
    day: int
    reason: str  # condition, amount, date, term_removed


@dataclass(frozen=True, slots=True)
class NewException:
    """Something a person must look at."""

    exception_id: str
    contract_id: int
    term_id: int | None
    code: str
    detail: str


@dataclass(slots=True)
class Plan:
    """What posting will write for a chunk of contracts."""

    records: list[NewRecord] = field(default_factory=list)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    opened: list[NewException] = field(default_factory=list)
    closed: list[tuple[str, int]] = field(default_factory=list)  # exception id, contract id
    decisions: list[tuple[int, int, str, str]] = field(default_factory=list)  # contract, version, hash, body
    standing: list[tuple[int, int, str, int]] = field(default_factory=list)  # contract, version, hash, next look

    def without(self, contracts: set[int]) -> Plan:
        """The plan less everything of some contracts: a check held them back."""
        if not contracts:
            return self
        return Plan(
            [r for r in self.records if r.contract_id not in contracts],
            [w for w in self.withdrawals if w.contract_id not in contracts],
            [e for e in self.opened if e.contract_id not in contracts],
            [c for c in self.closed if c[1] not in contracts],
            [d for d in self.decisions if d[0] not in contracts],
            [s for s in self.standing if s[0] not in contracts],
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """What has been posted for a chunk of contracts."""

    live: Mapping[int, Live]  # by term id
    occurrences: Mapping[int, int]  # by term id: the last one issued
    open_exceptions: Mapping[tuple[int, int | None, str], str]  # (contract, term, code) -> id
    exceptions_ever: Mapping[tuple[int, int | None, str], int]
    hashes: Mapping[int, str]  # by contract id: the current decision
    billed: frozenset[int] = frozenset()  # terms with an invoice that was not cancelled


def read_ledger(connection: Connection, ids: Sequence[int]) -> Ledger:
    """The ledgers of some contracts."""
    table = wanted_ids(connection, ids)
    live: dict[int, Live] = {}
    occurrences: dict[int, int] = {}
    for term, contract, key, n, gross, net, tax, day, withdrawn in fetch(
        connection,
        "SELECT r.term_id, r.contract_id, r.record_id, r.occurrence, r.gross, r.net, r.tax, r.ready_day, x.record_id FROM ready_records r "
        f"JOIN {table} w ON w.id = r.contract_id LEFT JOIN withdrawals x ON x.record_id = r.record_id",
    ):
        occurrences[term] = max(n, occurrences.get(term, 0))
        if withdrawn is None:
            live[term] = Live(contract, key, n, gross, net, tax, day)
    open_: dict[tuple[int, int | None, str], str] = {}
    ever: dict[tuple[int, int | None, str], int] = {}
    for key, contract, term, code, closed in fetch(
        connection,
        "SELECT e.exception_id, e.contract_id, e.term_id, e.code, x.exception_id FROM exceptions e "
        f"JOIN {table} w ON w.id = e.contract_id LEFT JOIN exception_closings x ON x.exception_id = e.exception_id",
    ):
        ever[contract, term, code] = ever.get((contract, term, code), 0) + 1
        if closed is None:
            open_[contract, term, code] = key
    hashes = dict(
        fetch(
            connection, f"SELECT s.contract_id, s.content_hash FROM standing s JOIN {table} w ON w.id = s.contract_id"
        )
    )
    billed = fetch(
        connection,
        f"SELECT DISTINCT i.term_id FROM invoices i JOIN {table} w ON w.id = i.contract_id WHERE i.cancelled_day IS NULL",
    )
    return Ledger(live, occurrences, open_, ever, hashes, frozenset(t for (t,) in billed))


def judge(
    connection: Connection, ids: Sequence[int], as_of: int, calendars: CalendarsOf, known_at: int | None = None
) -> tuple[Matched, Plan]:
    """Match a shard of contracts and decide what follows. Only reads: it may run anywhere, and twice."""
    matched = match(connection, ids, as_of, calendars, known_at)
    return matched, decide(connection, matched, read_ledger(connection, ids), as_of)


def decide(connection: Connection, matched: Matched, ledger: Ledger, as_of: int) -> Plan:
    """What to post for a chunk."""
    plan = Plan()
    out = matched.out
    status = out.status.tolist()
    fixed = out.fixed.tolist()
    gross, net, tax = (x.tolist() for x in (out.amounts.term_gross, out.amounts.term_net, out.amounts.term_tax))
    known, legal = out.known.tolist(), out.legal.tolist()
    owner = out.batch.term_contract().tolist()
    overflow = out.amounts.overflow
    fresh: list[tuple[int, int]] = []  # term index, occurrence
    fallen: list[tuple[int, Live, str]] = []
    for index, term_id in enumerate(matched.term_ids):
        live = ledger.live.get(term_id)
        if fixed[index] or overflow[owner[index]] or not matched.heads[owner[index]].active:
            continue
        if status[index] == READY:
            reason = _outdated(live, gross[index], net[index], tax[index], known[index]) if live else ""
            if live and reason:
                fallen.append((index, live, reason))
            if (live is None or reason) and gross[index] > 0:
                fresh.append((index, ledger.occurrences.get(term_id, 0) + 1))
        elif live is not None and status[index] == NOT_READY:
            fallen.append((index, live, "condition"))
    _withdraw(matched, fallen, plan, as_of)
    _drop(matched, ledger, plan, as_of)
    evidence = _evidence(connection, matched, [i for i, _ in fresh])
    for index, occurrence in fresh:
        head = matched.heads[owner[index]]
        plan.records.append(
            NewRecord(
                str(record_id(head.number, matched.term_codes[index], occurrence)),
                head.id,
                matched.term_ids[index],
                occurrence,
                gross[index],
                net[index],
                tax[index],
                _lines(matched, index),
                head.currency,
                known[index],
                min(legal[index], known[index]),
                evidence[index],
                head.version_id,
                index,
            )
        )
    _exceptions(matched, ledger, plan)
    _decisions(matched, ledger, plan, as_of)
    return plan


def _outdated(live: Live, gross: int, net: int, tax: int, known: int) -> str:
    """Why a living record no longer says the truth; empty while it does."""
    if (live.gross, live.net, live.tax) != (gross, net, tax):
        return "amount"
    return "date" if live.ready_day != known else ""


def _lines(matched: Matched, index: int) -> str:
    """The term's base amount by tax line."""
    rows = matched.out.rows
    first, last = int(rows.at[index]), int(rows.at[index + 1])
    return orjson.dumps(matched.out.amounts.base[first:last].tolist()).decode()


def _withdraw(matched: Matched, fallen: Sequence[tuple[int, Live, str]], plan: Plan, as_of: int) -> None:
    """The day is the one on which the condition stopped holding, as far as the facts tell."""
    conditions = [i for i, _, reason in fallen if reason == "condition"]
    stopped: dict[int, int] = {}
    if conditions:
        past = history(matched.batch, matched.facts, matched.calendars, as_of)
        stopped = {i: int(past.withdrawn[i]) for i in conditions if past.withdrawn[i] < NEVER}
    for index, live, reason in fallen:
        head = matched.heads[int(matched.batch.term_contract()[index])]
        plan.withdrawals.append(Withdrawal(live.record_id, head.id, stopped.get(index, as_of), reason))


def _drop(matched: Matched, ledger: Ledger, plan: Plan, as_of: int) -> None:
    """A term that left the contract takes its record with it; one that was invoiced cannot leave (`refused_edits`)."""
    current = set(matched.term_ids)
    for term, live in ledger.live.items():
        if term not in current and term not in ledger.billed:
            plan.withdrawals.append(Withdrawal(live.record_id, live.contract_id, as_of, "term_removed"))


# --- evidence ----------------------------------------------------------------------------------------


def _evidence(connection: Connection, matched: Matched, indices: Sequence[int]) -> dict[int, str]:
    """By term: the proven leaves it rests on, as the record keeps them for years."""
    if not indices:
        return {}
    out, batch = matched.out, matched.batch
    chosen = np.zeros(len(batch.terms), dtype=bool)
    chosen[list(indices)] = True
    mask = supporting(batch, out.plan, chosen, out.nodes, out.as_of_node)
    proofs = _proofs(connection, matched, mask)
    found: dict[int, list[dict[str, object]]] = {i: [] for i in indices}
    nodes = np.flatnonzero(mask)
    contracts, terms = batch.node_contract()[nodes].tolist(), batch.nodes["term"][nodes].tolist()
    for leaf, contract, term in zip(_proven(matched, nodes), contracts, terms, strict=True):
        told = _leaf(matched, leaf, contract, proofs)
        if told is not None and told not in found[term]:
            found[term].append(told)
    return {i: orjson.dumps(leaves).decode() for i, leaves in found.items()}


class _Proven(NamedTuple):
    """A leaf that holds: what it is, its slots or term, the legal day, and from when it can be known."""

    op: int
    arg: int
    first: int
    day: int
    known: int


def _proven(matched: Matched, nodes: np.ndarray) -> Iterator[_Proven]:
    rows, values = matched.batch.nodes[nodes], matched.out.nodes
    columns = (rows["op"], rows["arg"], rows["first"], values.legal[nodes], values.known[nodes])
    return map(_Proven._make, zip(*(c.tolist() for c in columns), strict=True))


def _leaf(
    matched: Matched, leaf: _Proven, contract: int, proofs: Mapping[int, list[tuple[Any, ...]]]
) -> dict[str, object] | None:
    op, arg, first, day, known = leaf
    if op == Op.SLOT:
        return _slot_leaf(matched, arg, contract, day, proofs)
    if op in (Op.DEEMED_DAYS, Op.DEEMED_BUSINESS_DAYS):
        if known <= day:
            return _slot_leaf(matched, first, contract, day, proofs)
        name = matched.batch.slot_names[contract][arg - int(matched.batch.slot_at[contract])]
        return _plain(leaf_name(name), day, "silence", "deemed")
    if op == Op.DATE:
        return _plain("date", day, "contract", "contract")
    if op in (Op.TERM, Op.INVOICED, Op.PAID):
        return _plain(matched.term_codes[arg], day, "contract", Op(op).name.lower())
    return None


def _plain(event: str, day: int, source: str, provenance: str) -> dict[str, object]:
    return {
        "event": event,
        "date": _iso(day),
        "by": None,
        "source": source,
        "url": None,
        "provenance": provenance,
        "grade": None,
    }


@lru_cache(4096)
def _iso(day: int) -> str | None:
    found: date | None = as_date(day)
    return None if found is None else found.isoformat()


def _slot_leaf(
    matched: Matched, slot: int, contract: int, day: int, proofs: Mapping[int, list[tuple[Any, ...]]]
) -> dict[str, object]:
    name = leaf_name(matched.batch.slot_names[contract][slot - int(matched.batch.slot_at[contract])])
    source = matched.sources.get(slot)
    leaf = _plain(name, day, "contract", source.kind if source else "recorded")
    said = matched.records.get((matched.heads[contract].id, name), ())
    recorded = next((r for r in reversed(said) if r.holds and r.day == day), None)
    if recorded is not None:
        leaf |= {"by": recorded.by, "source": recorded.source, "provenance": "recorded"}
    elif source is not None and source.milestone_id is not None:
        leaf["source"] = source.connection
        own = [p for p in proofs.get(source.milestone_id, []) if p[4] == source.what]
        for by, provenance, grade, url, _ in own[-1:]:
            leaf |= {"by": by, "provenance": provenance, "grade": grade, "url": url}
    return leaf


def _proofs(connection: Connection, matched: Matched, mask: Mask) -> dict[int, list[tuple[Any, ...]]]:
    """By milestone: its true changes, the newest last, with person, provenance, grade and link."""
    nodes = matched.batch.nodes[mask]
    slots = set(nodes["arg"][nodes["op"] == Op.SLOT].tolist())
    deemed = nodes[(nodes["op"] == Op.DEEMED_DAYS) | (nodes["op"] == Op.DEEMED_BUSINESS_DAYS)]
    slots |= set(deemed["first"].tolist())
    ids = sorted(
        {s.milestone_id for k in slots if (s := matched.sources.get(k)) is not None and s.milestone_id is not None}
    )
    if not ids:
        return {}
    table = wanted_ids(connection, ids)
    found: dict[int, list[tuple[Any, ...]]] = {}
    for milestone, *proof in fetch(
        connection,
        'SELECT c.milestone_id, c."by", c.provenance, c.grade, m.url, c.what FROM milestone_changes c '
        f"JOIN {table} w ON w.id = c.milestone_id JOIN milestones m ON m.id = c.milestone_id "
        f"WHERE c.value > 0 AND c.what IN ({DONE}, {ACCEPTED}, {PERCENT}) ORDER BY c.what DESC, c.id",
    ):
        found.setdefault(milestone, []).append(tuple(proof))
    return found


# --- exceptions and decisions ------------------------------------------------------------------------


def _exceptions(matched: Matched, ledger: Ledger, plan: Plan) -> None:
    """Open what is new, close what has gone."""
    now = dict(_current_exceptions(matched))
    for (contract, term, code), detail in now.items():
        if (contract, term, code) in ledger.open_exceptions:
            continue
        n = ledger.exceptions_ever.get((contract, term, code), 0) + 1
        key = str(uuid5(NAMESPACE, f"exception\x1f{contract}\x1f{term}\x1f{code}\x1f{n}"))
        plan.opened.append(NewException(key, contract, term, code, detail))
    ours = {h.id for h in matched.heads}
    plan.closed += [(key, k[0]) for k, key in ledger.open_exceptions.items() if k[0] in ours and k not in now]


def _current_exceptions(matched: Matched) -> Iterator[tuple[tuple[int, int | None, str], str]]:
    out, batch = matched.out, matched.batch
    owner = batch.term_contract()
    root = batch.terms["root"]
    broken = out.fixed & (out.known < NEVER) & (out.nodes.known[root] > out.as_of[owner])
    if broken.any():
        held_back = blocking(batch, out.plan, broken, out.nodes, out.as_of_node)
        yield from _reversals(matched, held_back)
    for index in np.flatnonzero(out.unproven).tolist():
        yield (matched.heads[int(owner[index])].id, matched.term_ids[index], "INVOICED_BEFORE_READY"), ""
    for index in np.flatnonzero((out.amounts.staged.held > 0) & (out.status >= READY)).tolist():
        yield (
            (matched.heads[int(owner[index])].id, matched.term_ids[index], "NTE_EXCEEDED"),
            str(int(out.amounts.staged.held[index])),
        )
    for position in np.flatnonzero(out.amounts.overflow).tolist():
        yield (matched.heads[position].id, None, "AMOUNT_OVERFLOW"), ""
    late = np.unique(np.r_[batch.nodes["term"][out.nodes.beyond], np.flatnonzero(out.due_beyond)])
    for index in late.tolist():
        yield (matched.heads[int(owner[index])].id, matched.term_ids[index], "CALENDAR_HORIZON"), ""


_REVERSALS = {
    "e": "MILESTONE_REOPENED_AFTER_INVOICE",
    "a": "MILESTONE_REOPENED_AFTER_INVOICE",
    "p": "PROGRESS_REGRESSED_AFTER_INVOICE",
}


def _reversals(matched: Matched, held_back: Mask) -> Iterator[tuple[tuple[int, int | None, str], str]]:
    out, batch = matched.out, matched.batch
    for node in np.flatnonzero(held_back & (batch.nodes["op"] == Op.SLOT)).tolist():
        slot, term = int(batch.nodes["arg"][node]), int(batch.nodes["term"][node])
        contract = int(np.searchsorted(batch.slot_at, slot, side="right")) - 1
        name = batch.slot_names[contract][slot - int(batch.slot_at[contract])]
        if out.slots.fell[slot] and name[0] in _REVERSALS:
            yield (matched.heads[contract].id, matched.term_ids[term], _REVERSALS[name[0]]), leaf_name(name)


def _decisions(matched: Matched, ledger: Ledger, plan: Plan, as_of: int) -> None:
    """One decision for each contract, appended only when it says something new."""
    out, batch = matched.out, matched.batch
    names = _blockers(matched)
    status = [STATUS_NAMES[s] for s in out.status.tolist()]
    columns = zip(
        matched.term_codes, status, out.known.tolist(), out.legal.tolist(), out.expected.tolist(),
        out.amounts.term_gross.tolist(), out.due.tolist(), out.outstanding.tolist(), strict=True,
    )  # fmt: skip
    bodies = [[*c, names.get(i, [])] for i, c in enumerate(columns)]
    looks = next_look(matched, as_of).tolist()
    for position, head in enumerate(matched.heads):
        body = orjson.dumps(bodies[int(batch.term_at[position]) : int(batch.term_at[position + 1])])
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        if ledger.hashes.get(head.id) != digest:
            plan.decisions.append((head.id, head.version_id, digest, body.decode()))
        plan.standing.append((head.id, head.version_id, digest, min(looks[position], NEVER)))


def _blockers(matched: Matched) -> dict[int, list[list[object]]]:
    """By term: [name, kind, planned day or null, connection or null] of each unmet leaf."""
    out, batch = matched.out, matched.batch
    mask = blocking(batch, out.plan, out.status == NOT_READY, out.nodes, out.as_of_node)
    owner = batch.node_contract()
    nodes = np.flatnonzero(mask)
    found: dict[int, list[list[object]]] = {}
    rows = batch.nodes[nodes]
    planned = matched.facts.planned.tolist()
    ops, args, firsts, terms = (rows[n].tolist() for n in ("op", "arg", "first", "term"))
    knowns = out.nodes.known[nodes].tolist()
    since = out.slots.since
    for op, arg, first, term, known, contract in zip(
        ops, args, firsts, terms, knowns, owner[nodes].tolist(), strict=True
    ):
        own = found.setdefault(term, [])
        if op == Op.SLOT or op in (Op.DEEMED_DAYS, Op.DEEMED_BUSINESS_DAYS):
            slot = arg if op == Op.SLOT or since[arg] >= NEVER or first < 0 else first
            name = batch.slot_names[contract][slot - int(batch.slot_at[contract])]
            source = matched.sources.get(slot)
            day = planned[slot] if planned[slot] < NEVER else None
            entry: list[object] = [
                leaf_name(name),
                source.kind if source else "event",
                day,
                source.connection if source else None,
            ]
        elif op in (Op.TERM, Op.INVOICED, Op.PAID):
            entry = [matched.term_codes[arg], "term", None, None]
        elif known < NEVER and op >= Op.ELAPSED_MONTHS:
            entry = ["time", "time", known, None]
        else:
            continue
        if entry not in own:
            own.append(entry)
    return found
