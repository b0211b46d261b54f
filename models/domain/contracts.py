"""A contract as the rules see it: everything resolved, exact, and immutable.

Built by `models.records` from the contract file; amounts are minor units of the contract's currency,
percentages and rates exact fractions (30 % is 3/10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum, StrEnum
from fractions import Fraction

from models.domain.conditions import Condition
from models.domain.receivables.agreements import Promise
from models.domain.receivables.dunning import Tone
from models.domain.receivables.limitation import Interruption
from models.domain.receivables.rules import ReceivableRules


class PriceBasis(StrEnum):
    """Whether line amounts contain the tax."""

    TAX_INCLUSIVE = "tax_inclusive"
    TAX_EXCLUSIVE = "tax_exclusive"


class TaxRounding(StrEnum):
    """How tax is quantised; half up unless the contract says otherwise."""

    HALF_UP = "half_up"
    DOWN = "down"


class DueStart(StrEnum):
    """Which date starts the payment period."""

    READY = "ready"  # the legal date
    INVOICE_DATE = "invoice_date"
    INVOICE_RECEIVED = "invoice_received"


class DueAdd(StrEnum):
    """How the payment period is counted; `n` is its number."""

    DAYS = "days"
    BUSINESS_DAYS = "business_days"
    MONTHS = "months"
    DAYS_THEN_END_OF_MONTH = "days_then_end_of_month"  # {days: n, then: end_of_month}
    END_OF_MONTH_THEN_DAYS = "end_of_month_then_days"
    DAY_OF_NEXT_MONTH = "day_of_next_month"
    END_OF_NEXT_MONTH = "end_of_next_month"


class Roll(StrEnum):
    """Where a due date on a rest day moves (rule D3)."""

    NONE = "none"
    FOLLOWING = "following"
    PRECEDING = "preceding"


class EvidenceGrade(IntEnum):
    """How good a proof is; a contract may demand a minimum."""

    NUMBER = 1  # a percentage only
    STATE = 2  # state and date
    HISTORY = 3  # state history with person and date
    REVIEW = 4  # formal review with person and date


@dataclass(frozen=True, slots=True)
class Party:
    """Customer or supplier; `size` is micro|small|sme|medium|large|public at signing, if declared."""

    name: str
    tax_id: str | None = None
    size: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to tell. role: finance, project_manager, customer_payer, operator."""

    role: str
    name: str
    email: str | None = None
    language: str = "zh-CN"
    tone: Tone | None = None  # of reminders; None: as the ladder says


@dataclass(frozen=True, slots=True)
class Line:
    """A part of the price with its own tax rate."""

    id: str
    amount: int
    tax_rate: Fraction


# --- amounts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Percent:
    """A fraction of every line (30 % is 3/10)."""

    of_price: Fraction


@dataclass(frozen=True, slots=True)
class Share:
    """Exactly numerator/denominator of every line."""

    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed sum in the price basis, spread over the lines pro rata."""

    amount: int


@dataclass(frozen=True, slots=True)
class Remaining:
    """What the other terms leave of every line; `weight` (a fraction) matters to amendments only."""

    weight: Fraction | None = None


@dataclass(frozen=True, slots=True)
class CumulativePercent:
    """Up to this fraction of the price, less what the terms before it took (付至 N %)."""

    of_price: Fraction


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certified sum; `ProgressRule` says what part is payable and what recovers the advance."""

    amount: int


@dataclass(frozen=True, slots=True)
class Valuation:
    """A valuation of work; retention is kept back from it."""

    amount: int


@dataclass(frozen=True, slots=True)
class RetentionRelease:
    """A part of the retention, as the contract's `RetentionRule` says."""


AmountRule = Percent | Share | Fixed | Remaining | CumulativePercent | Certificate | Valuation | RetentionRelease


