"""The outlook: expected money as lines that people read, and the night's step that keeps it and tells what moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import NEVER, as_date, day_number
from flows.steps.match import CalendarsOf
from flows.steps.receivables.columns import ageing_table
from flows.steps.receivables.forecast import ASSUMED, BASES, UNDATED_FROM, Expected, expected_cash
from flows.steps.receivables.snapshots import compared_with, keep, moves, snapshots
from flows.steps.receivables.standing import open_terms
from models.domain.findings import Finding, Place, Severity
from models.domain.outlook import AgeingLine, BehaviourLine, ExpectedLine, MoveLine, Outlook, UndatedLine
from models.domain.receivables.forecast import PERIODS, QUIET, UNDATED, Period, Threshold


@dataclass(frozen=True, slots=True)
class Assumed:
    """How much of a currency rests on an assumption: an invoice date (customer, company, none) or plain weekdays."""

    currency: str
    how: str
    gross: int


@dataclass(frozen=True, slots=True)
class Looked:
    """The outlook of a day, and what the night has to say of it."""

    outlook: Outlook
    findings: tuple[Finding, ...] = ()
    assumed: tuple[Assumed, ...] = ()
    kept: int = 0


def look_ahead(
    connection: Connection,
    as_of: date,
    calendars_of: CalendarsOf,
    threshold: Threshold,
    *,
    keep_as: tuple[str, int] | None = None,
    period: str = "month",
) -> Looked:
    """The forecast of a day and what moved since the last earlier run. `keep_as` (run id, recorded at) keeps it."""
    day = day_number(as_of)
    expected = expected_cash(connection, day, calendars_of)
    now = snapshots(expected)
    since = compared_with(connection, day)
    moved = moves(connection, expected, now, since, PERIODS[period]) if since else []
    months = _by_period(expected, PERIODS["month"])
    alerts = _alerts(moved, months, threshold) if period == "month" else ()
    outlook = Outlook(
        months, _by_period(expected, PERIODS["week"]), tuple(_undated(connection, expected)), tuple(_ordered(moved)),
        since, alerts, _behaviour(expected), _ageing(connection, day),
    )  # fmt: skip
    kept = 0 if keep_as is None else keep(connection, now, day, *keep_as)
    return Looked(outlook, tuple(_finding(a) for a in alerts), _assumed(expected), kept)


def _by_period(expected: Expected, period: Period) -> tuple[ExpectedLine, ...]:
    """Sums by period and currency; a day is turned into its period once, not for each term."""
    dated = np.flatnonzero(expected.part_day < NEVER)
    days, where = np.unique(expected.part_effective[dated], return_inverse=True)
    labels = [period(_day(d)) for d in days.tolist()]
    currencies = [h.currency for h in expected.heads]
    owners = expected.owner[expected.part_term[dated]].tolist()
    found: dict[tuple[str, str], list[int]] = {}
    rows = zip(where.tolist(), owners, expected.part_minor[dated].tolist(), expected.part_term[dated].tolist(), expected.overdue[dated].tolist(), strict=True)  # fmt: skip
    last: dict[tuple[str, str], int] = {}
    for at, owner, minor, term, late in rows:
        key = labels[at], currencies[owner]
        entry = found.setdefault(key, [0, 0, 0])
        entry[0] += minor
        entry[1] += last.get(key) != term  # parts of one term stand side by side
        entry[2] += minor if late else 0
        last[key] = term
    return tuple(ExpectedLine(p, c, *found[p, c]) for p, c in sorted(found))


def _day(number: int) -> date:
    found = as_date(number)
    assert found is not None
    return found


def _undated(connection: Connection, expected: Expected) -> Iterable[UndatedLine]:
    names = {(c, t): n for c, t, n in fetch(connection, "SELECT contract_id, code, name FROM terms")}
    for at in np.flatnonzero(expected.part_basis >= UNDATED_FROM).tolist():
        term = int(expected.part_term[at])
        head, code = expected.heads[int(expected.owner[term])], expected.codes[term]
        name = names.get((head.id, code), code)
        reason = BASES[int(expected.part_basis[at])]
        yield UndatedLine(head.number, code, name, head.customer, head.currency, int(expected.part_minor[at]), reason)


def _behaviour(expected: Expected) -> tuple[BehaviourLine, ...]:
    """Customers with a history, the latest payers first; those with too short a one last."""
    b = expected.behaviour
    lines = [
        BehaviourLine(name, n, low, median, high) if enough else BehaviourLine(name, n, None, None, None)
        for name, n, low, median, high, enough in zip(
            expected.customers, *(x.tolist() for x in (b.count, b.low, b.median, b.high, b.enough)), strict=True
        )
        if n
    ]
    return tuple(sorted(lines, key=lambda x: (x.median is None, -(x.median or 0), x.customer)))


def _assumed(expected: Expected) -> tuple[Assumed, ...]:
    """How much of each currency rests on which assumption; one amount may rest on two."""
    found: dict[tuple[str, str], int] = {}
    how, weekdays = expected.part_assumed, expected.part_weekdays
    for at in np.flatnonzero(((how >= 0) | weekdays) & (expected.part_day < NEVER)).tolist():
        names = [*([ASSUMED[int(how[at])]] if how[at] >= 0 else []), *(["calendar"] if weekdays[at] else [])]
        currency = expected.heads[int(expected.owner[expected.part_term[at]])].currency
        for name in names:
            found[name, currency] = found.get((name, currency), 0) + int(expected.part_minor[at])
    return tuple(Assumed(c, name, found[name, c]) for name, c in sorted(found))


def _ageing(connection: Connection, day: int) -> tuple[AgeingLine, ...]:
    terms = open_terms(connection, day)
    if not len(terms):
        return ()
    firsts = [[0, *(b.first for b in table)] for table in terms.bucket_sets]
    lines = [
        AgeingLine(r["customer"], r["currency"], r["label"], firsts[r["bucket_set"]][r["bucket"]], int(r["open"]), int(r["terms"]))
        for r in ageing_table(terms, day, ("customer",)).to_dict("records")
    ]  # fmt: skip
    return tuple(sorted(lines, key=lambda x: (x.currency, x.customer, x.first)))


# --- what moved ----------------------------------------------------------------------------------------


def _ordered(moved: Sequence[MoveLine]) -> Iterable[MoveLine]:
    """By what went wrong first, the largest first; what came or is new at the end."""
    return sorted(moved, key=lambda m: (m.why.code in QUIET, m.currency, -m.gross, m.contract, m.term, m.start or "~"))


def _alerts(moved: Sequence[MoveLine], months: Sequence[ExpectedLine], threshold: Threshold) -> tuple[MoveLine, ...]:
    """Moves of one contract and cause between the same months added up, where they pass the threshold."""
    causes: dict[tuple[Any, ...], MoveLine] = {}
    for m in moved:
        if m.why.code in QUIET or m.start is None:
            continue
        key = (m.contract, m.currency, m.start, m.end, m.why)
        known = causes.get(key)
        causes[key] = m if known is None else replace(m, gross=known.gross + m.gross, term="")
    before = _before(moved, months)
    loud = [m for m in causes.values() if threshold.passed(m.gross, m.currency, before.get((str(m.start), m.currency), 0))]  # fmt: skip
    return tuple(sorted(loud, key=lambda m: (m.currency, -m.gross, m.contract, m.start or "", m.end or "")))


def _before(moved: Sequence[MoveLine], months: Sequence[ExpectedLine]) -> dict[tuple[str, str], int]:
    """The sums of the earlier run: those of today less what moved."""
    sums = {(x.period, x.currency): x.gross for x in months}
    for m in moved:
        if m.start is not None:
            sums[m.start, m.currency] = sums.get((m.start, m.currency), 0) + m.gross
        if m.end is not None:
            sums[m.end, m.currency] = sums.get((m.end, m.currency), 0) - m.gross
    return sums


def _finding(alert: MoveLine) -> Finding:
    place = Place(contract=alert.contract, term=alert.term or None)
    return Finding("FORECAST_MOVED", Severity.WARNING, place, {"what": alert})


__all__ = ["UNDATED", "Assumed", "Looked", "look_ahead"]
