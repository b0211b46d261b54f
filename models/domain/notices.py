"""Notices: messages owed to somebody, kept in an outbox until delivered."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from models.domain.ready import NAMESPACE


class NoticeKind(StrEnum):
    """What a notice is about; the `on` of a [[notify]] entry lists these."""

    READY = "ready"
    WITHDRAWN = "withdrawn"
    EXCEPTION = "exception"
    DIGEST = "digest"
    SOURCE_FAILED = "source_failed"
    FORECAST = "forecast"
    REMINDER = "reminder"  # to a customer; goes where an entry of role customer_payer listens to `overdue`


class Role(StrEnum):
    """Who is told."""

    FINANCE = "finance"
    PROJECT_MANAGER = "project_manager"
    CUSTOMER_PAYER = "customer_payer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message for one recipient. `payload` is plain JSON: what the template needs, no secrets.

    `key` is the idempotency key: posted twice, it is stored once and sent once.
    `draft` notices are kept and shown, never sent (customer_payer until a contract switches it on).
    """

    key: str
    kind: NoticeKind
    role: Role
    recipient: str  # name of the [[notify]] entry or a contact's e-mail address
    language: str
    payload: Mapping[str, object] = field(default_factory=dict)
    draft: bool = False
    attachment: str | None = None  # file name relative to the report folder, ASCII


def notice_key(*parts: object) -> str:
    """The same parts always give the same key."""
    return str(uuid.uuid5(NAMESPACE, "notice\x1f" + "\x1f".join(str(p) for p in parts)))
