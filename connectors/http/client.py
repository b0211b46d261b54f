"""A client for one connection: bounded, throttled, patient where it is worth it, silent about secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self

import httpx
import orjson
import stamina
from aiolimiter import AsyncLimiter

from connectors.errors import BadPayload, SourceConfig, SourceError, SourceRefused, SourceUnavailable
from connectors.http.redaction import masked, quiet_http_logs
from connectors.http.waiting import WAIT_MAX, asked_wait

Json = Any
#: Makes an error of an answer that the status alone does not explain; None: the answer is fine.
Judge = Callable[[int, Json, Mapping[str, str]], SourceError | None]


@dataclass(frozen=True, slots=True)
class Policy:
    """How hard to try. Seconds; `per_minute` bounds our own rate, None does not."""

    timeout: float = 30.0
    attempts: int = 5
    patience: float = 600.0  # in all, for one request
    concurrency: int = 8
    per_minute: int | None = None


class Credentials(Protocol):
    """Puts who we are on a request."""

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The headers of a request; fetches a token first where one is needed."""

    def expire(self) -> bool:
        """The source says our token is no good: forget it. False where there is nothing to renew."""


Send = Callable[[httpx.Request], Awaitable[httpx.Response]]


class ApiKey:
    """A key that is sent as it is in a header."""

    def __init__(self, header: str, key: str) -> None:
        self._header, self._key = header, key

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The key."""
        del send
        return {self._header: self._key}

    def expire(self) -> bool:
        """A key cannot be renewed."""
        return False


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and the epoch second at which it ends."""

    value: str
    ends: float


class Bearer:
    """A token fetched when needed, renewed before it ends, and fetched anew when the source refuses it."""

    def __init__(self, fetch: Callable[[Send], Awaitable[Token]], clock: Callable[[], datetime]) -> None:
        self._fetch, self._clock = fetch, clock
        self._token: Token | None = None
        self._lock = asyncio.Lock()

    async def headers(self, send: Send) -> Mapping[str, str]:
        """Authorization: Bearer …"""
        async with self._lock:
            if self._token is None or self._token.ends - 60 < self._clock().timestamp():
                self._token = await self._fetch(send)
            return {"Authorization": f"Bearer {self._token.value}"}

    def expire(self) -> bool:
        """Forget the token; the next request fetches another."""
        self._token = None
        return True


