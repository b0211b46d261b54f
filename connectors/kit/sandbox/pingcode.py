"""PingCode's side of the sandbox: two generations of paths, one set of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.kit.sandbox import filters
from connectors.kit.sandbox.answers import (
    Refusal,
    answer,
    bad_path,
    between,
    flag,
    moment,
    object_id,
    page,
    required,
)
from connectors.kit.sandbox.rows import PROJECT_STATES, SHORT, Rows
from connectors.kit.sandbox.shelf import Shelf
from connectors.kit.sandbox.world import (
    PLANNED,
    STAGES,
    STATES,
    Milestone,
    Project,
    Release,
    Review,
    Sprint,
    World,
)

BULK_MAX = 100
API_USER = "open-api"  # who a change by the API is put down to


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a handler."""

    world: World
    shelf: Shelf
    rows: Rows
    request: Request
    body: Any = None

    @property
    def given(self) -> Mapping[str, str]:
        return self.request.query_params

    @property
    def path(self) -> Mapping[str, str]:
        return self.request.path_params

    def project(self, key: str) -> Project:
        """A project that can be seen. Raises Refusal (100300)."""
        found = self.world.projects.get(key)
        if found is None or found.system == "worktile" or (found.deleted and not flag(self.given, "include_deleted")):
            raise Refusal("100300", "项目不存在")
        return found

    def item(self, *, short: bool = False) -> Milestone:
        """The work item of the path, by id or where allowed by its short one. Raises Refusal (100317, 100002)."""
        key = self.path["item_id"]
        if short and len(key) == SHORT:
            found = next((m for m in self.world.milestones.values() if m.id[:SHORT] == key), None)
        else:
            found = self.world.milestones.get(object_id(key))
        if found is None or self.world.projects[found.project].system == "worktile":
            raise Refusal("100317", "工作项不存在")
        hidden = (found.deleted and not flag(self.given, "include_deleted")) or (
            found.archived and not flag(self.given, "include_archived")
        )
        if hidden and self.request.method == "GET":
            raise Refusal("100317", "工作项不存在")
        return found


