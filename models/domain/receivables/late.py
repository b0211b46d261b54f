"""Late interest of one claim by the contract's own or stated rule, with the lines that add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from models.domain.receivables.interest import (
    InterestLine,
    InterestRounding,
    Reduction,
    interest_lines,
    interest_total,
    line_amounts,
)
from models.domain.receivables.rates import ONE_DAY, RateGap
from models.domain.receivables.rules import LateRule


@dataclass(frozen=True, slots=True)
class LateInterest:
    """Interest line by line. `unknown_from`: the first day for which no rate is stated; nothing is counted from there."""

    lines: tuple[InterestLine, ...]
    rounding: InterestRounding = InterestRounding.AT_END
    unknown_from: date | None = None
    fixed_sum: int | None = None

    @property
    def counted_to(self) -> date | None:
        """The last day that has a rate; None where every day has one."""
        return None if self.unknown_from is None else self.unknown_from - ONE_DAY

    @property
    def total(self) -> int:
        """Minor units, as far as rates are stated."""
        return interest_total(self.lines, self.rounding)

    @property
    def amounts(self) -> tuple[int, ...]:
        """Of each line; they add up to the total."""
        return line_amounts(self.lines, self.rounding)


def late_interest(rule: LateRule, minor: int, reductions: Sequence[Reduction], due: date, as_of: date) -> LateInterest:
    """The interest of a claim up to a day; up to the day before the first one without a rate."""
    try:
        lines, gap = interest_lines(minor, reductions, rule.table, due, as_of), None
    except RateGap as problem:
        gap = problem.day
        lines = interest_lines(minor, reductions, rule.table, due, gap - ONE_DAY)
    fixed = rule.fixed_sum if rule.fixed_sum is not None and lines else None
    return LateInterest(lines, rule.rounding, gap, fixed)
