"""Working-day calendars from maintained libraries, with the last day they really know.

China comes from `chinese_calendar`, which has the State Council's arrangements including adjusted
working days and refuses years not yet published. Other countries come from `holidays`, whose rules hold
for later years too; their horizon is the end of the tenth year after the last published Chinese one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache

from models.domain.calendars_spec import CalendarSpec

FIRST_YEAR = 2004
YEARS_BEYOND = 10


class CalendarUnknown(ValueError):
    """No library knows this calendar."""


def calendar_specs(names: Iterable[str]) -> dict[str, CalendarSpec]:
    """The calendars of these names. Raises CalendarUnknown."""
    return {name: _spec(name) for name in set(names)}


@cache
def _spec(name: str) -> CalendarSpec:
    if name == "CN":
        return _china()
    if name == "WEEKEND_ONLY":
        return CalendarSpec(name, date(2099, 12, 31))
    return _country(name)


def _china() -> CalendarSpec:
    from chinese_calendar.constants import holidays, workdays

    last = max(d.year for d in holidays)
    return CalendarSpec(
        "CN",
        date(last, 12, 31),
        tuple(sorted(d for d in holidays if d.weekday() < 5)),
        tuple(sorted(d for d in workdays if d.weekday() >= 5)),
    )


def _country(name: str) -> CalendarSpec:
    import holidays

    last = _china().horizon.year + YEARS_BEYOND
    try:
        days = holidays.country_holidays(name, years=range(FIRST_YEAR, last + 1))
    except NotImplementedError:
        raise CalendarUnknown(
            f"no calendar for {name!r}: use CN, WEEKEND_ONLY or an ISO country code like DE"
        ) from None
    return CalendarSpec(name, date(last, 12, 31), tuple(sorted(d for d in days if d.weekday() < 5)))


def next_horizons(names: Iterable[str], as_of: date) -> dict[str, date]:
    """Calendars that end within a year of `as_of`, for a visible warning."""
    found = calendar_specs(names)
    return {n: s.horizon for n, s in found.items() if s.horizon < as_of + timedelta(days=366)}
