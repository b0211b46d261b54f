"""A scripted PingCode, newer generation of paths (or the older, on wish), for the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

TYPE = "64bb000000000000000000ef"
DAY = 86_400
MONTH = 30 * DAY


class PingCodeFake(ScriptedVendor):
    """One tenant. `area` is pjm or project."""

    system = "pingcode"
    token_path = "/v1/auth/token"  # noqa: S105 - a path
    secrets: ClassVar[tuple[str, ...]] = ("pc-secret-7Qx81", "pc-token-")
    skips: ClassVar[Mapping[str, str]] = {}

    def __init__(self, area: str = "pjm") -> None:
        super().__init__()
        self.area = area
        self.tokens = 0
        self.reviews: list[Row] = []
        self.sprints: list[Row] = []
        self.releases: list[Row] = []
        self.deliverables: list[Row] = []
        self.ignore_filters = False

    def options(self, **changes: object) -> dict[str, object]:
        given = {"base_url": "https://pc.example/open", "client_id": "pc-client", "client_secret": "pc-secret-7Qx81"}
        return {**given, "per_minute": 0, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(client_secret="pc-secret-wrong")  # noqa: S106 - invented

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/open")
        if path == self.token_path:
            return self._token(request)
        if not self._knows(request):
            return reply({"code": "100001", "message": "未授权"}, 401)
        for prefix, handler in self._routes():
            if path.startswith(prefix):
                return handler(path.removeprefix(prefix), request)
        return reply({"code": "100002", "message": "资源路径不正确"}, 404)

    def _routes(self) -> list[tuple[str, Callable[[str, httpx.Request], httpx.Response]]]:
        area = f"/v1/{self.area}"
        return [
            ("/v1/directory/team", lambda _p, _r: reply({"id": "t1", "url": "", "name": "星澜"})),
            ("/v1/reviews", self._reviews),
            (f"{area}/projects", self._projects),
            (f"{area}/deliverables", self._deliverables),
            (f"{area}/work_item/types", self._types),
            (f"{area}/work_items", self._items),
        ]

    # --- tokens ---

    def _token(self, request: httpx.Request) -> httpx.Response:
        given = request.url.params
        if (given.get("client_id"), given.get("client_secret")) != ("pc-client", "pc-secret-7Qx81"):
            return reply({"code": "100024", "message": "client_id 或 client_secret 不正确"}, 400)
        self.tokens += 1
        self.expired = False
        body = {"access_token": f"pc-token-{self.tokens}", "token_type": "Bearer", "expires_in": self.now + MONTH}
        return reply(body)

    def _knows(self, request: httpx.Request) -> bool:
        return not self.expired and request.headers.get("authorization") == f"Bearer pc-token-{self.tokens}"

    # --- answers ---

    def _page(self, rows: list[Row], given: Mapping[str, Any]) -> httpx.Response:
        index, size = int(given.get("page_index", 0)), min(100, int(given.get("page_size", 30)))
        values = rows[index * size : (index + 1) * size]
        return reply({"page_size": size, "page_index": index, "total": len(rows), "values": values})

    def _projects(self, rest: str, request: httpx.Request) -> httpx.Response:
        if rest in ("", "/"):
            return self._page([_project(n) for n in range(len(PROJECTS))], request.url.params)
        what = rest.rpartition("/")[2]
        if what == "progress":
            own = [i for i in self.items.values() if not i.removed]
            done = sum(i.done for i in own)
            counts = {"total": len(own), "pending_count": len(own) - done, "in_progress_count": 0}
            return reply({"work_item": {**counts, "completed_count": done}})
        rows = {"sprints": self.sprints, "versions": self.releases}.get(what, [])
        return self._page(rows if _id(0) in rest else [], request.url.params)

    def _deliverables(self, _rest: str, request: httpx.Request) -> httpx.Response:
        asked = request.url.params["project_id"]
        own = [d for d in self.deliverables if self.ignore_filters or d["project"]["id"] == asked]
        return self._page(own, request.url.params)

    def _types(self, _rest: str, request: httpx.Request) -> httpx.Response:
        kinds = [(TYPE, "里程碑", "plan"), ("task", "任务", "task")]
        return self._page([{"id": i, "url": "", "name": n, "group": g} for i, n, g in kinds], request.url.params)

    def _reviews(self, rest: str, request: httpx.Request) -> httpx.Response:
        if rest:
            review = next(r for r in self.reviews if r["id"] in rest)
            rows = [{"id": i, "principal_type": "work_item", "principal": {"id": i}} for i in review["items"]]
        else:
            own = [r for r in self.reviews if r["pilot"]["id"] == request.url.params["pilot_id"]]
            rows = [{k: v for k, v in r.items() if k != "items"} for r in own]
        return self._page(rows, request.url.params)

    def _items(self, rest: str, request: httpx.Request) -> httpx.Response:
        if rest.endswith("/transition_histories"):
            return self._page(self._history(self.items[rest.split("/")[1]]), request.url.params)
        if rest == "/search" and self.area == "pjm":
            payload = body_of(request)["payload"]
            return self._listed(self._searched(payload), payload)
        if rest:
            return reply(_row(self.items[rest.strip("/")]))
        found = self._filtered(request.url.params)
        return self._listed(found, request.url.params)

    def _listed(self, found: list[Item], given: Mapping[str, Any]) -> httpx.Response:
        answer = self._page([_row(i) for i in found], given)
        self.served(int(given["page_index"]) == 0, len(found) > int(given["page_size"]))
        return answer

    def _filtered(self, given: Mapping[str, str]) -> list[Item]:
        """Singular ids here, plural ones in the older generation; what is unknown is ignored."""
        rows = list(self.items.values())
        if self.ignore_filters:
            return rows
        projects = given.get("project_ids" if self.area == "project" else "project_id")
        if projects:
            rows = [i for i in rows if _id(i.project) in projects.split(",")]
        if self.area == "project" and "updated_between" in given:
            low, _, high = given["updated_between"].partition(",")
            rows = [i for i in rows if int(low) <= i.updated_at <= int(high)]
        return rows

    def _searched(self, payload: Row) -> list[Item]:
        wanted = payload["filter"]
        low = int(wanted["updated_at"]["gte"]) // DAY
        ids = wanted["project.id"]["in"]
        return [i for i in self.items.values() if _id(i.project) in ids and i.updated_at // DAY >= low]

    def _history(self, item: Item) -> list[Row]:
        first: Row = {"id": f"{item.id}-0", "url": "", "from_state": None, "to_state": _state(done=False, begun=False)}
        rows = [{**first, "created_at": START - MONTH, "created_by": _person("admin")}]
        for number, (at, done, by) in enumerate(item.history, 1):
            moved = {"id": f"{item.id}-{number}", "url": "", "from_state": rows[-1]["to_state"]}
            rows.append({**moved, "to_state": _state(done=done), "created_at": at, "created_by": _person(by)})
        return rows


def _id(project: int) -> str:
    return f"{0x64AA << 80 | (project + 1):024x}"


def _project(number: int) -> Row:
    identifier, name = PROJECTS[number]
    return {
        "id": _id(number), "url": "", "type": "waterfall", "identifier": identifier, "name": name,
        "updated_at": START - MONTH, "is_archived": 0, "is_deleted": 0,
    }  # fmt: skip


def _person(name: str) -> Row:
    return {"id": "00000000000000000000000000000abc", "url": "", "name": name, "display_name": name, "avatar": ""}


def _state(*, done: bool, begun: bool = True) -> Row:
    kind, name = ("completed", "已完成") if done else ("in_progress", "进行中") if begun else ("pending", "未开始")
    return {"id": f"s-{kind}", "url": "", "name": name, "type": kind, "color": "#56abfb"}


def _row(item: Item) -> Row:
    identifier, name = PROJECTS[item.project]
    row: Row = {
        "id": item.id, "url": "", "identifier": f"{identifier}-1", "short_id": item.id[-8:], "title": item.name, "type": TYPE,
        "html_url": f"https://pc.example/pjm/workitems/{item.id[-8:]}",
        "project": {"id": _id(item.project), "url": "", "identifier": identifier, "name": name, "type": "waterfall"},
        "state": _state(done=item.done, begun=bool(item.history)), "assignee": None, "end_at": START + MONTH,
        "completed_at": item.done_at if item.done else None, "parent_id": None, "properties": {}, "created_at": START - MONTH,
        "updated_at": item.updated_at, "is_archived": 0, "is_deleted": int(item.removed), **item.unknown,
    }  # fmt: skip
    if item.spoiled == "missing":
        del row["state"]
    elif item.spoiled == "retyped":
        row["state"] = "completed"
    return row
