"""PingCode's side of the sandbox, both generations of paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from zlib import crc32

import orjson
from starlette.requests import Request
from starlette.responses import Response

from connectors.kit.sandbox.world import STATES, Milestone, Project, World, identity

Row = dict[str, Any]
THIRTY_DAYS = 30 * 86_400
DAY = 86_400


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")


def unauthorised() -> Response:
    """A bad bearer token: a real 401."""
    return _json({"code": "100001", "message": "未授权"}, 401)


def throttled(wait: int) -> Response:
    """The documented 429."""
    return _json({"code": "100038", "message": "请求过于频繁"}, 429, {"x-pc-retry-after": str(wait)})


def _bad(code: str, message: str, status: int = 400) -> Response:
    return _json({"code": code, "message": message}, status)


async def bad_path(world: World, request: Request) -> Response:
    """A path that does not exist."""
    del world, request
    return _bad("100002", "资源路径不正确", 404)


async def token(world: World, request: Request, issue: Callable[[], str]) -> Response:
    """Client credentials by GET; wrong ones are 400, `expires_in` is a moment."""
    given = request.query_params
    if (given.get("client_id"), given.get("client_secret")) != (world.client_id, world.client_secret):
        return _bad("100024", "client_id 或 client_secret 不正确")
    return _json({"access_token": issue(), "token_type": "Bearer", "expires_in": 4_000_000_000})


async def team(world: World, request: Request) -> Response:
    """Whose tenant it is."""
    del request
    return _json({"id": identity(world.tenant), "url": "", "name": world.tenant, "secondary_domain": world.tenant})


def routes(area: str) -> list[tuple[str, Callable[[World, Request], Awaitable[Response]], list[str]]]:
    """(path, handler, methods) below /v1/{area}."""
    found: list[tuple[str, Callable[[World, Request], Awaitable[Response]], list[str]]] = [
        ("/projects", _projects, ["GET"]),
        ("/projects/{project_id}/progress", _progress, ["GET"]),
        ("/projects/{project_id}/sprints", _nothing, ["GET"]),
        ("/projects/{project_id}/versions", _nothing, ["GET"]),
        ("/work_item/types", _types, ["GET"]),
        ("/work_item/states", _states, ["GET"]),
        ("/work_items", _items_g2 if area == "project" else _items_g3, ["GET"]),
        ("/work_items/{item_id}", _item, ["GET"]),
        ("/work_items/{item_id}/transition_histories", _histories, ["GET"]),
    ]
    if area == "pjm":
        found.insert(6, ("/work_items/search", _search, ["POST"]))
    return found


# --- rows --------------------------------------------------------------------------------------------


def _person(name: str) -> Row:
    return {"id": identity("user", name, length=32), "url": "", "name": name, "display_name": name, "avatar": ""}


def _state(name: str) -> Row:
    return {"id": identity("state", name), "url": "", "name": name, "type": STATES[name], "color": "#56abfb"}


def _project_row(world: World, p: Project) -> Row:
    return {
        "id": p.id, "url": "", "type": p.kind, "identifier": p.identifier, "name": p.name, "visibility": "private",
        "description": "", "assignee": None, "start_at": None, "end_at": None, "properties": {}, "members": [],
        "created_at": world.now - 10_000_000, "updated_at": p.updated_at, "is_archived": int(p.archived), "is_deleted": 0,
    }  # fmt: skip


def _item_row(world: World, item: Milestone) -> Row:
    p = world.projects[item.project]
    number = f"{p.identifier}-{crc32(item.id.encode()) % 10_000}"
    row: Row = {
        "id": item.id, "url": "", "identifier": number, "short_id": item.id[:8], "title": item.title,
        "html_url": f"https://pingcode.example/pjm/items/{item.id}", "type": world.type_id(item.kind),
        "project": {"id": p.id, "url": "", "identifier": p.identifier, "name": p.name, "type": p.kind, "is_archived": 0, "is_deleted": 0},
        "state": _state(item.state), "assignee": None, "priority": None, "start_at": None, "end_at": item.planned,
        "completed_at": item.completed_at, "parent_id": None, "phase": None, "sprint": None, "versions": [], "description": "",
        "properties": {}, "tags": [], "participants": [], "created_at": world.now - 10_000_000, "created_by": _person("admin"),
        "updated_at": item.updated_at, "updated_by": _person("admin"), "is_archived": int(item.archived), "is_deleted": int(item.deleted),
    }  # fmt: skip
    return row | item.extra


def _page(request: Request, rows: Iterable[Any], build: Callable[[Any], Row], given: Row | None = None) -> Response:
    """One page; the order is stable but means nothing."""
    source = given if given is not None else dict(request.query_params)
    try:
        index, size = int(source.get("page_index", 0)), min(100, int(source.get("page_size", 30)))
    except ValueError:
        return _bad("100004", "数字参数不正确")
    ordered = list(rows)
    values = [build(r) for r in ordered[index * size : (index + 1) * size]]
    return _json({"page_size": size, "page_index": index, "total": len(ordered), "values": values})


def _shuffled(items: Iterable[Milestone]) -> list[Milestone]:
    return sorted(items, key=lambda m: crc32(m.id.encode()))


def _flag(given: Row, name: str) -> bool:
    return str(given.get(name, "false")).lower() == "true"


def _visible(world: World, given: Row) -> list[Milestone]:
    """Deleted and archived rows hide unless asked for."""
    deleted, archived = _flag(given, "include_deleted"), _flag(given, "include_archived")
    return [m for m in world.milestones.values() if (deleted or not m.deleted) and (archived or not m.archived)]


# --- answers -----------------------------------------------------------------------------------------


async def _projects(world: World, request: Request) -> Response:
    archived = _flag(dict(request.query_params), "include_archived")
    rows = [p for p in world.projects.values() if archived or not p.archived]
    return _page(request, rows, lambda p: _project_row(world, p))


async def _progress(world: World, request: Request) -> Response:
    p = world.projects.get(request.path_params["project_id"])
    if p is None:
        return _bad("100300", "项目不存在")
    own = [m for m in world.milestones.values() if m.project == p.id and not m.deleted]
    total, done = (p.total, p.completed) if p.total else (len(own), sum(STATES[m.state] == "completed" for m in own))
    return _json(
        {"work_item": {"total": total, "pending_count": total - done, "in_progress_count": 0, "completed_count": done}}
    )


async def _nothing(world: World, request: Request) -> Response:
    del world
    return _page(request, [], lambda r: r)


async def _types(world: World, request: Request) -> Response:
    p = world.projects.get(request.query_params.get("project_id", ""))
    if p is None:
        return _bad("100300", "项目不存在")
    kinds = [("里程碑", "plan"), ("阶段", "plan")] if p.kind in ("waterfall", "hybrid") else []
    rows = [{"id": world.type_id(k), "url": "", "name": k, "group": g} for k, g in [*kinds, ("任务", "task")]]
    return _page(request, rows, lambda r: r)


async def _states(world: World, request: Request) -> Response:
    del world
    return _page(request, list(STATES), _state)


async def _items_g2(world: World, request: Request) -> Response:
    """Plural filters, `updated_between` to the second; what is unknown is ignored."""
    given = dict(request.query_params)
    rows = _visible(world, given)
    if "project_ids" in given:
        wanted = set(given["project_ids"].split(","))
        rows = [m for m in rows if m.project in wanted]
    if "type_ids" in given:
        kinds = set(given["type_ids"].split(","))
        rows = [m for m in rows if world.type_id(m.kind) in kinds]
    if "updated_between" in given:
        low, _, high = given["updated_between"].partition(",")
        if any(len(x) > 11 for x in (low, high)):
            return _bad("100004", "时间戳应为 10 位秒")
        rows = [m for m in rows if int(low or 0) <= m.updated_at <= int(high or 9_999_999_999)]
    return _page(request, _shuffled(rows), lambda m: _item_row(world, m))


async def _items_g3(world: World, request: Request) -> Response:
    """Singular filters only, no dates."""
    given = dict(request.query_params)
    rows = _visible(world, given)
    if "project_id" in given:
        rows = [m for m in rows if m.project == given["project_id"]]
    if "type_id" in given:
        rows = [m for m in rows if world.type_id(m.kind) == given["type_id"]]
    return _page(request, _shuffled(rows), lambda m: _item_row(world, m))


async def _search(world: World, request: Request) -> Response:
    """A read with one operator a field; times compare by whole day."""
    body = orjson.loads(await request.body())
    payload = body.get("payload", {})
    rows = _visible(world, payload)
    for name, rule in payload.get("filter", {}).items():
        if len(rule) != 1:
            return _bad("100044", f"{name}: 只能有一个操作符")
        operator, value = next(iter(rule.items()))
        if name == "project.id" and operator == "in":
            rows = [m for m in rows if m.project in value]
        elif name == "updated_at" and operator == "gte":
            rows = [m for m in rows if m.updated_at // DAY >= int(value) // DAY]
        else:
            return _bad("100043", f"{name} 不可筛选")
    return _page(request, _shuffled(rows), lambda m: _item_row(world, m), payload)


async def _item(world: World, request: Request) -> Response:
    item = world.milestones.get(request.path_params["item_id"])
    return _bad("100317", "工作项不存在") if item is None or item.deleted else _json(_item_row(world, item))


async def _histories(world: World, request: Request) -> Response:
    item = world.milestones.get(request.path_params["item_id"])
    if item is None or item.deleted:
        return _bad("100317", "工作项不存在")
    first = [
        {
            "id": identity(item.id, "created"),
            "url": "",
            "from_state": None,
            "to_state": _state("未开始"),
            "created_at": world.now - 10_000_000,
            "created_by": _person("admin"),
        }
    ]
    rows = [
        {
            "id": identity(item.id, n),
            "url": "",
            "from_state": _state(before),
            "to_state": _state(after),
            "created_at": at,
            "created_by": _person(by),
        }
        for n, (at, before, after, by) in enumerate(item.history)
    ]
    return _page(request, first + rows, lambda r: r)
