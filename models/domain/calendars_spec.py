"""A working-day calendar as data: which weekdays are off, which weekend days are worked, until when it is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class CalendarSpec:
    """Monday to Friday, less `weekdays_off`, plus `weekend_on` (调休). `horizon` is the last day known."""

    name: str
    horizon: date
    weekdays_off: tuple[date, ...] = ()
    weekend_on: tuple[date, ...] = ()
