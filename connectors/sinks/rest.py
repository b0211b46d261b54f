"""What the sinks over HTTP share: one try a request, since a repeated creation would be a second invoice."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Self

import orjson

from connectors.errors import BadPayload, SourceConfig
from connectors.http.client import ApiKey, Credentials, Http, Policy
from connectors.registry import Option

TIMEOUT = Option("timeout", default=30.0)
#: Enough to see that there are several.
SEVERAL = 3


class RestSink:
    """A sink with one HTTP client."""

    def __init__(self, name: str, http: Http) -> None:
        self.name, self._http = name, http

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(*exc)


def one_try(options: Mapping[str, Any]) -> Policy:
    """No repetition inside a request: the next attempt of the push looks the key up first."""
    return Policy(timeout=options["timeout"], attempts=1, concurrency=1)


def basic(user: str, password: str) -> Credentials:
    """HTTP basic authentication."""
    return ApiKey("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())


def number(text: str) -> orjson.Fragment:
    """An exact amount as a JSON number, with the digits as they are: never through a binary float."""
    return orjson.Fragment(text.encode())


def field(body: object, name: str, where: str) -> Any:
    """A field of an object. Raises BadPayload where there is none."""
    if not isinstance(body, dict) or name not in body:
        raise BadPayload("no_object", where=where)
    return body[name]


def one_of(sink: str, key: str, value: str, allowed: Sequence[str]) -> None:
    """Raise SourceConfig for a value that is not among the allowed."""
    if value not in allowed:
        raise SourceConfig("sink_choice", sink=sink, key=key, allowed=", ".join(allowed))


def plain(sink: str, key: str, value: str) -> None:
    """Raise SourceConfig for a text that could be more than a word in a query."""
    if not re.fullmatch(r"[\w .-]{1,40}", value):
        raise SourceConfig("sink_plain", sink=sink, key=key)
