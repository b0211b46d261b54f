"""A client for one connection: bounded, throttled, patient where it is worth it, silent about secrets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, Self

import aiohttp
import httpx
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from connectors.errors import BadPayload, SourceConfig, SourceError, SourceRefused, SourceUnavailable
from connectors.http.budget import Budget, Sleep
from connectors.http.redaction import quiet_http_logs
from connectors.http.transport import fast_transport, timed_out
from connectors.http.waiting import WAIT_MAX, asked_wait, rate_left

Json = Any
RENEWALS_MAX = 4
#: Makes an error of an answer that the status alone does not explain; None: the answer is fine.
Judge = Callable[[int, Json, Mapping[str, str]], SourceError | None]


@dataclass(frozen=True, slots=True)
class Policy:
    """How hard to try. Seconds; `per_minute` bounds our own rate, None and 0 do not."""

    timeout: float = 30.0
    attempts: int = 5
    patience: float = 600.0  # in all, for one request
    concurrency: int = 8
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A source's answer: JSON parsed, None where there was no body."""

    status: int
    headers: Mapping[str, str]
    body: Json


@dataclass(frozen=True, slots=True)
class _Question:
    """One request as the connector put it."""

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    as_it_is: bool = False  # the answer is no JSON
    any_answer: bool = False  # the status is the answer; a body that is no JSON is none

    @property
    def where(self) -> str:
        """Method and path, never the query: it may carry a secret."""
        return f"{self.method} {httpx.URL(self.path).path if '://' in self.path else self.path.partition('?')[0]}"


