"""What a tap writes: one JSON object a line (Singer specification 0.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from connectors.errors import BadPayload


def message(line: bytes, tap: str) -> Mapping[str, Any]:
    """One message. Raises BadPayload: a tap that prints anything else on its stdout is broken."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise BadPayload("tap_no_message", tap=tap, bytes=len(line))
    if found["type"] == "BATCH":
        raise BadPayload("tap_batch", tap=tap)
    return found


def record_of(found: Mapping[str, Any], tap: str) -> Mapping[str, Any]:
    """The record of a RECORD message. Raises BadPayload."""
    record = found.get("record")
    if not isinstance(record, dict):
        raise BadPayload("tap_no_message", tap=tap, bytes=0)
    return record


def properties_of(found: Mapping[str, Any]) -> list[str]:
    """The fields that a SCHEMA message declares; none where it leaves them open."""
    schema = found.get("schema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return sorted(properties) if isinstance(properties, dict) else []
