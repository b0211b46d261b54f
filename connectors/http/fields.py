"""Reading a vendor's row: proof fields are checked for presence and type, everything else is optional."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from connectors.http.redaction import masked
from models.domain.observations import Rejected

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO = (int, bool, type(None))
NOTHING: Mapping[str, Any] = {}


class BadRow(Exception):
    """A row that cannot be trusted: finding code and what was wrong."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code, self.params = code, params


def wrong_type(name: str, value: object, expected: str) -> BadRow:
    """A proof field of another type than agreed."""
    return BadRow("PROOF_FIELD_TYPE", field=name, found=repr(value)[:40], expected=expected)


def need_text(row: Mapping[str, Any], name: str, label: str = "") -> str:
    """A text that must be there, or a whole number (an id) as a text; `label` names it where the row is part of another."""
    value = row.get(name)
    if type(value) is str and value:  # nearly always; a hundred thousand rows come through here
        return value
    if value is None or value == "":
        raise BadRow("PROOF_FIELD_MISSING", field=label or name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise wrong_type(label or name, value, "text")
    return str(value)


def need_whole(row: Mapping[str, Any], name: str) -> int:
    """A whole number, 0 or more, that must be there; a text is none."""
    value = row.get(name)
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field=name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise wrong_type(name, value, "a whole number")
    return value


def need_mapping(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that must be there."""
    value = row.get(name)
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field=name)
    if not isinstance(value, dict):
        raise wrong_type(name, value, "object")
    return value


def seconds(row: Mapping[str, Any], name: str, label: str = "") -> datetime | None:
    """Unix seconds, or nothing (null and 0). Milliseconds and texts are refused."""
    value = row.get(name)
    if type(value) is int and 0 < value < 100_000_000_000:
        return _EPOCH + timedelta(0, value)  # twice as fast as fromtimestamp with a zone
    if value is None or (type(value) is int and value == 0):
        return None
    raise wrong_type(label or name, value, "unix seconds")


def millis(row: Mapping[str, Any], name: str, label: str = "") -> datetime | None:
    """Milliseconds since 1970, as a number or in digits, or nothing (null, empty and 0). Seconds are refused."""
    value = row.get(name)
    if value is None or value in ("", "0") or (type(value) is int and value == 0):
        return None
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value
    if type(number) is not int or not 100_000_000_000 <= number < 100_000_000_000_000:  # 1973 to 5138
        raise wrong_type(label or name, value, "milliseconds since 1970")
    return _EPOCH + timedelta(milliseconds=number)


def instant(row: Mapping[str, Any], name: str) -> datetime | None:
    """An ISO 8601 instant with its offset, or nothing."""
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise wrong_type(name, value, "an ISO instant") from None
    if moment.tzinfo is None:
        raise wrong_type(name, value, "an instant with its offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise wrong_type(name, value, "an instant between the years 1 and 9999") from None


def day(row: Mapping[str, Any], name: str) -> date | None:
    """A date without a zone, or nothing; for one written as an instant see `day_of`."""
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise wrong_type(name, value, "a date") from None


def day_of(row: Mapping[str, Any], name: str) -> date | None:
    """The day that an instant begins with, where a vendor writes a day so (2026-12-31T23:59:59Z); its time is no news."""
    value = row.get(name)
    return day({name: value[:10] if isinstance(value, str) else value}, name)


def flag(row: Mapping[str, Any], name: str) -> bool:
    """0/1 or a truth value; absent is no."""
    value = row.get(name)
    if not value and type(value) in _NO:
        return False
    if value != 1:
        raise wrong_type(name, value, "0 or 1")
    return bool(value)


def unknown_fields(row: Mapping[str, Any], known: frozenset[str]) -> Mapping[str, Any]:
    """The fields that the connector has never heard of: kept and reported."""
    if known.issuperset(row):
        return NOTHING
    return {k: v for k, v in row.items() if k not in known}


def text_or_none(row: Mapping[str, Any], name: str) -> str | None:
    """An optional text; another type counts as absent."""
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def rejected(connection: str, row: Mapping[str, Any], key: str, problem: BadRow, prefix: str = "") -> Rejected:
    """The row for the quarantine, kept whole, secrets masked; `prefix` stands before the vendor's id."""
    raw = masked(orjson.dumps(row, default=str).decode()[:8000])
    identity = row.get(key)
    return Rejected(connection, None if identity is None else f"{prefix}{identity}", problem.code, problem.params, raw)
