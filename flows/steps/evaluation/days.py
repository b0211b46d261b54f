"""Day arithmetic over columns: months, month ends, business days, rolling (rules D1-D4).

A calendar is a table of its business days up to its horizon. A result past the horizon is NEVER and
is marked: it becomes a finding (CALENDAR_HORIZON), never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from flows.steps.evaluation.columns import NEVER, Days, Ints, Mask, day_number
from models.domain.calendars_spec import CalendarSpec

#: Before it no calendar is asked; contracts are younger.
FIRST_DAY = day_number(date(2000, 1, 1))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Business days of one calendar from FIRST_DAY to `horizon` (day number, included)."""

    name: str
    horizon: int
    business: Days  # the business days, ascending
    until: Days  # until[d - FIRST_DAY]: how many business days up to and including d


def calendar_table(spec: CalendarSpec) -> Calendar:
    """The table of a calendar: Monday to Friday, less the days off, plus the weekend days worked."""
    horizon = day_number(spec.horizon)
    days = np.arange(FIRST_DAY, horizon + 1, dtype=np.int32)
    works = (days + 3) % 7 < 5  # 1970-01-01 was a Thursday
    works[_inside(spec.weekdays_off, horizon)] = False
    works[_inside(spec.weekend_on, horizon)] = True
    return Calendar(spec.name, horizon, days[works], np.cumsum(works, dtype=np.int32))


def _inside(dates: Sequence[date], horizon: int) -> Ints:
    numbers = np.array([day_number(d) for d in dates], dtype=np.int64)
    return numbers[(numbers >= FIRST_DAY) & (numbers <= horizon)] - FIRST_DAY


Rule = Callable[[Calendar, Days, Ints], Days]


@dataclass(frozen=True, slots=True)
class Calendars:
    """The calendars of a batch, in the order of its calendar codes."""

    tables: tuple[Calendar, ...]

    @classmethod
    def named(cls, names: Sequence[str], specs: Mapping[str, CalendarSpec]) -> Calendars:
        """The tables for `names`. Raises KeyError for a calendar nobody described."""
        return cls(tuple(calendar_table(specs[name]) for name in names))

    def add_business(self, start: Days, n: Days, code: Ints) -> tuple[Days, Mask]:
        """The n-th business day strictly after `start` (D1), and where the horizon was passed."""
        return self._each(start, code, lambda table, days, pick: _nth_after(table, days, n[pick]))

    def roll(self, days: Days, mode: Ints, code: Ints) -> tuple[Days, Mask]:
        """Rest days moved (D3). mode: 0 stay, 1 to the next business day, 2 to the one before."""
        moves = mode > 0
        out, past = days.copy(), np.zeros(len(days), dtype=bool)
        if moves.any():
            where = np.flatnonzero(moves)
            out[where], past[where] = self._each(
                days[where], code[where], lambda table, some, pick: _rolled(table, some, mode[where][pick])
            )
        return out, past

    def _each(self, start: Days, code: Ints, rule: Rule) -> tuple[Days, Mask]:
        out = np.full(len(start), NEVER, dtype=np.int32)
        past = np.zeros(len(start), dtype=bool)
        known = start < NEVER
        for number, table in enumerate(self.tables):
            pick = np.flatnonzero(known & (code == number)) if len(self.tables) > 1 else np.flatnonzero(known)
            if len(pick):
                out[pick] = rule(table, start[pick], pick)
                past[pick] = out[pick] >= NEVER
        return out, past


def _nth_after(table: Calendar, start: Days, n: Days) -> Days:
    inside = (start >= FIRST_DAY) & (start <= table.horizon)
    before = table.until[np.where(inside, start - FIRST_DAY, 0)]
    at = before.astype(np.int64) + n - 1
    reached = inside & (at < len(table.business))
    days = table.business[np.where(reached & (at >= 0), at, 0)]
    return np.where(n == 0, start, np.where(reached, days, NEVER)).astype(np.int32)


def _rolled(table: Calendar, days: Days, mode: npt.NDArray[np.int64]) -> Days:
    inside = (days >= FIRST_DAY) & (days <= table.horizon)
    upto = table.until[np.where(inside, days - FIRST_DAY, 0)].astype(np.int64)
    last = len(table.business) - 1
    at_or_before = table.business[np.clip(upto - 1, 0, last)]
    rest = at_or_before != days
    after = np.where(upto <= last, table.business[np.clip(upto, 0, last)], NEVER)
    moved = np.where(rest, np.where(mode == 1, after, at_or_before), days)
    return np.where(inside, moved, NEVER).astype(np.int32)


# --- months ------------------------------------------------------------------------------------------


def add_months(start: Days, months: Days) -> Days:
    """The same day of a later month, else that month's last day (D2)."""
    known = start < NEVER
    days = np.where(known, start, 0).astype("datetime64[D]")
    month = days.astype("datetime64[M]")
    day_of_month = (days - month).astype(np.int64)
    target = month + months.astype("timedelta64[M]")
    last = ((target + np.timedelta64(1, "M")).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(
        np.int64
    ) - 1
    moved = target.astype("datetime64[D]").astype(np.int64) + np.minimum(day_of_month, last)
    return np.where(known, moved, NEVER).astype(np.int32)


def end_of_month(start: Days, months: int = 0) -> Days:
    """The last day of the month `months` after that of `start`."""
    known = start < NEVER
    month = np.where(known, start, 0).astype("datetime64[D]").astype("datetime64[M]")
    end = (month + np.timedelta64(months + 1, "M")).astype("datetime64[D]").astype(np.int64) - 1
    return np.where(known, end, NEVER).astype(np.int32)


def add_days(start: Days, n: Days) -> Days:
    """`n` days later; never stays never."""
    return np.where(start < NEVER, start + n, NEVER).astype(np.int32)
