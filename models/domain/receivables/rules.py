"""How one contract treats what is late: its rate, ladder, buckets, bills, and the statutory reference."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from models.domain.receivables import ageing, dunning
from models.domain.receivables.interest import InterestRounding
from models.domain.receivables.rates import RateTable


class BillPolicy(StrEnum):
    """What a bank or trade bill does between the day it came and its maturity."""

    SUSPENDS_UNTIL_MATURITY = "suspends_until_maturity"  # neither cash nor overdue: bears no interest meanwhile
    PAYS_AT_MATURITY = "pays_at_maturity"  # the debt stays open and bears interest until then
    PAYS_ON_RECEIPT = "pays_on_receipt"  # taken in place of payment (抵付): as cash


@dataclass(frozen=True, slots=True)
class LateRule:
    """The agreed or stated rate. `fixed_sum` in minor units, due once a term is late. `basis`: where it is from."""

    table: RateTable
    fixed_sum: int | None = None
    basis: str = ""
    rounding: InterestRounding = InterestRounding.AT_END


@dataclass(frozen=True, slots=True)
class StatutoryRule:
    """The period a statute gives where the contract's own condition may be void, and its candidate rates."""

    days: int
    from_event: str
    rolls: bool = True  # a last day that is a rest day moves to the next business day (民法典 203)
    lpr_1y: Fraction | None = None  # a year, as an input
    daily_rate: Fraction | None = None
    day_base: int = 365


@dataclass(frozen=True, slots=True)
class ReceivableRules:
    """All of it; the standard ladder and buckets where the contract names none."""

    late: LateRule | None = None
    statutory: StatutoryRule | None = None
    ladder: tuple[dunning.Step, ...] = dunning.STANDARD
    ageing: tuple[ageing.Bucket, ...] = ageing.STANDARD
    bill_policy: BillPolicy = BillPolicy.SUSPENDS_UNTIL_MATURITY
    customer_class: str = ""  # chooses a ladder of the configuration, where the contract names none of its own
    sends: bool = False  # reminders go to the customer; else they are drafts
    stated: frozenset[str] = frozenset()  # the keys the contract itself names
