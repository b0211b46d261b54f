"""GraphQL over the one client: a query is a POST, and an error may come with status 200.

What an error means is told by a code in its extensions, and each vendor has its own; a `Dialect` sorts them
into our families. A partial answer (data and errors) is no answer: a row that is missing from it must not
look as if it were gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.errors import BadPayload, SourceError, SourceRefused, SourceUnavailable
from connectors.http.client import Answer, Http, Judge, TokenRefused
from connectors.http.paging import Row, objects
from connectors.http.waiting import asked_wait

_RESET = re.compile(r"x-ratelimit-(\w+)-reset")
_SAID = re.compile(r"reset in (\d{1,6}) seconds")  # monday.com, where it does not say so in a field
_TOLD_MAX = 200  # characters of the vendor's own sentence that are passed on


@dataclass(frozen=True, slots=True)
class Dialect:
    """A vendor's error codes by what they mean for us; compared without case, blanks and underscores."""

    throttled: tuple[str, ...] = ()  # wait as long as is asked, then try again
    spent: tuple[str, ...] = ()  # the day's budget is used up: again after midnight UTC
    passing: tuple[str, ...] = ("INTERNAL_SERVER_ERROR", "INTERNAL_ERROR")
    login: tuple[str, ...] = ("UNAUTHENTICATED",)
    forbidden: tuple[str, ...] = ("FORBIDDEN",)


@dataclass(frozen=True, slots=True)
class _Told:
    """One error of an answer."""

    codes: tuple[str, ...]
    message: str
    extensions: Mapping[str, Any]


class GraphQL:
    """Asks queries of one endpoint. Raises what `Http` raises, and the families of the dialect."""

    def __init__(self, http: Http, path: str, headers: Mapping[str, str] | None = None) -> None:
        self._http, self._path, self._headers = http, path, headers or {}
        self.last_headers: Mapping[str, str] = {}

    async def ask(self, query: str, **variables: object) -> Row:
        """The `data` of the answer. Raises BadPayload where there is none."""
        question = {"query": query, "variables": variables}
        return self._data(await self._http.ask("POST", self._path, body=question, headers=self._headers))

    async def tell(self, mutation: str, **variables: object) -> Row:
        """Change something, asked once; the `data` of the answer."""
        told = {"query": mutation, "variables": variables}
        return self._data(await self._http.tell("POST", self._path, told, headers=self._headers))

    def _data(self, answer: Answer) -> Row:
        self.last_headers = answer.headers
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        if not isinstance(data, dict):
            raise BadPayload("no_object", where=f"POST {self._path}")
        return data


def judge(dialect: Dialect, clock: Callable[[], datetime]) -> Judge:
    """The judge of a GraphQL endpoint, for `Http`."""

    def judged(status: int, body: Any, headers: Mapping[str, str]) -> SourceError | None:
        told = list(_errors(body))
        if not told or status == 401:
            return None  # the status alone decides
        first = next((t for t in told if _family(t, dialect)), told[0])
        return _error(first, _family(first, dialect), status, headers, clock())

    return judged


def _errors(body: Any) -> Iterator[_Told]:
    """The errors of an answer: objects, plain texts (monday.com), or one at the top (its older form)."""
    if not isinstance(body, dict):
        return
    listed = body.get("errors")
    for error in listed if isinstance(listed, list) else []:
        if isinstance(error, dict):
            extensions = error.get("extensions")
            inside = extensions if isinstance(extensions, dict) else {}
            codes = (inside.get("code"), inside.get("type"), inside.get("error_code"))
            yield _Told(tuple(str(c) for c in codes if c), str(error.get("message", "")), inside)
        else:
            yield _Told((), str(error), {})
    if body.get("error_code") or (listed and not isinstance(listed, list)):
        yield _Told((str(body.get("error_code")),), str(body.get("error_message", listed)), body)


def _family(told: _Told, dialect: Dialect) -> str:
    codes = {_plain(c) for c in told.codes}
    for family in ("throttled", "spent", "passing", "login", "forbidden"):
        if codes & {_plain(c) for c in getattr(dialect, family)}:
            return family
    return ""


def _plain(code: str) -> str:
    return re.sub(r"[\s_-]", "", code).lower()


def _error(told: _Told, family: str, status: int, headers: Mapping[str, str], now: datetime) -> SourceError:
    code = ", ".join(dict.fromkeys(told.codes)) or "-"
    if family == "throttled":
        return SourceUnavailable("graphql_throttled", wait=_wait(told, headers, now), code=code)
    if family == "spent":
        return SourceUnavailable("graphql_spent", wait=_to_midnight(now), code=code)
    if family == "login":
        return TokenRefused("not_authorised")
    if family == "forbidden":
        return SourceRefused("no_permission", status=code)
    if family == "passing" or (status >= 500 or status == 429):
        return SourceUnavailable("system_failed", wait=_wait(told, headers, now), status=code)
    return SourceRefused("graphql_refused", code=code, message=told.message[:_TOLD_MAX])


def _wait(told: _Told, headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds: in the error (monday.com), in the usual headers, or until the budget that is empty is full again."""
    asked = told.extensions.get("retry_in_seconds")
    if isinstance(asked, int | float) and not isinstance(asked, bool) and asked >= 0:
        return float(asked)
    said, usual = _SAID.search(told.message), asked_wait(headers, now)
    if usual is None:
        return float(said[1]) if said else _until_full(headers, now)
    return usual


def _until_full(headers: Mapping[str, str], now: datetime) -> float | None:
    """Linear counts several budgets (x-ratelimit-requests-…, -complexity-…), and tells milliseconds."""
    waits = []
    for name, value in headers.items():
        kind = _RESET.fullmatch(name.lower())
        if kind and headers.get(f"x-ratelimit-{kind[1]}-remaining", "").strip() == "0" and value.strip().isdigit():
            waits.append(max(0.0, int(value) / 1000 - now.timestamp()))
    return max(waits, default=None)


def _to_midnight(now: datetime) -> float:
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (tomorrow - now).total_seconds()


def connection(given: object, where: str) -> tuple[list[Row], str | None]:
    """The rows of a relay connection, and the cursor of the next page. Raises BadPayload."""
    if not isinstance(given, dict):
        raise BadPayload("no_list", where=where)
    rows, info = objects(given.get("nodes"), where), given.get("pageInfo")
    if not isinstance(info, dict):
        raise BadPayload("no_object", where=where)
    if not info.get("hasNextPage"):
        return rows, None
    cursor = info.get("endCursor")
    if not isinstance(cursor, str) or not cursor:
        raise BadPayload("no_cursor", where=where)
    return rows, cursor
