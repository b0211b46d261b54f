"""What a run expected, kept by contract and appended only where it is new; and what moved since an earlier run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from connectors.store.bulk import bulk_insert, fetch, wanted_ids
from flows.steps.evaluation.columns import NEVER, as_date
from flows.steps.evaluation.run import NOT_READY, STATUS_NAMES
from flows.steps.receivables.forecast import BASES, Expected
from models.domain.outlook import MoveLine
from models.domain.receivables.forecast import Compared, Expectation, Leaf, Part, Period, Why
from models.tables import forecasts

#: A contract that left: what it was expected to bring is gone.
GONE = "[]"


#: Stands for the version of a contract whose file is gone and whose invoices are still followed.
NO_FILE = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one contract was expected to bring. `body` is JSON: its version and terms, or nothing at all."""

    contract: int
    hash: str
    body: str
    first: int  # the earliest expected day


def snapshots(expected: Expected) -> list[Snapshot]:
    """The forecast of each contract as it is kept."""
    parts: dict[int, list[list[Any]]] = {}
    columns = (expected.part_term, expected.part_day, expected.part_minor, expected.part_basis)
    for term, day, minor, basis in zip(*(c.tolist() for c in columns), strict=True):
        parts.setdefault(term, []).append([None if day >= NEVER else day, minor, BASES[basis]])
    found: list[list[Any]] = [[] for _ in expected.heads]
    columns = (expected.owner, expected.status, expected.gross, expected.paid, expected.ready, expected.due, expected.late)  # type: ignore[assignment]  # fmt: skip
    rows = zip(expected.codes, expected.blockers, *(c.tolist() for c in columns), strict=True)
    for i, (code, blockers, owner, status, gross, paid, ready, due, late) in enumerate(rows):
        own = parts.get(i, [])
        leaves = [[b[0], b[1], b[2]] for b in blockers] if status == NOT_READY else []
        ready_, due_ = (None if x >= NEVER else x for x in (ready, due))
        found[owner].append([code, STATUS_NAMES[status], gross, paid, ready_, due_, late if own else 0, own, leaves])
    return [
        _snapshot(h.id, [h.version if h.active else NO_FILE, *terms])
        for h, terms in zip(expected.heads, found, strict=True)
    ]


def _snapshot(contract: int, content: list[Any]) -> Snapshot:
    body = orjson.dumps(content)
    first = min((p[0] for t in content[1:] for p in t[7] if p[0] is not None), default=NEVER)
    return Snapshot(contract, hashlib.blake2b(body, digest_size=16).hexdigest(), body.decode(), first)


def keep(connection: Connection, now: Sequence[Snapshot], as_of: int, run_id: str, recorded_at: int) -> int:
    """Append what is new since the last run; the same forecast twice is kept once."""
    known = dict(
        fetch(
            connection,
            "SELECT contract_id, content_hash FROM forecasts WHERE id IN (SELECT MAX(id) FROM forecasts GROUP BY contract_id)",
        )
    )
    gone = known.keys() - {s.contract for s in now}
    everything = [*now, *(_gone(c) for c in sorted(gone))]
    rows = [
        (s.contract, as_of, run_id, s.hash, s.body, recorded_at) for s in everything if known.get(s.contract) != s.hash
    ]
    columns = ("contract_id", "as_of", "run_id", "content_hash", "body", "recorded_at")
    return bulk_insert(connection, forecasts, columns, rows, ignore=True)


def _gone(contract: int) -> Snapshot:
    return Snapshot(contract, hashlib.blake2b(GONE.encode(), digest_size=16).hexdigest(), GONE, NEVER)


# --- what moved ----------------------------------------------------------------------------------------


def compared_with(connection: Connection, as_of: int) -> date | None:
    """The day of the last run before a day that kept a forecast, or kept one by changing nothing; None: there is none."""
    ((first,),) = fetch(connection, "SELECT MIN(as_of) FROM forecasts")
    if first is None or first >= as_of:
        return None
    ((last,),) = fetch(
        connection, "SELECT MAX(as_of) FROM runs WHERE as_of < :d AND state IN ('done', 'in_part')", {"d": as_of}
    )
    return as_date(max(int(first), int(last or 0)))


