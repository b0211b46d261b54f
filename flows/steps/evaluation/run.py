"""Evaluate a batch for a day: conditions, freeze, amounts, due dates, statuses - in that order.

What was invoiced is frozen as it stood on the day of its invoice (S2). Contracts with invoices are
therefore first evaluated as of each invoice day, the earliest first, and then once for today.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flows.steps.evaluation import amounts as money
from flows.steps.evaluation.batch import Batch, Rows, ranges, take
from flows.steps.evaluation.columns import NEVER, NO_DAY, Add, Days, Ints, Mask, Op, Rolls, Start
from flows.steps.evaluation.conditions import NodeDays, Plan, TermDays, evaluate_nodes
from flows.steps.evaluation.days import Calendars, add_days, add_months, end_of_month
from flows.steps.evaluation.facts import Facts, SlotState

#: Statuses in the order of their codes.
NOT_READY, READY, INVOICED, PART_PAID, PAID, WAIVED = range(6)
STATUS_NAMES = ("not_ready", "ready", "invoiced", "part_paid", "paid", "waived")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One batch on one day. By term unless said otherwise; days NEVER and sums 0 where they do not apply."""

    batch: Batch
    plan: Plan
    rows: money.Rows
    as_of: Days  # by contract
    slots: SlotState  # by slot
    nodes: NodeDays  # by node, on today's facts
    legal: Days  # frozen where invoiced
    known: Days
    expected: Days  # when it is expected to be ready, by plans
    fixed: Mask  # invoiced: readiness and amount are frozen
    unproven: Mask  # invoiced, but its condition did not hold on the day of the invoice
    amounts: money.Amounts
    status: Ints
    due: Days
    due_beyond: Mask  # the due date lies past the calendar's horizon
    paid: Ints
    last_paid: Days
    claimed: Ints  # gross as invoiced where the invoice states it, else as computed
    outstanding: Ints  # of the invoiced gross
    overdue_days: Ints
    expected_nodes: NodeDays | None  # by node, with plans for what has not happened

    @property
    def ready(self) -> Mask:
        """Ready and not yet invoiced."""
        return np.asarray(self.status == READY)

    @property
    def as_of_node(self) -> Days:
        """The day of judgement by node."""
        return self.as_of[self.batch.node_contract()]


def evaluate(
    batch: Batch, facts: Facts, calendars: Calendars, as_of: Days | int, *, forecast: bool = True
) -> Evaluation:
    """Evaluate every term as of a day (one for all, or one for each contract)."""
    days = np.broadcast_to(np.asarray(as_of, dtype=np.int32), (batch.contracts,)).copy()
    plan = Plan.of(batch)
    never = np.full(len(batch.terms), NEVER, np.int32)
    out = _evaluate(batch, plan, facts, calendars, days, never, forecast=forecast)
    if Op.PAID in plan.leaves:
        # Whether a term is paid depends on its amount, and nothing of that on who waits for the money:
        # so one more round is enough.
        paid = np.where(out.status == PAID, out.last_paid, NEVER).astype(np.int32)
        out = _evaluate(batch, plan, facts, calendars, days, paid, forecast=forecast)
    return out


def _evaluate(
    batch: Batch, plan: Plan, facts: Facts, calendars: Calendars, as_of: Days, paid: Days, *, forecast: bool
) -> Evaluation:
    rows = money.Rows.of(batch)
    frozen, froze = _freeze_waves(batch, facts, calendars, as_of, rows, paid)
    return _today(batch, plan, facts, calendars, as_of, rows, frozen, froze, forecast=forecast)


@dataclass(slots=True)
class _Froze:
    """Readiness as frozen, by term."""

    fixed: Mask
    legal: Days
    known: Days
    unproven: Mask
    invoiced: Days
    paid: Days

    def days(self, as_of: Days, terms: Ints | slice = slice(None)) -> TermDays:
        """What stands about the named terms on `as_of` (by term)."""
        invoiced, paid = (
            np.where(x[terms] <= as_of, x[terms], NEVER).astype(np.int32) for x in (self.invoiced, self.paid)
        )
        return TermDays(self.fixed[terms], self.legal[terms], self.known[terms], invoiced, paid)


def _freeze_waves(
    batch: Batch, facts: Facts, calendars: Calendars, as_of: Days, rows: money.Rows, paid: Days
) -> tuple[money.Frozen, _Froze]:
    """Freeze every invoiced term as of its invoice day, earlier invoices first."""
    size = len(batch.terms)
    never = np.full(size, NEVER, np.int32)
    froze = _Froze(np.zeros(size, bool), never, never.copy(), np.zeros(size, bool), facts.claims.invoiced, paid)
    frozen = money.Frozen.none(batch, rows)
    owner = batch.term_contract()
    invoiced = facts.claims.invoiced
    due = np.flatnonzero((invoiced <= as_of[owner]) & ~facts.claims.waived)
    while len(due):
        first = np.full(batch.contracts, NEVER, dtype=np.int32)
        np.minimum.at(first, owner[due], invoiced[due])
        now = due[invoiced[due] == first[owner[due]]]
        frozen = _wave(batch, facts, calendars, first, rows, now, frozen, froze)
        due = due[invoiced[due] != first[owner[due]]]
    return frozen, froze