@dataclass(frozen=True, slots=True)
class ProgressRule:
    """Progress payments: part paid, advance recovered up to its sum (golden CN-03)."""

    pay: Fraction
    advance_term: str | None = None
    recover: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Release:
    """One release of retention: a share of all that was retained, or what is left."""

    term: str
    share: Fraction | None  # None: the rest


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Part of each valuation kept back, and how it comes free (golden INT-02)."""

    percent: Fraction
    releases: tuple[Release, ...]


@dataclass(frozen=True, slots=True)
class Cap:
    """Not to exceed: the sum of `terms` stops at `amount`; what is above is held."""

    amount: int
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retainer:
    """Money paid ahead in `term`, drawn down by the later terms, the oldest first."""

    term: str
    amount: int


@dataclass(frozen=True, slots=True)
class Amendment:
    """From `effective` on the price is another; invoiced terms stay, the rest spreads by weight."""

    id: str
    effective: date
    line_totals: Mapping[str, int]  # line id -> new total
    policy: str = "freeze_invoiced_spread_remaining_by_weight"


# --- terms and bindings -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DueRule:
    """When a term must be paid."""

    start: DueStart
    add: DueAdd
    n: int
    roll: Roll


@dataclass(frozen=True, slots=True)
class Term:
    """One instalment."""

    id: str
    name: str
    amount: AmountRule
    when: Condition
    due: DueRule | None = None
    approval_required: bool = False


@dataclass(frozen=True, slots=True)
class MilestoneBinding:
    """An event is true while a milestone is done (or accepted). By vendor id, or by exact name."""

    connection: str
    project: str
    id: str | None = None
    name: str | None = None
    state: str = "done"  # done | accepted
    min_grade: EvidenceGrade | None = None


@dataclass(frozen=True, slots=True)
class ProgressBinding:
    """Where a percentage comes from; `at_least` makes it an event, None leaves the threshold to the condition."""

    connection: str
    project: str
    at_least: Fraction | None = None
    id: str | None = None  # a milestone; none: the whole project
    name: str | None = None
    min_grade: EvidenceGrade | None = None


@dataclass(frozen=True, slots=True)
class DocumentBinding:
    """An event is true from the day a document was received."""

    document: str


@dataclass(frozen=True, slots=True)
class SignOffBinding:
    """An event is true from the day somebody in a role signed it off."""

    role: str


@dataclass(frozen=True, slots=True)
class DateBinding:
    """A literal date: a fact once it has come, a plan before."""

    on: date


Binding = MilestoneBinding | ProgressBinding | DocumentBinding | SignOffBinding | DateBinding


@dataclass(frozen=True, slots=True)
class Guarantee:
    """A guarantee or bond as the contract or its facts state it."""

    id: str
    kind: str
    amount: int
    issued: date | None
    expires: date | None


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a running contract stands when it is taken over; amounts in gross minor units."""

    term: str
    invoiced: int
    paid: int
    invoiced_on: date | None = None
    paid_on: date | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract; the single shape that evaluation, reports and notices work on."""

    number: str
    title: str
    customer: Party
    supplier: Party
    currency: str
    digits: int  # minor digits of the currency
    timezone: str
    calendar: str
    price_basis: PriceBasis
    lines: tuple[Line, ...]
    terms: tuple[Term, ...]
    tax_rounding: TaxRounding = TaxRounding.HALF_UP
    events: Mapping[str, Binding] = field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()
    guarantees: tuple[Guarantee, ...] = ()
    progress: ProgressRule | None = None
    retention: RetentionRule | None = None
    not_to_exceed: Cap | None = None
    retainer: Retainer | None = None
    amendments: tuple[Amendment, ...] = ()
    opening: tuple[Opening, ...] = ()
    approval_required: bool = False
    notify_customer: bool = False  # customer_payer notices are drafts until this is switched on
    receivables: Mapping[str, object] = field(default_factory=dict)  # late, statutory, ladder … as written
    rules: ReceivableRules = field(default_factory=ReceivableRules)  # the same, read
    file: str = ""
    line: int = 0
    content_hash: str = ""  # sha256 of the canonical long form


# --- what a case file adds: facts -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventChange:
    """An event became true or untrue. `at` is a date, or an instant with its offset (rule D5)."""

    at: date | datetime
    value: bool = True


@dataclass(frozen=True, slots=True)
class InvoiceFact:
    """A term was invoiced; `amount` gross minor units if stated."""

    term: str
    issued: date
    received: date | None = None
    amount: int | None = None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """Money (or a bill that matures on `maturity`) came in for a term; gross minor units."""

    term: str
    on: date
    amount: int
    method: str = ""
    maturity: date | None = None
    dishonoured: date | None = None


@dataclass(frozen=True, slots=True)
class PromiseFact:
    """The customer promised to pay a part of a term."""

    term: str
    promise: Promise


@dataclass(frozen=True, slots=True)
class Facts:
    """What has happened around one contract."""

    events: Mapping[str, tuple[EventChange, ...]] = field(default_factory=dict)
    progress: Mapping[str, tuple[tuple[date, Fraction], ...]] = field(default_factory=dict)
    guarantees: tuple[Guarantee, ...] = ()
    invoices: tuple[InvoiceFact, ...] = ()
    payments: tuple[PaymentFact, ...] = ()
    planned: Mapping[str, date] = field(default_factory=dict)  # event or progress name -> planned day
    promises: tuple[PromiseFact, ...] = ()
    interruptions: tuple[Interruption, ...] = ()  # of the limitation period, for the whole contract
