"""Worktile's side of the sandbox: errors inside HTTP 200, throttling as an HTML page, no filter by change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from connectors.kit.sandbox.answers import answer
from connectors.kit.sandbox.world import STATES, WORKTILE_TYPES, Milestone, Project, World, identity

Row = dict[str, Any]
Handler = Callable[[World, Request], Response]
TOKEN_SECONDS = 7200
WRONG_CLIENT, MISSING, UNKNOWN = 1101, 1001, 1404  # invented: the vendor's list of codes is not public


def error(code: int) -> Response:
    """An error, inside HTTP 200."""
    return answer({"ok": False, "error_code": code})


def token(world: World, body: Any, issue: Callable[[int | None], tuple[str, int]]) -> Response:
    """The team's token; `expires_in` is a duration and no moment."""
    given = body if isinstance(body, dict) else {}
    if (given.get("client_id"), given.get("client_secret")) != (world.client_id, world.client_secret):
        return error(WRONG_CLIENT)
    value, _ends = issue(world.token_seconds)
    return answer({"tenant_access_token": value, "expires_in": world.token_seconds or TOKEN_SECONDS})


def routes() -> tuple[tuple[str, Handler], ...]:
    """(path, handler) below /open-api; all are GET."""
    return (
        ("/mission/get-projects-by-page", _projects),
        ("/mission/get-project-tasks-by-page", _tasks_v1),
        ("/mission/projects/{project_id}/tasks", _tasks_v2),
        ("/mission/get-tasks-by-ids", _by_ids),
        ("/mission/tasks/{task_id}", _detail),
        ("/contact/get-members-by-page", _members),
        ("/contact/get-members-by-ids", _members_by_ids),
    )


# --- rows --------------------------------------------------------------------------------------------


def _task(world: World, m: Milestone, *, wrapped: bool = True, columns: set[str] | None = None) -> Row:
    """A task. `wrapped`: values of properties lie in {value: …}, as the second version of the list has them."""
    kind = WORKTILE_TYPES[STATES[m.state]]
    return {
        "_id": m.id, "identifier": f"{world.projects[m.project].identifier}-{m.number}", "title": m.title,
        "project_id": m.project, "created_by": world.person("admin"), "created_at": m.created_at, "updated_at": m.updated_at,
        "is_archived": int(m.archived), "completed_at": m.completed_at or 0, "state_type": kind,
        "task_state": {"_id": world.state_id(m.state), "name": m.state, "type": kind, "description": ""},
        "task_type": {"_id": identity(world.tenant, "type", m.kind), "name": m.kind, "description": ""},
        "parent_id": m.parent or "", "parent_ids": [m.parent] if m.parent else [], "derived_ids": [],
        "properties": _properties(world, m, wrapped=wrapped, columns=columns),
    } | m.extra  # fmt: skip


def _properties(world: World, m: Milestone, *, wrapped: bool, columns: set[str] | None) -> Row:
    values: Row = {}
    if m.assignee:
        values["assignee"] = world.person(m.assignee)
    if m.planned:
        values["due"] = {"date": m.planned, "with_time": 0}
    kept = {k: v for k, v in values.items() if columns is None or k in columns}
    return {k: {"value": v} for k, v in kept.items()} if wrapped else kept


def _member(world: World, name: str) -> Row:
    return {"uid": world.person(name), "name": name, "display_name": name, "avatar": "", "status": 1, "display_name_pinyin": ""}  # fmt: skip


# --- answers -----------------------------------------------------------------------------------------


def _slice(request: Request, rows: list[Any]) -> tuple[list[Any], bool]:
    """The rows of a page, and whether there are more."""
    index, size = (int(request.query_params.get(n, d)) for n, d in (("page_index", 0), ("page_size", 30)))
    return rows[index * size : (index + 1) * size], (index + 1) * size < len(rows)


def _set_of(request: Request, name: str) -> set[str] | None:
    text = request.query_params.get(name)
    return set(text.split(",")) if text else None


def _seen(world: World) -> list[Project]:
    return [p for p in world.projects.values() if p.system != "pingcode" and not p.deleted]


def _projects(world: World, request: Request) -> Response:
    rows = [{"_id": p.id, "identifier": p.identifier, "name": p.name, "visibility": 1} for p in _seen(world)]
    page, more = _slice(request, rows)
    return answer({"items": page, "total": len(rows), "has_more": more})


def _own(world: World, project: str) -> list[Milestone] | None:
    """The tasks of a project, deleted ones gone, in no order that means anything. None: no such project."""
    if project not in {p.id for p in _seen(world)}:
        return None
    own = [m for m in world.milestones.values() if m.project == project and not m.deleted]
    return sorted(own, key=lambda m: world.rank(m.id))


def _tasks_v1(world: World, request: Request) -> Response:
    if not request.query_params.get("project_id"):
        return error(MISSING)
    rows = _own(world, request.query_params["project_id"])
    if rows is None:
        return error(UNKNOWN)
    page, more = _slice(request, rows)
    columns = _set_of(request, "fields")
    values = [_task(world, m, wrapped=False, columns=columns) for m in page]
    return answer({"value": values, "total": len(rows), "has_more": more})


def _tasks_v2(world: World, request: Request) -> Response:
    rows = _own(world, request.path_params["project_id"])
    if rows is None:
        return error(UNKNOWN)
    page, more = _slice(request, rows)
    users = [_member(world, n) for n in sorted({m.assignee for m in page if m.assignee})]
    value = [_task(world, m) for m in page]
    return answer({"value": value, "meta": {"has_more": more}, "references": {"users": users}})


def _by_ids(world: World, request: Request) -> Response:
    """A bare array; what is not there is left out."""
    wanted = request.query_params.get("task_ids", "").split(",")
    found = [world.milestones[i] for i in wanted if i in world.milestones and not world.milestones[i].deleted]
    columns = _set_of(request, "fields")
    return answer([_task(world, m, wrapped=False, columns=columns) for m in found])


def _detail(world: World, request: Request) -> Response:
    """Without `columns` there is little in it."""
    found = world.milestones.get(request.path_params["task_id"])
    if found is None or found.deleted:
        return error(UNKNOWN)
    full = _task(world, found)
    columns = _set_of(request, "columns")
    value = full if columns and "properties" in columns else {"_id": found.id, "title": found.title}
    return answer({"data": {"value": value}})


def _members(world: World, request: Request) -> Response:
    page, more = _slice(request, sorted(world.people))
    return answer({"value": [_member(world, n) for n in page], "total": len(world.people), "has_more": more})


def _members_by_ids(world: World, request: Request) -> Response:
    wanted = _set_of(request, "uids") or set()
    return answer([_member(world, n) for n, key in sorted(world.people.items()) if key in wanted])


def body_of(raw: bytes) -> Any:
    """The JSON of a request; nothing where it is not JSON."""
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return None