def _wave(
    batch: Batch,
    facts: Facts,
    calendars: Calendars,
    first: Days,
    rows: money.Rows,
    terms: Ints,
    frozen: money.Frozen,
    froze: _Froze,
) -> money.Frozen:
    """Evaluate the contracts of `terms` on their invoice day and freeze those terms."""
    contracts = np.unique(batch.term_contract()[terms])
    part, local = take(batch, contracts), facts.take(batch, contracts)
    own_terms = ranges(batch.term_at[contracts], np.diff(batch.term_at)[contracts])
    own_rows = ranges(rows.at[own_terms], rows.at[own_terms + 1] - rows.at[own_terms])
    inside = _part_of(frozen, own_terms, own_rows)
    days = froze.days(first[contracts][part.term_contract()], own_terms)
    was = _readiness(part, Plan.of(part), local, calendars, first[contracts], days)
    known = np.where(days.fixed, days.known, was.known)
    part_rows = money.Rows.of(part)
    sums = money.compute(part, part_rows, _situation(part, local, first[contracts], known, inside))
    at = np.searchsorted(own_terms, terms)
    ledger = facts.claims.has_frozen[terms]
    met = was.known[at] <= first[batch.term_contract()[terms]]
    froze.legal[terms] = np.where(ledger, facts.claims.frozen_legal[terms], np.where(met, was.legal[at], NEVER))
    froze.known[terms] = np.where(ledger, facts.claims.frozen_known[terms], np.where(met, was.known[at], NEVER))
    froze.unproven[terms] = ~met & ~ledger
    froze.fixed[terms] = True
    return _merge(frozen, money.freeze(inside, sums, at, part_rows), own_terms, own_rows)


def _part_of(frozen: money.Frozen, terms: Ints, rows: Ints) -> money.Frozen:
    staged = money.Staged(*(getattr(frozen.staged, n)[terms] for n in money.Staged.__dataclass_fields__))
    return money.Frozen(frozen.fixed[terms], frozen.base[rows], staged)


def _merge(frozen: money.Frozen, part: money.Frozen, terms: Ints, rows: Ints) -> money.Frozen:
    fixed, base = frozen.fixed.copy(), frozen.base.copy()
    fixed[terms], base[rows] = part.fixed, part.base
    staged = {}
    for name in money.Staged.__dataclass_fields__:
        column = getattr(frozen.staged, name).copy()
        column[terms] = getattr(part.staged, name)
        staged[name] = column
    return replace(frozen, fixed=fixed, base=base, staged=money.Staged(**staged))


@dataclass(frozen=True, slots=True)
class _Readiness:
    slots: SlotState
    nodes: NodeDays
    legal: Days
    known: Days


def _readiness(
    batch: Batch, plan: Plan, facts: Facts, calendars: Calendars, as_of: Days, frozen: TermDays
) -> _Readiness:
    slots = facts.changes.state(as_of[batch.slot_contract()])
    nodes = evaluate_nodes(batch, plan, calendars, slots.since, frozen)
    root = batch.terms["root"]
    return _Readiness(slots, nodes, nodes.legal[root], nodes.known[root])


def _situation(batch: Batch, facts: Facts, as_of: Days, known: Days, frozen: money.Frozen) -> money.Situation:
    received = np.zeros(batch.contracts, dtype=np.int64)
    retainer = batch.head["retainer_term"]
    if (retainer >= 0).any():
        paid, _ = _received(batch, facts, as_of)
        received = np.where(retainer >= 0, paid[np.maximum(retainer, 0)], 0)
    return money.Situation(as_of, known, received, frozen)


def _received(batch: Batch, facts: Facts, as_of: Days) -> tuple[Ints, Days]:
    """Money in by term, and the day of the last of it."""
    claims = facts.claims
    paid = np.zeros(len(batch.terms), dtype=np.int64)
    last = np.zeros(len(batch.terms), dtype=np.int32)
    if len(claims.money_term):
        here = claims.money_day <= as_of[batch.term_contract()[claims.money_term]]
        np.add.at(paid, claims.money_term[here], claims.money[here])
        came = here & (claims.money > 0)
        np.maximum.at(last, claims.money_term[came], claims.money_day[came])
    return paid, np.where(paid > 0, last, NEVER).astype(np.int32)


