"""The sandbox as an ASGI application: PingCode below /v1, Worktile below /open-api, control below /_control.

It reproduces what surprises: unknown filters are ignored with 200, missing objects answer 400, deleted and
archived rows hide, there is no sort order, `expires_in` is a moment for one vendor and a duration for the
other, one reports errors inside HTTP 200 and throttles with an HTML page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.kit.sandbox import pingcode, worktile
from connectors.kit.sandbox.world import Fault, Milestone, World, identity

Handler = Callable[[World, Request], Awaitable[Response]]


def json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, headers, "application/json")


class _Gate:
    """What happens before a handler: latency, faults, tokens, throttling."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tokens: dict[str, int] = {}
        self.minute: list[float] = []

    def wrap(self, handler: Handler, vendor: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            world = self.world
            world.log.append(f"{request.method} {request.url.path}")
            if world.latency:
                await asyncio.sleep(world.latency)
            fault = self._fault(request.url.path)
            if fault is not None and fault.kind in ("status", "html", "hang"):
                return await _failed(fault)
            refused = self._refused(request, vendor)
            response = refused or await handler(world, request)
            return _bent(response, fault)

        return answer

    def _fault(self, path: str) -> Fault | None:
        for fault in self.world.faults:
            if fault.path in path and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _refused(self, request: Request, vendor: str) -> Response | None:
        if request.url.path.endswith(("/auth/token", "/tenant-access-token")):
            return None
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or request.query_params.get(
            "access_token", ""
        )
        left = self.tokens.get(token, 0)
        if left <= 0:
            return pingcode.unauthorised() if vendor == "pingcode" else worktile.expired()
        self.tokens[token] = left - 1
        return self._throttled(vendor)

    def _throttled(self, vendor: str) -> Response | None:
        limit = self.world.per_minute
        if limit is None:
            return None
        now = asyncio.get_running_loop().time()
        self.minute = [t for t in self.minute if t > now - 60]
        if len(self.minute) >= limit:
            wait = max(1, int(self.minute[0] + 61 - now))
            return pingcode.throttled(wait) if vendor == "pingcode" else worktile.throttled()
        self.minute.append(now)
        return None

    def issue(self) -> str:
        """A new token, good for as many requests as the world says."""
        token = identity(self.world.tenant, "token", len(self.tokens), length=40)
        self.tokens[token] = self.world.token_requests or 1_000_000_000
        return token


async def _failed(fault: Fault) -> Response:
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds or 3600)
    if fault.kind == "html":
        return Response("<html><body>请登录 / please log in</body></html>", fault.status, fault.headers, "text/html")
    return json({"code": "100000", "message": "sandbox fault"}, fault.status, fault.headers)


def _bent(response: Response, fault: Fault | None) -> Response:
    if fault is None or response.status_code != 200:
        return response
    body = bytes(response.body)
    if fault.kind == "truncated":
        return Response(body[: len(body) // 2], 200, None, "application/json")
    page = orjson.loads(body)
    key = "values" if "values" in page else "value"
    if fault.kind == "empty":
        page[key] = []
    elif fault.kind == "duplicate" and page[key]:
        page[key] = [page[key][0], *page[key][:-1]]
    elif fault.kind == "drop_rows":
        page[key] = page[key][1:]
    return json(page)


def build_app(world: World) -> Starlette:
    """The application over a world; changes to the world show at once."""
    gate = _Gate(world)
    routes = [Route("/v1/auth/token", gate.wrap(lambda w, r: pingcode.token(w, r, gate.issue), "pingcode"))]
    for area in ("project", "pjm"):
        for path, handler, methods in pingcode.routes(area):
            routes.append(Route(f"/v1/{area}{path}", gate.wrap(_if_served(area, handler), "pingcode"), methods=methods))
    routes.append(Route("/v1/directory/team", gate.wrap(pingcode.team, "pingcode")))
    routes.append(
        Route(
            "/open-api/tenant-access-token",
            gate.wrap(lambda w, r: worktile.token(w, r, gate.issue), "worktile"),
            methods=["POST"],
        )
    )
    for path, handler in worktile.routes():
        routes.append(Route(f"/open-api{path}", gate.wrap(handler, "worktile")))
    routes.append(Route("/_control/{verb}", _control(world), methods=["POST"]))
    routes.append(Route("/{rest:path}", gate.wrap(pingcode.bad_path, "pingcode"), methods=["GET", "POST", "PATCH"]))
    return Starlette(routes=routes)


def _if_served(area: str, handler: Handler) -> Handler:
    async def answer(world: World, request: Request) -> Response:
        return await handler(world, request) if area in world.generations else await pingcode.bad_path(world, request)

    return answer


# --- control -----------------------------------------------------------------------------------------


def _control(world: World) -> Callable[[Request], Awaitable[Response]]:
    """POST /_control/{move,rename,delete,archive,add,fault,now,log} with a JSON body."""

    async def answer(request: Request) -> Response:
        raw = await request.body()
        body = orjson.loads(raw) if raw else {}
        verb = request.path_params["verb"]
        if verb not in _VERBS:
            return json({"error": f"unknown verb {verb!r}", "known": sorted(_VERBS)}, 404)
        return json(_VERBS[verb](world, body) or {"ok": True})

    return answer


def _pick(world: World, body: dict[str, Any]) -> Milestone:
    return world.milestones[body["id"]] if "id" in body else world.find(body["title"])


def _move(world: World, body: dict[str, Any]) -> None:
    world.move(
        _pick(world, body),
        body["state"],
        int(body.get("at", world.now)),
        body.get("by", "control"),
        silent=bool(body.get("silent")),
    )


def _edit(name: str, *, value: object = True) -> Callable[[World, dict[str, Any]], None]:
    def change(world: World, body: dict[str, Any]) -> None:
        milestone = _pick(world, body)
        setattr(milestone, name, body.get("value", value))
        milestone.updated_at = int(body.get("at", world.now))

    return change


def _add(world: World, body: dict[str, Any]) -> dict[str, object]:
    return {"id": world.add(world.project(body["project"]), body["title"]).id}


_VERBS: dict[str, Callable[[World, dict[str, Any]], dict[str, Any] | None]] = {
    "move": _move,
    "rename": _edit("title"),
    "delete": _edit("deleted"),
    "archive": _edit("archived"),
    "add": _add,
    "fault": lambda w, b: w.faults.append(Fault(**b)),
    "now": lambda w, b: setattr(w, "now", int(b["value"])),
    "log": lambda w, _b: {"log": w.log[-1000:]},
}
