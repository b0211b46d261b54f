"""Interest rates as data: which rate holds from which day. Rates are inputs, never looked up.

A rate here is a fraction a day, exact: 10.15 % a year on 365 days is 1015/10000/365.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RatePeriod:
    """A daily rate from `first` to `last`, both included. None: without beginning, without end."""

    first: date | None
    last: date | None
    daily: Fraction


class RateGap(ValueError):
    """A day for which the table has no rate."""

    def __init__(self, day: date) -> None:
        super().__init__(f"no rate for {day}")
        self.day = day


@dataclass(frozen=True, slots=True)
class RateTable:
    """Periods in order, without overlap; `problems` tells where a table is not."""

    periods: tuple[RatePeriod, ...]

    @classmethod
    def constant(cls, daily: Fraction) -> RateTable:
        """One rate for ever."""
        return cls((RatePeriod(None, None, daily),))

    @classmethod
    def yearly(cls, rows: Sequence[tuple[date | None, date | None, Fraction]], day_base: int = 365) -> RateTable:
        """From yearly fractions (10.15 % is 203/2000), ordered by their first day."""
        ordered = sorted(rows, key=lambda r: r[0] or date.min)
        return cls(tuple(RatePeriod(first, last, rate / day_base) for first, last, rate in ordered))

    def on(self, day: date) -> Fraction:
        """The daily rate of one day. Raises RateGap."""
        return next(self.spans(day, day))[2]

    def spans(self, first: date, last: date) -> Iterator[tuple[date, date, Fraction]]:
        """(first, last, daily rate) runs that cover exactly `first`..`last`. Raises RateGap."""
        day = first
        for period in self.periods:
            if day > last:
                return
            if (period.last is not None and period.last < day) or (period.first or date.min) > last:
                continue
            if period.first is not None and period.first > day:
                raise RateGap(day)
            end = last if period.last is None else min(period.last, last)
            yield day, end, period.daily
            day = end + ONE_DAY
        if day <= last:
            raise RateGap(day)


def table_problems(periods: Sequence[RatePeriod]) -> list[tuple[str, date]]:
    """("gap"|"overlap"|"backwards", first day concerned) of a rate table."""
    found = [("backwards", p.first) for p in periods if p.first and p.last and p.last < p.first]
    for before, after in pairwise(periods):
        begins = after.first or date.min
        if before.last is None or begins <= before.last:
            found.append(("overlap", begins))
        elif begins > before.last + ONE_DAY:
            found.append(("gap", before.last + ONE_DAY))
    return found
