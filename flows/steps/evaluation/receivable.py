"""What the money does after the invoice, for one term of an evaluated contract, in the words of the golden cases.

Conditions, amounts and due dates come from the columnar evaluation; the exact interest, the ladder and the
clocks are the rules of `models.domain.receivables`, one claim at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.evaluation.days import Calendars
from flows.steps.evaluation.gather import local_day
from flows.steps.evaluation.run import INVOICED, NOT_READY, PAID, PART_PAID, READY, WAIVED, Evaluation
from models.domain import contracts as m
from models.domain.conditions import event_names
from models.domain.contracts import PaymentFact
from models.domain.money import amount_text
from models.domain.receivables import ageing, agreements, dunning
from models.domain.receivables.candidates import Statute, candidate, statute_table
from models.domain.receivables.interest import Reduction, overdue_days
from models.domain.receivables.late import late_interest
from models.domain.receivables.limitation import Interruption, InterruptionKind, limitation_expires
from models.domain.receivables.rates import RateTable
from models.domain.receivables.rules import BillPolicy

#: Money of a term, as the contract's facts state it.
Payments = Sequence[PaymentFact]


@dataclass(frozen=True, slots=True)
class Claim:
    """One term as a claim on a day; amounts gross minor units."""

    gross: int
    due: date | None
    open: int
    pending: int  # bills in hand that have not matured
    payments: Payments
    as_of: date

    @property
    def cash_open(self) -> int:
        """What is covered neither by money nor by a bill in hand."""
        return max(0, self.open - self.pending)


def claim_of(payments: Payments, gross: int, due: date | None, status: int, as_of: date) -> Claim:
    """The claim of a term, with the money that stands on the day."""
    known = [p for p in payments if p.on <= as_of and not _bounced(p, as_of)]
    paid = sum(p.amount for p in known if (p.maturity or p.on) <= as_of)
    pending = sum(p.amount for p in known if (p.maturity or p.on) > as_of)
    owed = 0 if status in (NOT_READY, WAIVED) else max(0, gross - paid)
    return Claim(gross, due, owed, min(pending, owed), tuple(known), as_of)


def _opened(contract: m.Contract, term: str) -> list[PaymentFact]:
    """What was paid before the contract was taken over."""
    return [PaymentFact(term, o.paid_on or date.min, o.paid) for o in contract.opening if o.term == term and o.paid]


def _bounced(payment: PaymentFact, as_of: date) -> bool:
    """A dishonoured bill never paid: interest runs as if it had not been given."""
    return payment.dishonoured is not None and payment.dishonoured <= as_of


def reductions(payments: Payments, policy: BillPolicy) -> list[Reduction]:
    """From when each payment stops interest: cash on its day, a bill as the contract says."""
    at_maturity = policy is BillPolicy.PAYS_AT_MATURITY
    return [Reduction(p.maturity if p.maturity and at_maturity else p.on, p.amount) for p in payments]


def receivable_values(
    contract: m.Contract, facts: m.Facts, index: int, out: Evaluation, calendars: Calendars
) -> dict[str, object]:
    """The keys of one term (`index` in a batch of one contract), absent where they do not apply."""
    term = contract.terms[index]
    as_of = as_date(int(out.as_of[0]))
    assert as_of is not None
    status = int(out.status[index])
    own = [*_opened(contract, term.id), *(p for p in facts.payments if p.term == term.id)]
    claim = claim_of(own, int(out.claimed[index]), as_date(int(out.due[index])), status, as_of)
    values = {} if status in (PAID, WAIVED) else _statutory(contract, facts, term, claim, calendars)
    if claim.due is None or status in (NOT_READY, WAIVED):
        return values
    values |= _late(contract, claim)
    if status in (INVOICED, PART_PAID, READY):
        values |= _open(contract, facts, term.id, claim)
    elif status == PAID:
        values |= _promise(facts, term.id, claim)
    return values


def _late(contract: m.Contract, claim: Claim) -> dict[str, object]:
    """Interest by the contract's own or stated rule, and the fixed sum once it is late."""
    rule = contract.rules.late
    assert claim.due is not None
    if rule is None:
        return {}
    stops = reductions(claim.payments, contract.rules.bill_policy)
    found = late_interest(rule, claim.gross, stops, claim.due, claim.as_of)
    if found.unknown_from is not None:
        return {"interest_unknown_from": found.unknown_from.isoformat()}
    values: dict[str, object] = {"interest": amount_text(found.total, contract.digits)}
    if found.fixed_sum is not None:
        values["fixed_sum"] = amount_text(found.fixed_sum, contract.digits)
    return values