_BEFORE = """
SELECT contract_id, content_hash, body FROM forecasts
WHERE id IN (SELECT MAX(id) FROM forecasts WHERE as_of < :d GROUP BY contract_id)
"""


def moves(
    connection: Connection, expected: Expected, now: Sequence[Snapshot], before_on: date, period: Period
) -> list[MoveLine]:
    """What moved since the last run before the day of the forecast, term by term."""
    before = {c: (h, b) for c, h, b in fetch(connection, _BEFORE, {"d": expected.as_of})}
    after = {s.contract: s for s in now}
    found: list[tuple[int, str, MoveLine]] = []
    changed = sorted(before.keys() | after.keys())
    changed = [c for c in changed if _may_have_moved(before.get(c), after.get(c), expected.as_of)]
    heads = _heads(connection, changed)
    for contract in changed:
        was = orjson.loads(before[contract][1]) if contract in before else []
        content = orjson.loads(after[contract].body) if contract in after else []
        comparison = _compared(was, content, before_on, expected.as_of)
        number, customer, currency = heads[contract]
        for term in sorted(comparison.before.keys() | comparison.after.keys()):
            for m in comparison.moves(term, period):
                line = MoveLine(number, term, customer, currency, m.minor, m.start, m.end, m.why)
                found.append((contract, term, line))
    return list(_named(connection, found))


def _may_have_moved(was: tuple[str, str] | None, now: Snapshot | None, as_of: int) -> bool:
    """The same text means the same money, but what should have come by now moves on with the days."""
    return was is None or now is None or was[0] != now.hash or now.first < as_of


def _compared(was: Sequence[Any], now: Sequence[Any], before_on: date, as_of: int) -> Compared:
    after_on = as_date(as_of)
    assert after_on is not None
    before, after = (bool(x) and x[0] != NO_FILE for x in (was, now))
    state = "new" if after and not before else "gone" if before and not after else ""
    if before and after and was[0] != now[0]:
        state = "changed"
    return Compared(_expectations(was), _expectations(now), before_on, after_on, state)


def _expectations(content: Sequence[Any]) -> Mapping[str, Expectation]:
    return {
        code: Expectation(
            status, gross, paid, _date(ready), _date(due), late,
            tuple(Part(_date(d), m, b) for d, m, b in parts), tuple(Leaf(n, k, _date(p)) for n, k, p in leaves),
        )
        for code, status, gross, paid, ready, due, late, parts, leaves in content[1:]
    }  # fmt: skip


def _date(number: int | None) -> date | None:
    return None if number is None else as_date(number)


def _heads(connection: Connection, contracts: Sequence[int]) -> dict[int, tuple[str, str, str]]:
    table = wanted_ids(connection, contracts)
    rows = fetch(
        connection, f"SELECT c.id, c.number, c.customer, c.currency FROM contracts c JOIN {table} w ON w.id = c.id"
    )
    return {r[0]: (r[1], r[2], r[3]) for r in rows}


def _named(connection: Connection, found: Sequence[tuple[int, str, MoveLine]]) -> Iterator[MoveLine]:
    """The milestone's own name instead of the event's, and whether its acceptance is meant."""
    table = wanted_ids(connection, sorted({c for c, _, _ in found}))
    rows = fetch(
        connection,
        "SELECT b.contract_id, b.event, b.kind, b.accepted, COALESCE(m.name, b.name) FROM bindings b "
        f"JOIN {table} w ON w.id = b.contract_id LEFT JOIN milestones m ON m.id = b.milestone_id",
    )
    names = {(c, event): (name, kind, accepted) for c, event, kind, accepted, name in rows if name}
    for contract, _, line in found:
        known = names.get((contract, line.why.name)) if line.why.name else None
        yield line if known is None else replace(line, why=_with_name(line.why, *known))


def _with_name(why: Why, name: str, kind: str, accepted: object) -> Why:
    return replace(why, name=name, kind="acceptance" if accepted and kind == "milestone" else why.kind)
