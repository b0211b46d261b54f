"""Candidate late-payment rates side by side, each with the article it rests on. A person or counsel chooses.

Sources of the rules: domain facts 4.3, 4.4, 4.8 (保障中小企业款项支付条例 Art. 17; 法释〔2024〕11号 Art. 2;
买卖合同解释 Art. 18; 建设工程施工合同解释（一） Art. 26; Directive 2011/7/EU Art. 2(6), 6; UK Late Payment of
Commercial Debts (Interest) Act 1998 s. 6, 5A). Rates themselves are inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction

from models.domain.receivables.interest import Reduction, interest_lines, interest_total
from models.domain.receivables.rates import RateTable


class Statute(StrEnum):
    """Which rule; its words and article are `basis.<value>` in the catalogue."""

    CONTRACT = "contract"
    SME_REGULATION_17 = "sme_regulation_17"  # 0.05 % a day
    BACK_TO_BACK_REPLY_2 = "back_to_back_reply_2"  # 1-year LPR
    SALES_18_LOW = "sales_18_low"  # 1-year LPR at breach + 30 %
    SALES_18_HIGH = "sales_18_high"  # … + 50 %
    CONSTRUCTION_26 = "construction_26"  # LPR of the same term
    EU_2011_7 = "eu_2011_7"  # reference rate + 8 points
    UK_1998 = "uk_1998"  # base rate + 8 points


#: What a statute makes of its reference rate (fractions a year): factor, points added.
FORMULA: Mapping[Statute, tuple[Fraction, Fraction]] = {
    Statute.BACK_TO_BACK_REPLY_2: (Fraction(1), Fraction(0)),
    Statute.SALES_18_LOW: (Fraction(13, 10), Fraction(0)),
    Statute.SALES_18_HIGH: (Fraction(15, 10), Fraction(0)),
    Statute.CONSTRUCTION_26: (Fraction(1), Fraction(0)),
    Statute.EU_2011_7: (Fraction(1), Fraction(8, 100)),
    Statute.UK_1998: (Fraction(1), Fraction(8, 100)),
}
SME_DAILY = Fraction(5, 10_000)

Yearly = tuple[date | None, date | None, Fraction]


@dataclass(frozen=True, slots=True)
class LegalSetting:
    """What decides which statutes are candidates at all; whether one applies is for counsel."""

    currency: str
    chinese: bool  # the contract counts by the Chinese calendar
    small_against_large: bool  # 条例: a small supplier against a large or public customer
    back_to_back: bool  # payment waits for a third party's payment


def candidate_statutes(setting: LegalSetting) -> tuple[Statute, ...]:
    """The statutes to show side by side."""
    if setting.chinese:
        small = (Statute.SME_REGULATION_17,) if setting.small_against_large else ()
        reply = (Statute.BACK_TO_BACK_REPLY_2,) if setting.small_against_large and setting.back_to_back else ()
        return (*small, *reply, Statute.SALES_18_LOW, Statute.SALES_18_HIGH, Statute.CONSTRUCTION_26)
    return {"EUR": (Statute.EU_2011_7,), "GBP": (Statute.UK_1998,)}.get(setting.currency, ())


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to count: interest in minor units, and the fixed sum that comes with it."""

    statute: Statute
    due: date
    interest: int
    fixed_sum: int = 0


def statute_table(statute: Statute, reference: Sequence[Yearly] = (), day_base: int = 365) -> RateTable:
    """The rate table of a statute over a reference rate (LPR, ECB, Bank rate), which is an input."""
    if statute is Statute.SME_REGULATION_17:
        return RateTable.constant(SME_DAILY)
    factor, points = FORMULA[statute]
    return RateTable.yearly([(a, b, rate * factor + points) for a, b, rate in reference], day_base)


def eu_fixed_sum() -> int:
    """EUR 40.00 a claim (Art. 6), in cents."""
    return 4000


def uk_fixed_sum(debt: int) -> int:
    """GBP 40, 70 or 100 by the size of the debt (s. 5A), in pence."""
    if debt < 1_000_00:
        return 40_00
    return 70_00 if debt < 10_000_00 else 100_00


def candidate(
    statute: Statute, minor: int, reductions: Sequence[Reduction], table: RateTable, due: date, as_of: date
) -> Candidate:
    """What one statute would give. Raises RateGap."""
    interest = interest_total(interest_lines(minor, reductions, table, due, as_of))
    fixed = 0
    if as_of > due and statute is Statute.EU_2011_7:
        fixed = eu_fixed_sum()
    if as_of > due and statute is Statute.UK_1998:
        fixed = uk_fixed_sum(minor)
    return Candidate(statute, due, interest, fixed)
