"""A signed webhook, by Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature).

A message cannot be looked up at its receiver: it is sent again with the same webhook-id, by which the receiver drops it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from connectors.errors import SourceConfig, SourceError
from connectors.http.client import Http, checked_base
from connectors.http.headers import NoCredentials
from connectors.registry import Option
from connectors.sinks.registry import SinkInfo
from connectors.sinks.rest import TIMEOUT, RestSink, one_try
from models.domain.pushes import FORMAT, Push, Pushed

_PREFIX = "whsec_"
_KEY_BYTES = (24, 64)  # as the specification wants
_REFERENCE = re.compile(r"[\w ./:#-]{1,80}")


def message(push: Push) -> bytes:
    """The body. It does not change from one attempt to the next."""
    body = {
        "type": f"record.{push.kind}",
        "timestamp": push.day.isoformat(),
        "format": FORMAT,
        "data": push.as_json() | {"reference": push.reference},
    }
    return orjson.dumps(body)


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """v1: HMAC-SHA256 over id, timestamp and body, joined by points."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class Webhook(RestSink):
    """One address."""

    def __init__(self, name: str, http: Http, path: str, key: bytes, clock: Callable[[], datetime]) -> None:
        super().__init__(name, http)
        self._path, self._key, self._clock = path, key, clock

    async def check(self) -> str:
        """A message is the only thing a receiver understands, and a check sends none: address and key are sound."""
        return "-"

    async def push(self, push: Push) -> Pushed:
        """Send the message; any 2xx says it was taken."""
        body, now = message(push), int(self._clock().timestamp())
        headers = {
            "webhook-id": push.message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._key, push.message_id, now, body),
            "idempotency-key": push.key if push.kind == "ready" else push.message_id,
        }
        try:
            answer = await self._http.ask(
                "POST", self._path, body=orjson.Fragment(body), headers=headers, any_answer=True
            )
        except SourceError as problem:  # the path of an address is often its key
            problem.trouble = replace(problem.trouble, where="POST")
            raise
        told = answer.body.get("reference") if isinstance(answer.body, dict) else None
        return Pushed(told if isinstance(told, str) and _REFERENCE.fullmatch(told) else push.message_id)


def _key(name: str, secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _KEY_BYTES[0] <= len(key) <= _KEY_BYTES[1]:
        raise SourceConfig("webhook_secret", sink=name)
    return key


def build(
    name: str,
    options: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
) -> Webhook:
    """Raises SourceConfig for an address or a key that cannot be one."""
    parts = urlsplit(checked_base(options["url"]))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    key = _key(name, options["secret"])
    http = Http(
        f"{parts.scheme}://{parts.netloc}",
        NoCredentials(),
        clock=clock,
        policy=one_try(options),
        transport=transport,
        secrets=(options["secret"],),
    )
    return Webhook(name, http, path, key, clock)


SINK = SinkInfo(
    "webhook",
    "Webhook",
    (Option("url", required=True, default=""), Option("secret", required=True, default="", secret=True), TIMEOUT),
    build,
)
