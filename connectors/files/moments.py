"""Dates as files and records write them: with an offset, without a zone, or as a plain day."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.errors import SourceConfig
from connectors.http.fields import wrong_type

_DAY = re.compile(r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})日|(\d{2})(\d{2}))(?=[T\s]|$)")
_SIGN = 2  # the group of what stands between year and month
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXPECTED = "a date (2026-11-20, 2026-11-20T17:00:00)"


def zone_of(connection: str, name: str) -> tzinfo:
    """The zone of dates that bear none. Raises SourceConfig for an unknown name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SourceConfig("zone_unknown", connection=connection, found=repr(name)) from None


def moment(value: object, zone: tzinfo, pattern: str, label: str) -> datetime | date | None:
    """An instant in UTC, a day without a zone, or nothing.

    `pattern` is a strptime pattern, "unix" or "unix_ms"; empty: ISO and its relatives, year first. What may be
    read in two ways (5/6/2026) is refused, never guessed. Raises BadRow.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        found = _read(value, pattern)
    except (ValueError, TypeError, OverflowError):
        raise wrong_type(label, value, pattern or EXPECTED) from None
    return _in_utc(found, zone, label) if isinstance(found, datetime) else found


def _in_utc(found: datetime, zone: tzinfo, label: str) -> datetime:
    try:
        aware = found if found.tzinfo is not None else found.replace(tzinfo=zone)
        plain = aware.astimezone(UTC)
    except (OverflowError, ValueError):
        raise wrong_type(label, found, EXPECTED) from None
    return datetime(*plain.timetuple()[:6], plain.microsecond, tzinfo=UTC)  # no subclass of a library's


def _read(value: object, pattern: str) -> datetime | date:
    if isinstance(value, date):  # a datetime is one too
        return value
    if pattern in ("unix", "unix_ms"):
        return _EPOCH + timedelta(seconds=int(str(value))) / (1 if pattern == "unix" else 1000)
    if not isinstance(value, str):
        raise TypeError
    text = value.strip()
    if pattern:
        read = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone comes after
        return read if re.search(r"%[HIcXTs]", pattern) else read.date()
    return _iso(text)


def _iso(text: str) -> datetime | date:
    found = _DAY.match(text)
    if found is None:
        raise ValueError
    year, month, day = (int(part) for n, part in enumerate(found.groups(), 1) if part and n != _SIGN)
    rest = text[found.end() :].strip(" T\t")
    whole = date(year, month, day)
    if not rest:
        return whole
    if ":" not in rest:
        raise ValueError
    hour, _, behind = rest.partition(":")
    return datetime.fromisoformat(f"{whole.isoformat()}T{hour:>02}:{behind}")


def parted(found: datetime | date | None) -> tuple[datetime | None, date | None]:
    """As an observation keeps it: the instant, or the day."""
    if isinstance(found, datetime):
        return found, None
    return None, found