def _open(contract: m.Contract, facts: m.Facts, term: str, claim: Claim) -> dict[str, object]:
    assert claim.due is not None
    rules, days = contract.rules, overdue_days(claim.due, claim.as_of)
    values: dict[str, object] = {
        "bills_pending": amount_text(claim.pending, contract.digits),
        "cash_open": amount_text(claim.cash_open, contract.digits),
        "dunning_level": dunning.level_on(rules.ladder, (claim.as_of - claim.due).days),
        "dunning_paused_until": _paused_until(facts, term, claim),
    }
    if days:
        values["ageing"] = ageing.bucket_of(days, rules.ageing)
    if contract.calendar == "CN":
        ends = limitation_expires(claim.due, _interruptions(facts, term, claim), claim.as_of)
        values["limitation_expires"] = ends.isoformat()
    return values | _promise(facts, term, claim)


def _promise(facts: m.Facts, term: str, claim: Claim) -> dict[str, object]:
    found = _standing(facts, term, claim)
    return {} if found is None else {"promise": agreements.promise_state(found, cash(claim), claim.as_of).value}


def _standing(facts: m.Facts, term: str, claim: Claim) -> agreements.Promise | None:
    return agreements.latest((p.promise for p in facts.promises if p.term == term), claim.as_of)


def cash(claim: Claim) -> list[agreements.Paid]:
    """Money that really came, by the day it counts: bills at their maturity."""
    return [(p.maturity or p.on, p.amount) for p in claim.payments]


def _paused_until(facts: m.Facts, term: str, claim: Claim) -> str | None:
    found = _standing(facts, term, claim)
    if found is None or agreements.promise_state(found, cash(claim), claim.as_of) is not agreements.PromiseState.OPEN:
        return None
    return found.pay_by.isoformat()


def _interruptions(facts: m.Facts, term: str, claim: Claim) -> list[Interruption]:
    """What restarts the limitation period: demands, and what the debtor did (民法典 195)."""
    made = [p.promise.made for p in facts.promises if p.term == term]
    return [
        *facts.interruptions,
        *(Interruption(InterruptionKind.PROMISE, day) for day in made),
        *(Interruption(InterruptionKind.PART_PAYMENT, p.on) for p in claim.payments),
    ]


# --- the statutory reference -------------------------------------------------------------------------


def _statutory(
    contract: m.Contract, facts: m.Facts, term: m.Term, claim: Claim, calendars: Calendars
) -> dict[str, object]:
    """When a statute would have the money due although the contract's condition is not met; a person decides."""
    rule = contract.rules.statutory
    if rule is None:
        return {}
    due = statutory_due(contract, term, lambda e: _happened(contract, facts, e, claim.as_of), calendars)
    if due is None:
        return {}
    values: dict[str, object] = {
        "statutory_reference_due_on": due.isoformat(),
        "statutory_reference_overdue_days": overdue_days(due, claim.as_of),
    }
    tables = {}
    if rule.lpr_1y is not None:
        reference = [(None, None, rule.lpr_1y)]
        tables["lpr"] = statute_table(Statute.BACK_TO_BACK_REPLY_2, reference, rule.day_base)
    if rule.daily_rate is not None:
        tables["daily"] = RateTable.constant(rule.daily_rate)
    return values | _candidates(contract, claim, due, tables)


def statutory_due(
    contract: m.Contract, term: m.Term, happened: Callable[[str], date | None], calendars: Calendars
) -> date | None:
    """When the contract's statutory reference has a term due; None where it has none, or its event did not happen."""
    rule = contract.rules.statutory
    if rule is None or rule.from_event not in event_names(term.when):
        return None
    start = happened(rule.from_event)
    return None if start is None else _rolled(start + timedelta(days=rule.days), calendars, moves=rule.rolls)


def _candidates(contract: m.Contract, claim: Claim, due: date, tables: Mapping[str, RateTable]) -> dict[str, object]:
    statutes = {"lpr": Statute.BACK_TO_BACK_REPLY_2, "daily": Statute.SME_REGULATION_17}
    stops = reductions(claim.payments, contract.rules.bill_policy)
    found = {n: candidate(statutes[n], claim.gross, stops, table, due, claim.as_of) for n, table in tables.items()}
    return {f"interest_candidate_{n}": amount_text(c.interest, contract.digits) for n, c in found.items()}


def _happened(contract: m.Contract, facts: m.Facts, event: str, as_of: date) -> date | None:
    """Since when an event stands on a day."""
    changes = sorted((local_day(c.at, contract.timezone), c.value) for c in facts.events.get(event, ()))
    binding = contract.events.get(event)
    if not changes and isinstance(binding, m.DateBinding):
        changes = [(day_number(binding.on), True)]
    come = [(day, value) for day, value in changes if day <= day_number(as_of)]
    return as_date(come[-1][0]) if come and come[-1][1] else None


def _rolled(day: date, calendars: Calendars, *, moves: bool) -> date | None:
    """Moved off a rest day; None past the calendar's horizon."""
    if not moves:
        return day
    one = np.zeros(1, dtype=np.int64)
    rolled, _ = calendars.roll(np.array([day_number(day)], dtype=np.int32), one + 1, one)
    return as_date(int(rolled[0]))
