"""What the passing of time alone makes news: an instalment that did not come, a limitation period that runs out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import orjson
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import day_number
from flows.steps.followed import FOLLOWED
from flows.steps.receivables.agreements import paid_of, said
from flows.steps.receivables.columns import OpenTerms
from flows.steps.receivables.standing import numbers, to_date
from models.domain.findings import Finding, Place, Severity
from models.domain.receivables.agreements import Instalment, Plan, plan_open
from models.domain.receivables.limitation import ALERT_DAYS, Interruption, InterruptionKind, limitation_expires

#: Three years in days at the least: a claim due later than this before a day cannot be near its end.
_YEARS = 3 * 365
Key = tuple[int, str]  # contract id, term code


def clock_findings(connection: Connection, terms: OpenTerms, as_of: date) -> list[Finding]:
    """Broken instalments and ending limitation periods of what is open."""
    return [*_broken_plans(connection, terms, as_of), *_limitation(connection, terms, as_of)]


# --- instalments -----------------------------------------------------------------------------------------


def _broken_plans(connection: Connection, terms: OpenTerms, as_of: date) -> Iterator[Finding]:
    plans = _plans(connection, as_of)
    paid = paid_of(connection) if plans else {}
    open_ = (
        {(int(c), str(t)) for c, t in zip(terms.contract.tolist(), terms.term.tolist(), strict=True)}
        if plans
        else set()
    )
    for (contract_id, code), (number, term_id, currency, plan) in plans.items():
        if (contract_id, code) not in open_:
            continue
        for part, left in plan_open(plan, paid.get(term_id, []), as_of):
            if left > 0 and part.due < as_of:
                params = {"which": f"{number}/{code}", "day": part.due.isoformat(), "amount": said(left, currency)}
                yield Finding("PLAN_BROKEN", Severity.WARNING, Place(contract=number, term=code), params)


def _plans(connection: Connection, as_of: date) -> dict[Key, tuple[str, int, str, Plan]]:
    """The plan that stands of each term: the last one agreed on."""
    parts: dict[Key, list[tuple[object, ...]]] = defaultdict(list)
    for contract_id, code, *rest in fetch(
        connection,
        "SELECT a.contract_id, t.code, c.number, a.term_id, c.currency, a.plan, a.made_day, a.until_day, a.gross, a.default_clause "
        "FROM agreements a JOIN terms t ON t.id = a.term_id JOIN contracts c ON c.id = a.contract_id "
        f"WHERE a.kind = 'instalment' AND a.made_day <= :d AND {FOLLOWED} ORDER BY a.id",
        {"d": day_number(as_of)},
    ):
        parts[contract_id, code].append(tuple(rest))
    found = {}
    for key, rows in parts.items():
        own = [r for r in rows if r[3] == rows[-1][3]]
        instalments = tuple(Instalment(to_date(int(str(r[5]))), int(str(r[6]))) for r in own)
        plan = Plan(to_date(int(str(own[0][4]))), instalments, default_clause=bool(own[0][7]))
        found[key] = (str(own[0][0]), int(str(own[0][1])), str(own[0][2]), plan)
    return found


# --- limitation ------------------------------------------------------------------------------------------


def _limitation(connection: Connection, terms: OpenTerms, as_of: date) -> Iterator[Finding]:
    """The last day of each old claim of a Chinese contract, from 180 days before it on (民法典 188, 195)."""
    old = np.flatnonzero(terms.due <= day_number(as_of) - _YEARS + max(ALERT_DAYS))
    if not len(old):
        return
    chinese = _chinese(connection, {int(c) for c in terms.contract[old].tolist()})
    if not chinese:
        return
    names, restarts = numbers(connection), _interruptions(connection, as_of)
    seen: set[Key] = set()
    for at in old.tolist():
        key = (int(terms.contract[at]), str(terms.term[at]))
        if key[0] not in chinese or key in seen:
            continue
        seen.add(key)
        ends = limitation_expires(to_date(int(terms.due[at])), restarts.get(key, ()), as_of)
        days = (ends - as_of).days
        if days <= max(ALERT_DAYS):
            params = {"which": f"{names[key[0]]}/{key[1]}", "day": ends.isoformat(), "days": days}
            code = "LIMITATION_ENDS" if days >= 0 else "LIMITATION_OVER"
            yield Finding(code, Severity.WARNING, Place(contract=names[key[0]], term=key[1]), params)


def _chinese(connection: Connection, contracts: set[int]) -> set[int]:
    rows = fetch(
        connection,
        "SELECT c.id, v.long_form FROM contracts c JOIN contract_versions v ON v.id = c.version_id "
        f"WHERE {FOLLOWED} AND v.long_form LIKE '%\"CN\"%'",
    )
    return {int(c) for c, text in rows if c in contracts and orjson.loads(text).get("calendar") == "CN"}


_RESTARTS = """
SELECT r.contract_id, t.code, 'demand', r.day, r.proof FROM reminders r JOIN terms t ON t.id = r.term_id
WHERE r.kind IN ('demand', 'delivered', 'reminder') AND r.proof IS NOT NULL AND r.proof <> '' AND r.day <= :d
UNION ALL SELECT a.contract_id, t.code, 'promise', a.made_day, '' FROM agreements a JOIN terms t ON t.id = a.term_id
WHERE a.made_day <= :d
UNION ALL SELECT r.contract_id, t.code, 'part_payment', r.day, '' FROM receipts r JOIN terms t ON t.id = r.term_id
WHERE r.day <= :d AND r.gross > 0 AND NOT EXISTS (SELECT 1 FROM receipts x WHERE x.reverses = r.id AND x.day <= :d)
"""


def _interruptions(connection: Connection, as_of: date) -> dict[Key, Sequence[Interruption]]:
    """What started the period again: demands with proof, what the debtor promised or agreed on, what was paid."""
    found: dict[Key, list[Interruption]] = defaultdict(list)
    for contract, code, kind, day, proof in fetch(connection, _RESTARTS, {"d": day_number(as_of)}):
        found[contract, code].append(Interruption(InterruptionKind(kind), to_date(day), proof or ""))
    return dict(found)
