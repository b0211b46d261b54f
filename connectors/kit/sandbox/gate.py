"""What happens before and after a handler: latency, faults, tokens, throttling."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import format_datetime, localtime
from typing import Any, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.kit.sandbox.answers import answer
from connectors.kit.sandbox.world import Fault, World, identity

Vendor = Literal["pingcode", "worktile"]
Answer = Callable[[Request], Awaitable[Response]]
FAR_AHEAD = 4_000_000_000  # the world's clock may stand in the past of the client's
FOR_EVER = 3600.0
MINUTE = 60.0
TOKEN_PATHS = ("/auth/token", "/tenant-access-token")
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>登录 / Log in</title></head><body>请登录 / please log in</body></html>"
NGINX_PAGE = "<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body><center><h1>429 Too Many Requests</h1></center><hr><center>nginx</center></body>\r\n</html>"
#: Families of headers seen on a 429, by name; `none` gives no advice at all.
RETRY_STYLES = ("pc", "team", "burst", "retry-after", "date", "none")


def retry_headers(style: str, seconds: int) -> dict[str, str]:
    """The headers of one family."""
    wait = str(seconds)
    if style in ("team", "burst"):
        quota = f"X-RateLimit-{style.title()}"
        return {
            "X-RateLimit-Retry-After": wait, "X-RateLimit-Reason": f"pingcode-{style}",
            f"{quota}-Limit": "200", f"{quota}-Remaining": "0",
        }  # fmt: skip
    if style == "date":
        later = localtime().astimezone(UTC) + timedelta(seconds=seconds)
        return {"Retry-After": format_datetime(later, usegmt=True)}
    return {"pc": {"x-pc-retry-after": wait}, "retry-after": {"Retry-After": wait}}.get(style, {})


class Dropped(Response):
    """An answer that ends in the middle: the connection is closed before all of it was sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Promise more than is sent."""
        del scope, receive
        headers = [(b"content-type", b"application/json"), (b"content-length", b"100000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"page_size":', "more_body": True})


@dataclass(slots=True)
class _Token:
    requests: int | None  # how many it is still good for
    ends: int


@dataclass(slots=True)
class Gate:
    """Stands before every handler of both vendors."""

    world: World
    tokens: dict[str, _Token] = field(default_factory=dict)
    issued: int = 0
    minutes: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def issue(self, life: int | None) -> tuple[str, int]:
        """A new token and the moment it ends (the world's clock). A second token leaves the first alive."""
        self.issued += 1
        token = identity(self.world.tenant, "token", self.issued, length=40)
        ends = FAR_AHEAD if life is None else self.world.now + life
        self.tokens[token] = _Token(self.world.token_requests, ends)
        return token, ends

    def forget(self) -> None:
        """Let the windows of the rate limit begin anew."""
        self.minutes.clear()

    async def pass_through(self, request: Request, vendor: Vendor, handler: Answer) -> Response:
        """The answer to a request, after latency, faults, tokens and throttling had their say."""
        world = self.world
        world.log.append(f"{request.method} {request.url.path}")
        if world.latency:
            await asyncio.sleep(world.latency)
        fault = self._fault(request)
        if fault is not None:
            failed = await self._failed(fault, vendor)
            if failed is not None:
                return failed
        return _bent(self._refused(request, vendor) or await handler(request), fault)

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.world.faults:
            if fault.times > 0 and fault.path in request.url.path and fault.method in ("", request.method):
                fault.times -= 1
                return fault
        return None

    async def _failed(self, fault: Fault, vendor: Vendor) -> Response | None:
        """The answer of a fault that leaves no room for another; None: go on."""
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds or FOR_EVER)
        if fault.kind == "reorder":
            self.world.order += 1
        if fault.kind == "expire":
            self.tokens.clear()
        if fault.kind == "throttle":
            return throttled(vendor, fault.style, int(fault.seconds), fault.headers)
        if fault.kind == "drop":
            return Dropped()
        if fault.kind == "html":
            status = 200 if fault.status == 500 else fault.status  # a log-in page says 200
            return Response(LOGIN_PAGE, status, fault.headers, "text/html")
        if fault.kind in ("status", "hang"):
            return answer({"code": "100000", "message": "服务器内部错误"}, fault.status, fault.headers)
        return None

    def _refused(self, request: Request, vendor: Vendor) -> Response | None:
        if request.url.path.endswith(TOKEN_PATHS):
            return None
        if not self._knows(_token_of(request, vendor)):
            return unauthorised(vendor)
        return self._throttled(vendor)

    def _knows(self, token: str) -> bool:
        found = self.tokens.get(token)
        if found is None or self.world.now >= found.ends or found.requests == 0:
            return False
        if found.requests is not None:
            found.requests -= 1
        return True

    def _throttled(self, vendor: Vendor) -> Response | None:
        """The budget of a minute, one for each vendor; what was refused does not count."""
        limit = self.world.per_minute
        if limit is None:
            return None
        now = asyncio.get_running_loop().time()
        self.minutes[vendor] = [t for t in self.minutes[vendor] if t > now - MINUTE]
        if len(self.minutes[vendor]) >= limit:
            oldest = min(self.minutes[vendor], default=now)
            return throttled(vendor, self.world.retry_style, max(1, int(oldest + MINUTE + 1 - now)))
        self.minutes[vendor].append(now)
        return None


def _token_of(request: Request, vendor: Vendor) -> str:
    """From the header; Worktile also takes it from the query."""
    header = request.headers.get("authorization", "").removeprefix("Bearer ")
    return header or (request.query_params.get("access_token", "") if vendor == "worktile" else "")


def unauthorised(vendor: Vendor) -> Response:
    """A bad token: a real 401 of one vendor, 1103 inside a 200 of the other."""
    if vendor == "pingcode":
        return answer({"code": "100001", "message": "未授权"}, 401)
    return answer({"ok": False, "error_code": 1103})


def throttled(vendor: Vendor, style: str, seconds: int, headers: dict[str, str] | None = None) -> Response:
    """Too many requests: JSON with a code of one vendor, nginx's HTML of the other."""
    given = headers or retry_headers(style, seconds)
    if vendor == "pingcode":
        return answer({"code": "100038", "message": "请求过于频繁"}, 429, given)
    return Response(NGINX_PAGE, 429, given, "text/html")


def _bent(response: Response, fault: Fault | None) -> Response:
    """A good answer, spoilt on its way."""
    if fault is None or response.status_code != 200:
        return response
    body = bytes(response.body)
    if fault.kind == "truncated":
        return Response(body[: len(body) // 2], 200, None, "application/json")
    bend = _BENDS.get(fault.kind)
    if bend is None:
        return response
    page = orjson.loads(body)
    key = next((k for k in ("values", "value", "items") if isinstance(page, dict) and k in page), None)
    if key is None:
        return response
    return answer(page | {key: bend(page[key])})


_BENDS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "empty": lambda _rows: [],
    "shrink": lambda rows: rows[: len(rows) // 2],
    "drop_rows": lambda rows: rows[1:],
    "duplicate": lambda rows: [rows[0], *rows[:-1]] if rows else rows,
}
