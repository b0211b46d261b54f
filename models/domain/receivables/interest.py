"""Late interest, exact by day (rule I1): simple, on the open amount, one day for each day after the due
date up to and including the day of judgement or payment; rounded once, at the end.

Some public calculators round the interest of one day first (gov.uk: 23p x 50 = 11.50, exact 11.64);
the rounding point is therefore an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

from models.domain.money import round_half_up
from models.domain.receivables.rates import ONE_DAY, RateTable


class InterestRounding(StrEnum):
    """Where minor units are rounded."""

    AT_END = "at_end"
    PER_DAY = "per_day"


@dataclass(frozen=True, slots=True)
class Reduction:
    """The open amount shrinks by `minor`; the day itself still bears interest on the old amount."""

    on: date
    minor: int


@dataclass(frozen=True, slots=True)
class InterestLine:
    """A run of days with one open amount and one rate; `exact` in minor units."""

    first: date
    last: date
    open: int
    daily: Fraction

    @property
    def days(self) -> int:
        """How many days, both ends included."""
        return (self.last - self.first).days + 1

    @property
    def exact(self) -> Fraction:
        """The interest of the run, unrounded."""
        return self.open * self.daily * self.days


def open_spans(
    minor: int, reductions: Iterable[Reduction], first: date, last: date
) -> Iterator[tuple[date, date, int]]:
    """(first, last, open amount) runs of the days `first`..`last`; nothing where nothing is open."""
    left, day = minor, first
    for reduction in sorted(reductions, key=lambda r: r.on):
        end = min(reduction.on, last)
        if end >= day:
            if left > 0:
                yield day, end, left
            day = end + ONE_DAY
        left -= reduction.minor
    if day <= last and left > 0:
        yield day, last, left


def interest_lines(
    minor: int, reductions: Sequence[Reduction], table: RateTable, due: date, until: date
) -> tuple[InterestLine, ...]:
    """The interest of a claim, line by line, for the days after `due` up to `until`. Raises RateGap."""
    return tuple(
        InterestLine(a, b, left, daily)
        for first, last, left in open_spans(minor, reductions, due + ONE_DAY, until)
        for a, b, daily in table.spans(first, last)
    )


def interest_total(lines: Iterable[InterestLine], rounding: InterestRounding = InterestRounding.AT_END) -> int:
    """Interest in minor units, half up."""
    if rounding is InterestRounding.PER_DAY:
        return sum(round_half_up(x.open * x.daily) * x.days for x in lines)
    return round_half_up(sum((x.exact for x in lines), Fraction(0)))


def overdue_days(due: date, as_of: date) -> int:
    """Rule D4: the due day itself is in time."""
    return max(0, (as_of - due) // timedelta(days=1))


def line_amounts(
    lines: Sequence[InterestLine], rounding: InterestRounding = InterestRounding.AT_END
) -> tuple[int, ...]:
    """Minor units of each line, so that they add up to `interest_total` to the cent.

    Rounded at the end, a line gets what the running total grows by: the odd cent lands where it falls due.
    """
    if rounding is InterestRounding.PER_DAY:
        return tuple(interest_total([x], rounding) for x in lines)
    running = [round_half_up(sum((x.exact for x in lines[:n]), Fraction(0))) for n in range(len(lines) + 1)]
    return tuple(after - before for before, after in pairwise(running))
