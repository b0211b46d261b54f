"""The sandbox as an ASGI application: PingCode below /v1, Worktile below /open-api, control below /_control.

It reproduces what surprises: unknown filters are ignored with 200, missing objects answer 400, deleted and
archived rows hide, there is no sort order, `expires_in` is a moment for one vendor and a duration for the
other, one reports errors inside HTTP 200 and throttles with an HTML page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.kit.sandbox import pingcode, worktile
from connectors.kit.sandbox.answers import Refusal, answer, bad_path
from connectors.kit.sandbox.control import answer_control
from connectors.kit.sandbox.gate import Gate, Vendor
from connectors.kit.sandbox.rows import Rows
from connectors.kit.sandbox.shelf import Shelf
from connectors.kit.sandbox.worktile import body_of
from connectors.kit.sandbox.world import World

Answer = Callable[[Request], Awaitable[Response]]
AREAS = ("project", "pjm")
ANY = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build_app(world: World) -> Starlette:
    """The application over a world; changes to the world show at once."""
    gate, shelf = Gate(world), Shelf(world)
    routes = [*_pingcode(gate, shelf), *_worktile(gate), Route("/_control/{verb}", _control(gate), methods=["GET", "POST"])]  # fmt: skip
    routes.append(Route("/{rest:path}", _gated(gate, "pingcode", _no_such_path), methods=ANY))
    return Starlette(routes=routes, exception_handlers={Exception: _failed})


def _gated(gate: Gate, vendor: Vendor, handler: Answer) -> Answer:
    async def endpoint(request: Request) -> Response:
        try:
            return await gate.pass_through(request, vendor, handler)
        except Refusal as refusal:
            return refusal.answer()

    return endpoint


async def _no_such_path(request: Request) -> Response:
    del request
    raise bad_path()


async def _failed(request: Request, problem: Exception) -> Response:
    """A fault of the sandbox's own: say so, so that nobody looks for it elsewhere."""
    return answer({"code": "100000", "message": f"the sandbox itself failed at {request.url.path}: {problem!r}"}, 500)


# --- PingCode ----------------------------------------------------------------------------------------


def _pingcode(gate: Gate, shelf: Shelf) -> list[Route]:
    async def token(request: Request) -> Response:
        return pingcode.token(gate.world, request, gate.issue)

    routes = [Route("/v1/auth/token", _gated(gate, "pingcode", token))]
    for area in AREAS:
        for found in pingcode.endpoints(area):
            if found.shared and area != AREAS[0]:
                continue
            prefix = "/v1" if found.shared else f"/v1/{area}"
            handler = _gated(gate, "pingcode", _called(gate.world, shelf, area, found))
            routes.append(Route(prefix + found.path, handler, methods=[found.method]))
    return routes


def _called(world: World, shelf: Shelf, area: str, found: pingcode.Endpoint) -> Answer:
    """A generation that this installation does not have answers like any wrong path."""
    rows = Rows(world, area)

    async def handler(request: Request) -> Response:
        if not found.shared and area not in world.generations:
            raise bad_path()
        body = body_of(await request.body()) if request.method in ("POST", "PATCH") else None
        return found.handler(pingcode.Call(world, shelf, rows, request, body))

    return handler


# --- Worktile and control ----------------------------------------------------------------------------


def _worktile(gate: Gate) -> list[Route]:
    async def token(request: Request) -> Response:
        return worktile.token(gate.world, body_of(await request.body()), gate.issue)

    routes = [Route("/open-api/tenant-access-token", _gated(gate, "worktile", token), methods=["POST"])]
    for path, found in worktile.routes():
        routes.append(Route(f"/open-api{path}", _gated(gate, "worktile", _asked(gate.world, found))))
    return routes


def _asked(world: World, found: worktile.Handler) -> Answer:
    async def handler(request: Request) -> Response:
        return found(world, request)

    return handler


def _control(gate: Gate) -> Answer:
    async def endpoint(request: Request) -> Response:
        return answer_control(gate, request.path_params["verb"], body_of(await request.body()))

    return endpoint
