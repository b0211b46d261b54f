"""Reading a vendor's row: proof fields are checked for presence and type, everything else is optional."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from connectors.http.redaction import masked
from models.domain.observations import Rejected


class BadRow(Exception):
    """A row that cannot be trusted: finding code and what was wrong."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code, self.params = code, params


def need_text(row: Mapping[str, Any], name: str) -> str:
    """A text or number that must be there."""
    value = row.get(name)
    if value is None or value == "":
        raise BadRow("PROOF_FIELD_MISSING", field=name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow("PROOF_FIELD_TYPE", field=name, found=type(value).__name__, expected="text")
    return str(value)


def need_mapping(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that must be there."""
    value = row.get(name)
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field=name)
    if not isinstance(value, dict):
        raise BadRow("PROOF_FIELD_TYPE", field=name, found=type(value).__name__, expected="object")
    return value


def seconds(row: Mapping[str, Any], name: str) -> datetime | None:
    """Unix seconds, or nothing (null and 0). Milliseconds and texts are refused."""
    value = row.get(name)
    if value is None or value == 0:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 100_000_000_000:
        raise BadRow("PROOF_FIELD_TYPE", field=name, found=repr(value)[:40], expected="unix seconds")
    return datetime.fromtimestamp(value, UTC)


def instant(row: Mapping[str, Any], name: str) -> datetime | None:
    """An ISO 8601 instant with its offset, or nothing."""
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadRow("PROOF_FIELD_TYPE", field=name, found=repr(value)[:40], expected="an ISO instant") from None
    if moment.tzinfo is None:
        raise BadRow("PROOF_FIELD_TYPE", field=name, found=repr(value)[:40], expected="an instant with its offset")
    return moment.astimezone(UTC)


def rejected(connection: str, row: Mapping[str, Any], key: str, problem: BadRow) -> Rejected:
    """The row for the quarantine, kept whole, secrets masked."""
    raw = masked(orjson.dumps(row, default=str).decode()[:8000])
    identity = row.get(key)
    return Rejected(connection, None if identity is None else str(identity), problem.code, problem.params, raw)