def _today(
    batch: Batch,
    plan: Plan,
    facts: Facts,
    calendars: Calendars,
    as_of: Days,
    rows: money.Rows,
    frozen: money.Frozen,
    froze: _Froze,
    *,
    forecast: bool,
) -> Evaluation:
    owner = batch.term_contract()
    now = _readiness(batch, plan, facts, calendars, as_of, froze.days(as_of[owner]))
    legal = np.where(froze.fixed, froze.legal, now.legal)
    known = np.where(froze.fixed, froze.known, now.known)
    amounts = money.compute(batch, rows, _situation(batch, facts, as_of, known, frozen))
    paid, last_paid = _received(batch, facts, as_of)
    gross = np.where(froze.fixed & (facts.claims.amount >= 0), facts.claims.amount, amounts.term_gross)
    outstanding = np.where(froze.fixed, np.maximum(gross - paid, 0), 0)
    status = _status(froze.fixed, known <= as_of[owner], paid, outstanding, facts.claims.waived)
    due, beyond = _due(batch, facts, calendars, legal, as_of[owner], status)
    owing = (status == READY) | (status == INVOICED) | (status == PART_PAID)
    overdue = np.where(owing & (due < NEVER), np.maximum(as_of[owner] - due.astype(np.int64), 0), 0)
    expected, expected_nodes = (
        _forecast(batch, plan, facts, calendars, as_of, now, froze, known) if forecast else (known, None)
    )
    return Evaluation(
        batch, plan, rows, as_of, now.slots, now.nodes, legal, known, expected, froze.fixed, froze.unproven, amounts,
        status, due, beyond, paid, last_paid, gross, outstanding, overdue, expected_nodes,
    )  # fmt: skip


def _status(fixed: Mask, met: Mask, paid: Ints, outstanding: Ints, waived: Mask) -> Ints:
    """S3, as a view over the facts."""
    status = np.where(met, READY, NOT_READY)
    invoiced = np.where(outstanding == 0, PAID, np.where(paid > 0, PART_PAID, INVOICED))
    status = np.where(fixed, invoiced, status)
    return np.where(waived, WAIVED, status)


def _due(batch: Batch, facts: Facts, calendars: Calendars, legal: Days, as_of: Days, status: Ints) -> tuple[Days, Mask]:
    """Due dates (D1-D4) of the terms whose period has started."""
    terms, claims = batch.terms, facts.claims
    start_of = terms["start"]
    choices = [start_of == Start.READY, start_of == Start.INVOICE_DATE, start_of == Start.INVOICE_RECEIVED]
    issued, received = (np.where(day == NO_DAY, NEVER, day) for day in (claims.invoiced, claims.received))
    start = np.select(choices, [legal, issued, received], NEVER).astype(np.int32)
    started = (start <= as_of) & (status != NOT_READY) & (status != WAIVED)
    due, beyond = np.full(len(terms), NEVER, np.int32), np.zeros(len(terms), bool)
    pick = np.flatnonzero(started)
    if len(pick):
        calendar = batch.calendar[batch.term_contract()[pick]]
        due[pick], beyond[pick] = due_of(terms[pick], start[pick], calendar, calendars)
    return due, beyond


def due_of(terms: Rows, start: Days, calendar: Ints, calendars: Calendars) -> tuple[Days, Mask]:
    """Due dates of terms whose periods start on `start`, and where the calendar's horizon was passed."""
    due, beyond = np.full(len(terms), NEVER, np.int32), np.zeros(len(terms), bool)
    for add in np.unique(terms["add"]):
        pick = np.flatnonzero(terms["add"] == add)
        n = terms["n"][pick]
        if add == Add.BUSINESS_DAYS:
            due[pick], beyond[pick] = calendars.add_business(start[pick], n, calendar[pick])
        else:
            due[pick] = _added(Add(int(add)), start[pick], n)
    rolls = np.where(terms["roll"] == Rolls.FOLLOWING, 1, np.where(terms["roll"] == Rolls.PRECEDING, 2, 0))
    rolled, past = calendars.roll(due, rolls, calendar)
    return rolled, beyond | past


def _added(add: Add, start: Days, n: Days) -> Days:
    match add:
        case Add.DAYS:
            return add_days(start, n)
        case Add.MONTHS:
            return add_months(start, n)
        case Add.DAYS_THEN_END_OF_MONTH:
            return end_of_month(add_days(start, n))
        case Add.END_OF_MONTH_THEN_DAYS:
            return add_days(end_of_month(start), n)
        case Add.END_OF_NEXT_MONTH:
            return end_of_month(start, 1)
        case Add.DAY_OF_NEXT_MONTH:
            last = end_of_month(start, 1)
            return np.minimum(add_days(end_of_month(start), n), last).astype(np.int32)
        case _:
            raise AssertionError(add)


def _forecast(
    batch: Batch,
    plan: Plan,
    facts: Facts,
    calendars: Calendars,
    as_of: Days,
    now: _Readiness,
    froze: _Froze,
    known: Days,
) -> tuple[Days, NodeDays]:
    """The same conditions over planned dates: what has not happened is expected on its planned day, at
    the earliest tomorrow.
    """
    day = as_of[batch.slot_contract()]
    planned = np.where(facts.planned < NEVER, np.maximum(facts.planned, day + 1), NEVER)
    slots = np.where(now.slots.since < NEVER, now.slots.since, planned).astype(np.int32)
    if not (planned < NEVER).any():
        return known, now.nodes
    nodes = evaluate_nodes(batch, plan, calendars, slots, froze.days(as_of[batch.term_contract()]))
    settled = froze.fixed | (known <= as_of[batch.term_contract()])
    return np.where(settled, known, nodes.known[batch.terms["root"]]).astype(np.int32), nodes