class Credentials(Protocol):
    """Puts who we are on a request."""

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The headers of a request; fetches a token first where one is needed."""

    def expire(self, used: Mapping[str, str]) -> bool:
        """The source refused these headers: forget what made them. False where there is nothing to renew."""


Send = Callable[[httpx.Request], Awaitable[httpx.Response]]


class ApiKey:
    """A key that is sent as it is in a header."""

    def __init__(self, header: str, key: str) -> None:
        self._header, self._key = header, key

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The key."""
        del send
        return {self._header: self._key}

    def expire(self, used: Mapping[str, str]) -> bool:
        """A key cannot be renewed."""
        del used
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

    def expire(self, used: Mapping[str, str]) -> bool:
        """Forget the token that was used; one fetched meanwhile for another request stays."""
        if self._token is not None and used.get("Authorization") == f"Bearer {self._token.value}":
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
        sleep: Sleep = asyncio.sleep,
        policy: Policy | None = None,
        judge: Judge | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.policy = policy or Policy()
        self._base, self._credentials, self._clock = checked_base(base_url), credentials, clock
        self._judge, self._secrets, self._sleep = judge, secrets, sleep
        at_once = min(self.policy.concurrency, 16)
        self._client = httpx.AsyncClient(
            timeout=self.policy.timeout,
            transport=transport or fast_transport(self._base, at_once),
            follow_redirects=False,
        )
        self._gate = asyncio.Semaphore(at_once)
        self._budget = Budget(self.policy.per_minute, clock, sleep) if self.policy.per_minute else None
        self._accepted: Mapping[str, str] = {}  # the credentials that were last good for something
        self._last_headers: Mapping[str, str] = {}
        self._last_where = ""  # method and path of the last request that was answered
        self.requests = 0
        quiet_http_logs()

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """GET a JSON answer."""
        return (await self._asked(_Question("GET", path, params))).body

    async def post(self, path: str, body: Json) -> Json:
        """POST a read (a search) and get its JSON answer."""
        return (await self._asked(_Question("POST", path, content=orjson.dumps(body)))).body

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
        any_answer: bool = False,
    ) -> Answer:
        """The whole answer: for paging and validators in headers. 304 is an answer too, without a body.
        `any_answer`: what only says thanks may say it in words of its own.

        `path` may be an absolute URL that the source gave (a next link), on the same host only.
        """
        content = None if body is None else orjson.dumps(body)
        return await self._asked(_Question(method, path, params, content, headers or {}, any_answer=any_answer))

    async def tell(self, method: str, path: str, body: Json, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Change something at the source. Asked once: where the answer is lost, the change may have been made."""
        return await self._once(_Question(method, path, None, orjson.dumps(body), headers or {}))

    async def download(self, path: str) -> bytes:
        """The body of a GET as it is, where a source gives a file rather than JSON."""
        found: bytes = (await self._asked(_Question("GET", path, as_it_is=True))).body
        return found

    @property
    def rate_left(self) -> str | None:
        """How many requests the source says are left, as it says it."""
        return rate_left(self._last_headers)

    def of_last_answer(self, problem: SourceError) -> SourceError:
        """The problem, said of the request that was answered last, without secrets."""
        problem.at(self._last_where, self._secrets)
        return problem

    async def _asked(self, question: _Question) -> Answer:
        async def attempt() -> Answer:
            return await self._once(question)

        return await self._patiently(attempt)

    async def _patiently(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        """Try again what is worth it: a bounded number of times, within a bounded time, as the source asks."""
        start = self._clock()

        def given_up(state: RetryCallState) -> bool:
            """Would the next wait take us past our patience?"""
            spent = (self._clock() - start).total_seconds()
            return spent + state.upcoming_sleep > self.policy.patience

        trying = AsyncRetrying(
            retry=retry_if_exception(_worth_it),
            wait=_wait,
            stop=lambda state: stop_after_attempt(self.policy.attempts)(state) or given_up(state),
            sleep=self._sleep,
            reraise=True,
        )
        return await trying(attempt)

    async def _once(self, question: _Question) -> Answer:
        """One try; a refused token is renewed and the request replayed once - or again, a few times, where the
        new token had been good for other requests and ended before this one's turn."""
        for number in range(RENEWALS_MAX + 1):
            response, used = await self._send(question)
            await asyncio.sleep(0)  # the next request goes out before this answer is read: the source works meanwhile
            try:
                body = self._read(response, question)
            except TokenRefused as problem:
                hopeless = number == RENEWALS_MAX or (number > 0 and used != self._accepted)
                if hopeless or not self._credentials.expire(used):
                    raise refused_for_good(problem) from None
            else:
                self._accepted = used
                self._last_headers, self._last_where = response.headers, question.where
                return Answer(response.status_code, response.headers, body)
        raise AssertionError(question.where)

    async def _send(self, question: _Question) -> tuple[httpx.Response, Mapping[str, str]]:
        """The answer, and the credentials that were used."""
        async with self._gate:
            used = await self._credentials.headers(self._raw)
            kind = {} if question.content is None else {"content-type": "application/json"}
            request = self._client.build_request(
                question.method,
                self._url(question),
                params=question.params,
                content=question.content,
                headers={**used, **kind, **question.headers},
            )
            return await self._raw(request), used

    def _url(self, question: _Question) -> str:
        """The whole address. Raises SourceRefused for one on another host: our credentials stay at home."""
        if not question.path.startswith(("http://", "https://")):
            return self._base + question.path
        wanted, home = httpx.URL(question.path), httpx.URL(self._base)
        if (wanted.scheme, wanted.host, wanted.port) != (home.scheme, home.host, home.port):
            raise SourceRefused("other_host", where=question.where)
        return question.path

    async def _raw(self, request: httpx.Request) -> httpx.Response:
        """Send within our own rate; network trouble becomes SourceUnavailable."""
        where = f"{request.method} {request.url.path}"
        # A request that was not built by the client has no timeout of its own: it would wait for ever.
        request.extensions.setdefault("timeout", httpx.Timeout(self.policy.timeout).as_dict())
        if self._budget:
            await self._budget.acquire()
        self.requests += 1
        try:
            return await self._client.send(request)
        except (httpx.HTTPError, aiohttp.ClientError, TimeoutError) as problem:
            if timed_out(problem):
                raise SourceUnavailable("no_answer", where=where, seconds=f"{self.policy.timeout:g}") from None
            raise SourceUnavailable(
                "not_reached", where=where, kind=type(problem.__cause__ or problem).__name__
            ) from None

    def _read(self, response: httpx.Response, question: _Question) -> Json:
        where, status, kind = question.where, response.status_code, response.headers.get("content-type", "")
        html = "html" in kind or response.content.lstrip()[:1] == b"<"
        body = None
        if question.as_it_is:
            body = response.content
        elif not html and response.content and not (question.any_answer and status < 300):
            body = self._parsed(response.content, where, status)
        elif question.any_answer:
            body = _json_or_none(response.content)
        problem = self._judge(status, body, response.headers) if self._judge and not html else None
        if problem is None and status >= 300 and status != 304:
            problem = self._by_status(status, response.headers, where)
        if problem is not None:
            problem.at(where, self._secrets)
            raise problem
        if html and not question.any_answer:
            raise BadPayload("html_page", where=where, status=status)
        return body

    def _parsed(self, content: bytes, where: str, status: int) -> Json:
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            if status >= 400:
                return None
            if content.lstrip()[:1] not in (b"{", b"["):
                raise BadPayload("not_json", where=where, bytes=len(content)) from None
            raise SourceUnavailable("cut_off", where=where, bytes=len(content)) from None

    def _by_status(self, status: int, headers: Mapping[str, str], where: str) -> SourceError:
        if status == 401:
            return TokenRefused("not_authorised", where=where)
        if status == 429 or status >= 500:
            wait = asked_wait(headers, self._clock())
            code = "too_many_requests" if status == 429 else "system_failed"
            return SourceUnavailable(code, where=where, wait=wait, status=status)
        if 300 <= status < 400:
            return SourceRefused("sent_elsewhere", where=where, status=status)
        code = {403: "no_permission", 404: "not_there", 410: "switched_off"}.get(status, "refused")
        refusal = Missing if status in (404, 410) else SourceRefused
        return refusal(code, where=where, status=status)


def _json_or_none(content: bytes) -> Json:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


class TokenRefused(SourceRefused):
    """The token is no good; another one may be."""


def refused_for_good(problem: TokenRefused) -> SourceRefused:
    """The same trouble, as one that no other token helps."""
    final = SourceRefused(problem.trouble.code)
    final.trouble = problem.trouble
    return final


class Missing(SourceRefused):
    """What was asked for is not there (any more)."""


def _worth_it(problem: BaseException) -> bool:
    """Retry what may pass, unless the source asks for more time than a run has."""
    return isinstance(problem, SourceUnavailable) and (problem.wait is None or problem.wait <= WAIT_MAX)


def _wait(state: RetryCallState) -> float:
    """As long as the source asked; else doubling from half a second to half a minute, with jitter downwards."""
    problem = state.outcome.exception() if state.outcome else None
    if isinstance(problem, SourceUnavailable) and problem.wait is not None:
        return problem.wait + 0.05
    backoff: float = min(30.0, 0.5 * 2.0 ** (state.attempt_number - 1))
    return backoff * random.uniform(0.7, 1.0)  # noqa: S311 - spreads retries, keeps no secret


def token_answer(
    response: httpx.Response, clock: Callable[[], datetime], key: str = "access_token"
) -> Mapping[str, Any]:
    """The body of a token call that holds `key`. Raises SourceUnavailable, SourceRefused or BadPayload."""
    where, status = f"{response.request.method} {response.request.url.path}", response.status_code
    if status == 429 or status >= 500:
        wait = asked_wait(response.headers, clock())
        raise SourceUnavailable("system_failed", where=where, wait=wait, status=status)
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if status < 300 and not isinstance(body, dict):
        raise BadPayload("html_page", where=where, status=status)
    token = body.get(key) if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise SourceRefused("token_refused", where=where, status=status)
    return dict(body)


def token_end(body: Mapping[str, Any], clock: Callable[[], datetime], otherwise: float = 3600.0) -> float:
    """When a token ends: `expires_in` is a moment where it is large, else a number of seconds from now."""
    value = body.get("expires_in")
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        value = otherwise
    return float(value) if value > 1_000_000_000 else clock().timestamp() + float(value)


def checked_base(base_url: str) -> str:
    """The base URL without a slash at its end. Raises SourceConfig for what is not an http(s) address."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        raise SourceConfig("base_url") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise SourceConfig("base_url")
    return base_url.rstrip("/")
