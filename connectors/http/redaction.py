"""Secrets never get out: messages are built from method and path, known secrets are masked."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

_NAMES = r"(?:access|refresh|tenant_access|user)_?token|client_?secret|api[_-]?key|passw(?:or)?d|secret|token|authorization|(?<![\w-])key"
_NAMED = re.compile(rf"(?i)((?:{_NAMES})[\"']?\s*[=:]\s*[\"']?(?:bearer\s+)?)[^\s\"'&,}}]+")


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with the named secrets, and whatever stands behind a secret's name, as ***."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return _NAMED.sub(r"\1***", text)


def quiet_http_logs() -> None:
    """httpx logs full URLs at INFO, httpcore headers at DEBUG; both can carry secrets."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
