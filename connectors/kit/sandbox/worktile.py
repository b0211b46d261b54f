"""Worktile's side of the sandbox: errors inside HTTP 200, throttling as an HTML page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from connectors.kit.sandbox.world import STATES, WORKTILE_TYPES, Milestone, World, identity

Row = dict[str, Any]


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), 200, None, "application/json")


def _error(code: int) -> Response:
    return _json({"ok": False, "error_code": code})


def expired() -> Response:
    """A bad token: 200, and 1103 in the body."""
    return _error(1103)


def throttled() -> Response:
    """nginx throttles, in HTML."""
    return Response(
        "<html><head><title>429 Too Many Requests</title></head></html>", 429, {"Retry-After": "1"}, "text/html"
    )


async def token(world: World, request: Request, issue: Callable[[], str]) -> Response:
    """The team's token; `expires_in` is a duration."""
    given = orjson.loads(await request.body())
    if (given.get("client_id"), given.get("client_secret")) != (world.client_id, world.client_secret):
        return _error(1101)
    return _json({"tenant_access_token": issue(), "expires_in": 7200})


def routes() -> list[tuple[str, Callable[[World, Request], Awaitable[Response]]]]:
    """(path, handler) below /open-api."""
    return [
        ("/mission/get-projects-by-page", _projects),
        ("/mission/get-project-tasks-by-page", _tasks_v1),
        ("/mission/projects/{project_id}/tasks", _tasks_v2),
        ("/mission/get-tasks-by-ids", _by_ids),
        ("/mission/tasks/{task_id}", _detail),
    ]


def _task(m: Milestone) -> Row:
    kind = WORKTILE_TYPES[STATES[m.state]]
    properties: Row = {"due": {"value": {"date": m.planned, "with_time": 0}}} if m.planned else {}
    return {
        "_id": m.id, "identifier": m.id[:6], "title": m.title, "project_id": m.project, "created_by": identity("user", "admin"),
        "created_at": m.updated_at, "updated_at": m.updated_at, "is_archived": int(m.archived), "completed_at": m.completed_at or 0,
        "state_type": kind, "task_state": {"_id": identity("state", m.state), "name": m.state, "type": kind, "description": ""},
        "task_type": {"_id": identity("type", m.kind), "name": m.kind, "description": ""}, "parent_id": "", "parent_ids": [],
        "derived_ids": [], "properties": properties,
    } | m.extra  # fmt: skip


def _numbers(request: Request) -> tuple[int, int]:
    return int(request.query_params.get("page_index", 0)), int(request.query_params.get("page_size", 30))


async def _projects(world: World, request: Request) -> Response:
    index, size = _numbers(request)
    rows = [{"_id": p.id, "identifier": p.identifier, "name": p.name, "visibility": 1} for p in world.projects.values()]
    return _json(
        {
            "items": rows[index * size : (index + 1) * size],
            "total": len(rows),
            "has_more": (index + 1) * size < len(rows),
        }
    )


def _own(world: World, project: str) -> list[Milestone]:
    return [m for m in world.milestones.values() if m.project == project and not m.deleted]


async def _tasks_v1(world: World, request: Request) -> Response:
    index, size = _numbers(request)
    rows = _own(world, request.query_params.get("project_id", ""))
    return _json(
        {
            "value": [_task(m) for m in rows[index * size : (index + 1) * size]],
            "total": len(rows),
            "has_more": (index + 1) * size < len(rows),
        }
    )


async def _tasks_v2(world: World, request: Request) -> Response:
    index, size = _numbers(request)
    rows = _own(world, request.path_params["project_id"])
    page = [_task(m) for m in rows[index * size : (index + 1) * size]]
    return _json({"value": page, "meta": {"has_more": (index + 1) * size < len(rows)}, "references": {"users": []}})


async def _by_ids(world: World, request: Request) -> Response:
    wanted = request.query_params.get("task_ids", "").split(",")
    return _json([_task(world.milestones[i]) for i in wanted if i in world.milestones])


async def _detail(world: World, request: Request) -> Response:
    found = world.milestones.get(request.path_params["task_id"])
    return _error(1404) if found is None else _json({"data": {"value": _task(found)}})