Handler = Callable[[Call], Response]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path below /v1/{area} (or /v1 where `area` is empty), with the parameters it honours."""

    method: str
    path: str
    handler: Handler
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    shared: bool = field(default=False)  # below /v1, the same in both generations


# --- projects ----------------------------------------------------------------------------------------


def _projects(call: Call) -> Response:
    deleted, archived = flag(call.given, "include_deleted"), flag(call.given, "include_archived")
    rows = [p for p in call.world.projects.values() if p.system != "worktile" and (deleted or not p.deleted)]
    rows = [p for p in rows if archived or not p.archived]
    rows = [p for p in rows if call.given.get("type") in (None, p.kind)]
    rows = _narrowed(call, rows) if call.rows.area == "pjm" else _by_identifier(call, rows)
    return page(call.given, sorted(rows, key=lambda p: call.world.rank(p.id)), call.rows.project)


def _by_identifier(call: Call, rows: list[Project]) -> list[Project]:
    return [p for p in rows if call.given.get("identifier") in (None, p.identifier)]


def _narrowed(call: Call, rows: list[Project]) -> list[Project]:
    """The newer generation: words of the name, and moments. It has no filter by identifier."""
    words = call.given.get("keywords", "")
    return _in_ranges(call, [p for p in rows if words in p.name])


def _in_ranges(call: Call, rows: Sequence[Any]) -> list[Any]:
    kept = list(rows)
    for name in ("created", "updated"):
        bounds = between(call.given, f"{name}_between")
        if bounds is not None:
            kept = [r for r in kept if bounds[0] <= getattr(r, f"{name}_at") <= bounds[1]]
    return kept


def _project(call: Call) -> Response:
    return answer(call.rows.project(call.project(object_id(call.path["project_id"]))))


def _progress(call: Call) -> Response:
    """Counts by type of state, over all work items; a bare object, no page."""
    p = call.project(call.path["project_id"])
    own = [STATES[m.state] for m in call.shelf.select(("own", p.id), (p.id,), lambda m: not m.deleted)]
    total, done = (p.total, p.completed) if p.total else (len(own), own.count("completed"))
    under_way = 0 if p.total else own.count("in_progress")
    counts = {"total": total, "pending_count": total - done - under_way, "in_progress_count": under_way, "completed_count": done}  # fmt: skip
    return answer({"work_item": counts})


def _project_states(call: Call) -> Response:
    call.project(*required(call.request, "project_id"))
    return page(call.given, list(PROJECT_STATES), call.rows.project_state)


# --- types and states --------------------------------------------------------------------------------


def _types(call: Call) -> Response:
    p = call.project(*required(call.request, "project_id"))
    return page(call.given, call.world.kinds(p), lambda k: call.rows.type(*k))


def _all_types(call: Call) -> Response:
    kinds = {k: g for p in call.world.projects.values() for k, g in call.world.kinds(p)}
    build = call.rows
    return page(call.given, list(kinds.items()), lambda k: build.flagged(build.type(*k), system=build.is_system(k[0])))


def _states(call: Call) -> Response:
    key, _kind = required(call.request, "project_id", "work_item_type_id")
    call.project(key)
    return page(call.given, list(STATES), call.rows.state)


def _all_states(call: Call) -> Response:
    return page(call.given, list(STATES), lambda s: call.rows.flagged(call.rows.state(s), system=True))


# --- work items --------------------------------------------------------------------------------------


def _listed(call: Call, wanted: filters.Wanted, given: Mapping[str, Any]) -> Response:
    found = call.shelf.select(wanted.key, wanted.projects, lambda m: _shown(call, m) and wanted.test(m))
    return page(given, found, lambda m: call.shelf.row(call.rows.area, m, call.rows.item))


def _shown(call: Call, m: Milestone) -> bool:
    return call.world.projects[m.project].system != "worktile"


def _items(call: Call) -> Response:
    build = filters.plural if call.rows.area == "project" else filters.single
    return _listed(call, build(call.world, call.given), call.given)


def _search(call: Call) -> Response:
    payload = call.body.get("payload") if isinstance(call.body, dict) else None
    if not isinstance(payload, dict):
        raise Refusal("100039", "请求格式不正确")
    return _listed(call, filters.search(call.world, payload), payload)


def _item(call: Call) -> Response:
    return answer(call.rows.item(call.item(short=call.rows.area == "pjm")))


def _change_item(call: Call) -> Response:
    """A change of one item leaves a row in its history. What is not known is ignored."""
    item = call.item()
    for name, value in _mapping(call.body).items():
        _set(call, item, name, value, silent=False)
    return answer(call.rows.item(item))


def _change_items(call: Call) -> Response:
    """A bulk change: one property of up to 100 items; it leaves no trace in any history."""
    body = _mapping(call.body)
    ids = body.get("ids")
    if not ids or "property_name" not in body:
        raise Refusal("100008", "缺少必填参数 ids 或 property_name")
    if not isinstance(ids, list) or len(ids) > BULK_MAX:
        raise Refusal("100006", f"ids 最多只能 {BULK_MAX} 个")
    found = [call.world.milestones[i] for i in ids if i in call.world.milestones]
    for item in found:
        _set(call, item, str(body["property_name"]), body.get("property_value"), silent=True)
    return answer({"inserts": 0, "updates": len(found), "deletes": 0})


def _mapping(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise Refusal("100039", "请求格式不正确")
    return body


def _set(call: Call, item: Milestone, name: str, value: Any, *, silent: bool) -> None:
    world = call.world
    if name == "state_id":
        state = next((s for s in STATES if world.state_id(s) == value), None)
        if state is None:
            raise Refusal("100303", "工作项状态不存在")
        world.move(item, state, by=API_USER, silent=silent)
    elif name == "title":
        item.title, item.updated_at = str(value), world.now
    elif name == "end_at":
        item.planned, item.updated_at = moment(value, name), world.now


def _histories(call: Call) -> Response:
    return page(call.given, call.rows.histories(call.item()), lambda r: r)


def _history(call: Call) -> Response:
    rows = {r["id"]: r for r in call.rows.histories(call.item())}
    if call.path["history_id"] not in rows:
        raise Refusal("1003108", "流转记录不存在")
    return answer(rows[call.path["history_id"]])


def _activities(call: Call) -> Response:
    kind, key = required(call.request, "principal_type", "principal_id")
    if kind != "work_item":
        raise Refusal("100049", "principal_type 不支持")
    item = call.world.milestones.get(key)
    if item is None or item.deleted:
        raise Refusal("100317", "工作项不存在")
    return page(call.given, call.rows.activities(item), lambda r: r)


# --- comments ----------------------------------------------------------------------------------------


def _commented(call: Call, kind: object, key: object) -> list[str]:
    """The comments on a work item. Raises Refusal."""
    if kind != "work_item":
        raise Refusal("100049", "principal_type 不支持")
    item = call.world.milestones.get(str(key))
    if item is None or item.deleted:
        raise Refusal("100317", "工作项不存在")
    return call.world.comments.setdefault(item.id, [])


def _comments(call: Call) -> Response:
    found = _commented(call, *required(call.request, "principal_type", "principal_id"))
    return page(call.given, found, lambda text: call.rows.comment(call.given["principal_id"], text))


def _comment(call: Call) -> Response:
    given = call.body if isinstance(call.body, dict) else {}
    if not isinstance(given.get("content"), str) or not given["content"]:
        raise Refusal("100008", "缺少必填参数 content")
    _commented(call, given.get("principal_type"), given.get("principal_id")).append(given["content"])
    return answer(call.rows.comment(str(given["principal_id"]), given["content"]))


# --- sprints and releases ----------------------------------------------------------------------------


def _sprints(call: Call) -> Response:
    """Kanban and waterfall projects have none: an empty list."""
    p = call.project(call.path["project_id"])
    status, words = call.given.get("status"), call.given.get("name", "")
    rows = [s for s in call.world.sprints.values() if s.project == p.id and words in s.name]
    rows = _in_ranges(call, [s for s in rows if status in (None, s.status)])
    return page(call.given, rows, call.rows.sprint)


def _sprint(call: Call) -> Response:
    p = call.project(call.path["project_id"])
    if p.kind not in ("scrum", "hybrid"):
        raise Refusal("100300", "项目不存在")
    found: Sprint | None = call.world.sprints.get(object_id(call.path["sprint_id"]))
    if found is None:
        raise Refusal("100308", "迭代不存在")
    if found.project != p.id:
        raise Refusal("100309", "迭代不属于该项目")
    return answer(call.rows.sprint(found))


def _releases(call: Call) -> Response:
    p = call.project(call.path["project_id"])
    status, words = call.given.get("status"), call.given.get("name", "")
    rows = [r for r in call.world.releases.values() if r.project == p.id and words in r.name]
    rows = _in_ranges(call, [r for r in rows if status in (None, STAGES[r.stage])])
    return page(call.given, rows, call.rows.release)


def _release(call: Call) -> Response:
    p = call.project(call.path["project_id"])
    found: Release | None = call.world.releases.get(object_id(call.path["version_id"]))
    if found is None or found.project != p.id:
        raise Refusal("100304", "发布不存在")
    return answer(call.rows.release(found))


def _stages(call: Call) -> Response:
    return page(call.given, list(STAGES), call.rows.stage)


# --- proof: deliverables and reviews -----------------------------------------------------------------


def _deliverables(call: Call) -> Response:
    project, item = call.given.get("project_id"), call.given.get("work_item_id")
    if project and call.project(project).kind not in PLANNED:
        raise Refusal("100300", "项目不存在")
    items, rows = call.world.milestones, call.world.deliverables.values()
    found = [d for d in rows if project in (None, items[d.item].project) and item in (None, d.item)]
    return page(call.given, [d for d in found if not items[d.item].deleted], call.rows.deliverable)


def _deliverable(call: Call) -> Response:
    found = call.world.deliverables.get(object_id(call.path["deliverable_id"]))
    if found is None:
        raise Refusal("100317", "交付目标不存在")
    return answer(call.rows.deliverable(found))


def _reviews(call: Call) -> Response:
    kind, pilot = required(call.request, "principal_type", "pilot_id")
    if kind != "work_item":
        raise Refusal("100049", "principal_type 不支持")
    status = call.given.get("status")
    rows = [r for r in call.world.reviews.values() if r.project == pilot and status in (None, r.status)]
    return page(call.given, rows, call.rows.review)


def _found_review(call: Call) -> Review:
    required(call.request, "principal_type")
    found = call.world.reviews.get(object_id(call.path["review_id"]))
    if found is None:
        raise Refusal("100317", "评审不存在")
    return found


def _review(call: Call) -> Response:
    return answer(call.rows.review(_found_review(call)))


def _principals(call: Call) -> Response:
    review = _found_review(call)
    items = [call.world.milestones[i] for i in review.items]
    return page(call.given, items, lambda m: call.rows.principal(review, m))


# --- people ------------------------------------------------------------------------------------------


def _users(call: Call) -> Response:
    names = [n for n in call.world.people if call.given.get("name") in (None, n)]
    words = call.given.get("keywords", "")
    return page(call.given, [n for n in names if words in n], call.rows.user)


def _user(call: Call) -> Response:
    name = next((n for n, key in call.world.people.items() if key == call.path["user_id"]), None)
    if name is None:
        raise bad_path()
    return answer(call.rows.user(name))


def _team(call: Call) -> Response:
    tenant = call.world.tenant
    key = call.rows.world.state_id(tenant)
    return answer({"id": key, "url": f"https://{tenant}.pingcode.example", "name": tenant, "secondary_domain": tenant})


#: What is below /v1/{area}; where a list of parameters differs, the generation is named.
_BOUNDS = ("created_between", "updated_between")
_SHOWN = ("include_deleted", "include_archived")
_PROJECT_QUERY = {
    "project": ("identifier", "type", *_SHOWN),
    "pjm": ("keywords", "type", *_BOUNDS, *_SHOWN),
}
_ITEM_QUERY = {
    "project": (*filters.PLURAL, *filters.RANGES, *filters.COMMON),
    "pjm": (*filters.SINGLE, *filters.COMMON),
}


def endpoints(area: str) -> tuple[Endpoint, ...]:
    """All that one generation answers to, literal paths before those with an id in the same place."""
    search = (Endpoint("POST", "/work_items/search", _search, body=("mode", "payload")),) if area == "pjm" else ()
    return (
        Endpoint("GET", "/work_items", _items, _ITEM_QUERY[area]),
        *search,
        Endpoint("GET", "/work_items/{item_id}/transition_histories", _histories),
        Endpoint("GET", "/work_items/{item_id}/transition_histories/{history_id}", _history),
        Endpoint("GET", "/work_items/{item_id}", _item, _SHOWN),
        Endpoint("PATCH", "/work_items", _change_items, body=("ids", "property_name", "property_value")),
        Endpoint("PATCH", "/work_items/{item_id}", _change_item, body=("title", "end_at", "state_id")),
        Endpoint("GET", "/projects", _projects, _PROJECT_QUERY[area]),
        Endpoint("GET", "/projects/{project_id}", _project, _SHOWN),
        Endpoint("GET", "/projects/{project_id}/progress", _progress),
        Endpoint("GET", "/projects/{project_id}/sprints", _sprints, ("name", "status", *_BOUNDS)),
        Endpoint("GET", "/projects/{project_id}/sprints/{sprint_id}", _sprint),
        Endpoint("GET", "/projects/{project_id}/versions", _releases, ("name", "status", *_BOUNDS)),
        Endpoint("GET", "/projects/{project_id}/versions/{version_id}", _release),
        Endpoint("GET", "/project/states", _project_states, ("project_id",)),
        Endpoint("GET", "/work_item/types", _types, ("project_id",)),
        Endpoint("GET", "/work_item/states", _states, ("project_id", "work_item_type_id")),
        Endpoint("GET", "/work_item_types", _all_types),
        Endpoint("GET", "/work_item_states", _all_states),
        Endpoint("GET", "/stages", _stages),
        Endpoint("GET", "/deliverables", _deliverables, ("project_id", "work_item_id")),
        Endpoint("GET", "/deliverables/{deliverable_id}", _deliverable),
        Endpoint("GET", "/reviews", _reviews, ("principal_type", "pilot_id", "status"), shared=True),
        Endpoint("GET", "/reviews/{review_id}", _review, ("principal_type",), shared=True),
        Endpoint("GET", "/reviews/{review_id}/principals", _principals, ("principal_type",), shared=True),
        Endpoint("GET", "/activities", _activities, ("principal_type", "principal_id"), shared=True),
        Endpoint("GET", "/comments", _comments, ("principal_type", "principal_id"), shared=True),
        Endpoint("POST", "/comments", _comment, body=("principal_type", "principal_id", "content"), shared=True),
        Endpoint("GET", "/directory/users", _users, ("name", "keywords"), shared=True),
        Endpoint("GET", "/directory/users/{user_id}", _user, shared=True),
        Endpoint("GET", "/directory/team", _team, shared=True),
    )


def token(world: World, request: Request, issue: Callable[[int | None], tuple[str, int]]) -> Response:
    """Client credentials by GET; wrong ones are 400, `expires_in` is a moment and no duration."""
    given = request.query_params
    if given.get("grant_type") != "client_credentials":
        raise Refusal("100003", "grant_type 不正确")
    if (given.get("client_id"), given.get("client_secret")) != (world.client_id, world.client_secret):
        raise Refusal("100024", "client_id 或 client_secret 不正确")
    value, ends = issue(world.token_seconds)
    return answer({"access_token": value, "token_type": "Bearer", "expires_in": ends})
