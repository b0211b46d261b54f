"""A scripted Teambition for the conformance suite: HTTP 200 whatever happens, the truth in `code`; pages by token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

MONTH = 30 * 86_400
APP, SECRET, TOKEN, ORG = "6aa124bdad090c49109f7017", "JNkWgTBG-app-secret", "tb-app-token-", "60e7dce8bf4c8af5be3c42c1"
SFC = "637664d214a5d6004073215f"


class TeambitionFake(ScriptedVendor):
    """One organisation. The script's items are sprints; `tasks` are beside them."""

    system = "teambition"
    token_path = "/appToken"  # noqa: S105 - a path
    secrets: ClassVar[tuple[str, ...]] = (SECRET, TOKEN)
    skips: ClassVar[Mapping[str, str]] = {
        "done_by": "the read interface does not say who completed a sprint or a task",
    }

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self.tasks: list[Row] = []  # of ALPHA
        self.queries: list[str] = []

    def options(self, **changes: object) -> dict[str, object]:
        given = {"app_id": APP, "app_secret": SECRET, "organization_id": ORG}
        return {**given, "per_minute": 0, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(app_secret="wrong-wrong-wrong")  # noqa: S106 - invented

    def milestone_id(self, item: Item) -> str:
        return f"sprint:{item.id}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        if path == self.token_path:
            return self._token(request)
        if self.expired or request.headers.get("authorization") != f"Bearer {TOKEN}{self.tokens}":
            return _problem(401, "InvalidToken")
        if (request.headers.get("x-tenant-id"), request.headers.get("x-tenant-type")) != (ORG, "organization"):
            return _problem(403, "NoPermission")
        if path == "/v3/project/query":
            return _page(request, [_project(n) for n in range(len(PROJECTS))])[0]
        steps = path.split("/")
        if path.endswith("/sprint/search"):
            return self._sprints(request, steps[3])
        if path.endswith("/task/query"):
            self.queries.append(request.url.params.get("q", ""))
            return _page(request, self.tasks if steps[3] == _id(0) else [])[0]
        return _problem(421, "MisdirectedRequest, url not found")

    def _token(self, request: httpx.Request) -> httpx.Response:
        if body_of(request) != {"appId": APP, "appSecret": SECRET}:
            return _problem(401, "InvalidAppSecret")
        self.tokens += 1
        self.expired = False
        return reply({"appToken": f"{TOKEN}{self.tokens}", "expire": 1800})

    def _sprints(self, request: httpx.Request, project: str) -> httpx.Response:
        own = [i for i in self.items.values() if _id(i.project) == project and not i.removed]
        answer, first, more = _page(request, [self._row(i) for i in own])
        self.served(first == 0, more)
        return answer

    def _row(self, item: Item) -> Row:
        row: Row = {
            "id": item.id, "name": item.name, "status": "complete" if item.done else "active", "projectId": _id(item.project),
            "startDate": _iso(START - MONTH), "dueDate": _iso(START + MONTH), "created": _iso(START - MONTH),
            "updated": _iso(item.updated_at), "accomplished": _iso(item.done_at) if item.done and item.done_at else None, **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["status"]
        elif item.spoiled == "retyped":
            row["status"] = {"name": "complete"}
        return row


def task(number: int, **changes: object) -> Row:
    """An open task."""
    row: Row = {
        "id": f"{0x66CC << 80 | number:024x}", "content": f"验收 {number}", "isDone": False, "isArchived": False, "projectId": _id(0),
        "accomplishTime": None, "created": _iso(START - MONTH), "updated": _iso(START), "dueDate": _iso(START + MONTH), "sfcId": SFC,
    }  # fmt: skip
    return {**row, **changes}


def _page(request: httpx.Request, rows: list[Row]) -> tuple[httpx.Response, int, bool]:
    given = request.url.params
    first, size = int(given.get("pageToken") or 0), min(int(given.get("pageSize", 10)), 100)
    more = first + size < len(rows)
    body = {"code": 200, "errorMessage": "", "requestId": "r-1", "result": rows[first : first + size]}
    return reply({**body, "nextPageToken": str(first + size) if more else ""}), first, more


def _project(number: int) -> Row:
    key, name = PROJECTS[number]
    return {
        "id": _id(number),
        "name": name,
        "uniqueIdPrefix": key,
        "isArchived": False,
        "isTemplate": False,
        "organizationId": ORG,
    }


def _id(project: int) -> str:
    return f"{0x64AA << 80 | (project + 1):024x}"


def _problem(code: int, message: str) -> httpx.Response:
    return reply({"code": code, "errorCode": message, "errorMessage": message, "result": None})


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