class Http:
    """The client of one connection; used as an async context manager.

    Raises SourceRefused, SourceUnavailable, BadPayload with messages of method, path and status only.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        clock: Callable[[], datetime],
        policy: Policy | None = None,
        judge: Judge | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.policy = policy or Policy()
        self._base, self._credentials, self._clock = checked_base(base_url), credentials, clock
        self._judge, self._secrets = judge, secrets
        limits = httpx.Limits(max_connections=min(self.policy.concurrency, 16), max_keepalive_connections=16)
        self._client = httpx.AsyncClient(
            timeout=self.policy.timeout, limits=limits, transport=transport, follow_redirects=False, trust_env=True
        )
        self._gate = asyncio.Semaphore(min(self.policy.concurrency, 16))
        self._limiter = AsyncLimiter(self.policy.per_minute, 60) if self.policy.per_minute else None
        self.requests = 0
        quiet_http_logs()

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """GET a JSON answer."""
        return await self._ask("GET", path, params=params)

    async def post(self, path: str, body: Json) -> Json:
        """POST a read (a search) and get its JSON answer."""
        return await self._ask("POST", path, content=orjson.dumps(body))

    async def _ask(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, content: bytes | None = None
    ) -> Json:
        where = f"{method} {path}"
        attempts = stamina.retry_context(
            on=_wait_or_give_up,
            attempts=self.policy.attempts,
            timeout=self.policy.patience,
            wait_initial=0.5,
            wait_max=30.0,
        )
        async for attempt in attempts:
            with attempt:
                return await self._once(method, path, where, params, content)
        raise AssertionError(where)

    async def _once(
        self, method: str, path: str, where: str, params: Mapping[str, Any] | None, content: bytes | None
    ) -> Json:
        """One try; a refused token is renewed and the request replayed once."""
        for renewed in (False, True):
            response = await self._send(method, path, where, params, content)
            try:
                return self._read(response, where)
            except TokenRefused as problem:
                if renewed or not self._credentials.expire():
                    raise SourceRefused(str(problem), advice=problem.advice, where=where) from None
        raise AssertionError(where)

    async def _send(
        self, method: str, path: str, where: str, params: Mapping[str, Any] | None, content: bytes | None
    ) -> httpx.Response:
        async with self._gate:
            headers = dict(await self._credentials.headers(self._raw))
            if content is not None:
                headers["content-type"] = "application/json"
            request = self._client.build_request(
                method, self._base + path, params=params, content=content, headers=headers
            )
            return await self._raw(request, where)

    async def _raw(self, request: httpx.Request, where: str = "") -> httpx.Response:
        """Send within our own rate; network trouble becomes SourceUnavailable."""
        where = where or f"{request.method} {request.url.path}"
        if self._limiter:
            await self._limiter.acquire()
        self.requests += 1
        try:
            return await self._client.send(request)
        except httpx.TimeoutException:
            raise SourceUnavailable(
                f"{where}: no answer within {self.policy.timeout:g} s",
                advice="is the system slow or down?",
                where=where,
            ) from None
        except httpx.HTTPError as problem:
            raise SourceUnavailable(
                f"{where}: {type(problem).__name__}", advice="check base_url, the network and the proxy", where=where
            ) from None

    def _read(self, response: httpx.Response, where: str) -> Json:
        status, kind = response.status_code, response.headers.get("content-type", "")
        html = "html" in kind or response.content[:1] == b"<"
        body = None
        if not html and response.content:
            body = self._parsed(response.content, where, status)
        problem = self._judge(status, body, response.headers) if self._judge and not html else None
        if problem is None and status >= 300:
            problem = self._by_status(status, response.headers, where)
        if problem is not None:
            problem.where = where
            problem.args = (
                masked(f"{where}: {problem.args[0]}" if where not in str(problem) else str(problem), self._secrets),
            )
            raise problem
        if html:
            raise BadPayload(
                f"{where}: an HTML page instead of data (status {status})",
                advice="base_url may point to the log-in page of the web site",
                where=where,
            )
        return body

    def _parsed(self, content: bytes, where: str, status: int) -> Json:
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            if status >= 400:
                return None
            cut = "cut off" if content[:1] in b"{[" else "not JSON"
            raise SourceUnavailable(
                f"{where}: the answer is {cut} ({len(content)} bytes)",
                advice="a proxy or the system broke it off",
                where=where,
            ) from None

    def _by_status(self, status: int, headers: Mapping[str, str], where: str) -> SourceError:
        if status == 401:
            return TokenRefused(
                f"{where}: not authorised (401)", advice="check the credentials of this connection", where=where
            )
        if status == 429:
            wait = asked_wait(headers, self._clock())
            return SourceUnavailable(
                f"{where}: too many requests (429)",
                advice="lower per_minute of this connection",
                where=where,
                wait=wait,
            )
        if status >= 500:
            wait = asked_wait(headers, self._clock())
            return SourceUnavailable(
                f"{where}: the system failed ({status})", advice="try again later", where=where, wait=wait
            )
        if 300 <= status < 400:
            return SourceRefused(
                f"{where}: sent elsewhere ({status})",
                advice="base_url is not the API's address, or needs https",
                where=where,
            )
        advice = {
            403: "the account lacks a permission",
            404: "check base_url and the project",
            410: "this API was switched off",
        }
        return SourceRefused(
            f"{where}: refused ({status})",
            advice=advice.get(status, "the request is wrong for this version"),
            where=where,
        )


class TokenRefused(SourceRefused):
    """The token is no good; another one may be."""


def _wait_or_give_up(problem: Exception) -> bool | float:
    """Retry what is worth it, after as long as the source asked."""
    if not isinstance(problem, SourceUnavailable):
        return False
    if problem.wait is None:
        return True
    return problem.wait + 0.05 if problem.wait <= WAIT_MAX else False


def checked_base(base_url: str) -> str:
    """The base URL without a slash at its end. Raises SourceConfig for what is not an http(s) address."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        raise SourceConfig("base_url is not an address", advice="write it like https://open.pingcode.com") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise SourceConfig("base_url is not an http(s) address", advice="write it like https://open.pingcode.com")
    return base_url.rstrip("/")
