"""A scripted TAPD for the conformance suite: everything is a text, rows are wrapped by class, errors stand inside
HTTP 200."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

USER, PASSWORD, TOKEN = "api-user-77", "3D5A2F1C-tapd-password", "tapd-app-token-"
COMPANY = "20003261"
ZONE = ZoneInfo("Asia/Shanghai")
LIMIT, LIMIT_MAX = 30, 200


class TapdFake(ScriptedVendor):
    """One company; with `way = "app"` it gives tokens to an application, else it takes the account of the API."""

    system = "tapd"
    token_path = "/tokens/request_token"  # noqa: S105 - a path
    secrets: ClassVar[tuple[str, ...]] = (PASSWORD, TOKEN, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())

    def __init__(self, way: str = "app") -> None:
        super().__init__()
        self.way, self.tokens = way, 0
        self.forms: list[Row] = []  # release reviews of ALPHA

    def options(self, **changes: object) -> dict[str, object]:
        names = ("client_id", "client_secret") if self.way == "app" else ("api_user", "api_password")
        given = {names[0]: USER, names[1]: PASSWORD, "company_id": COMPANY}
        return {**given, "per_minute": 0, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        name = "client_secret" if self.way == "app" else "api_password"
        return self.options(**{name: "wrong-wrong-wrong"})

    def milestone_id(self, item: Item) -> str:
        return f"iteration:{item.id}"

    def next_id(self) -> str:
        return f"10{_workspace(0)}{len(self.items) + 1:09d}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == self.token_path:
            return self._token(request)
        if self.expired or request.headers.get("authorization") != self._right():
            return _problem(401, "Invalid token")
        known: Mapping[str, Callable[[httpx.Request], httpx.Response]] = {
            "/quickstart/testauth": lambda _r: _data({"api_user": USER}),
            "/workspaces/projects": lambda _r: _data([{"Workspace": _project(n)} for n in range(len(PROJECTS))]),
            "/workspaces/get_workspace_info": self._workspace_info,
            "/iterations": self._iterations,
            "/iteration_changes": self._changes,
            "/launch_forms": self._forms,
        }
        return known[path](request) if path in known else _problem(404, "API not found")

    def _right(self) -> str:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return f"Bearer {TOKEN}{self.tokens}" if self.way == "app" else f"Basic {basic}"

    def _token(self, request: httpx.Request) -> httpx.Response:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}" or b"client_credentials" not in request.content:
            return _problem(401, "invalid client")
        self.tokens += 1
        self.expired = False
        return _data({"access_token": f"{TOKEN}{self.tokens}", "expires_in": 7200, "token_type": "Bearer"})

    def _workspace_info(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params["workspace_id"]
        number = next((n for n in range(len(PROJECTS)) if _workspace(n) == asked), None)
        return _problem(403, "no permission") if number is None else _data({"Workspace": _project(number)})

    def _page(self, request: httpx.Request, name: str, rows: list[Row]) -> tuple[list[Row], bool]:
        given = request.url.params
        limit, page = min(int(given.get("limit", LIMIT)), LIMIT_MAX), int(given.get("page", 1))
        shown = rows[(page - 1) * limit : page * limit]
        return [{name: r} for r in shown], page * limit < len(rows)

    def _iterations(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params["workspace_id"]
        rows = [self._row(i) for i in self.items.values() if _workspace(i.project) == asked and not i.removed]
        page, more = self._page(request, "Iteration", rows)
        answer = _data(page)
        self.served(request.url.params.get("page", "1") == "1", more)
        return answer

    def _changes(self, request: httpx.Request) -> httpx.Response:
        item = self.items[request.url.params["iteration_id"]]
        rows: list[Row] = [
            {
                "id": str(n), "iteration_id": item.id, "workspace_id": _workspace(item.project), "author": by, "field": "status",
                "old_value": "open" if done else "done", "new_value": "done" if done else "open", "memo": None,
                "created": _text(at), "modifyversion": str(at), "operater_type": "edit",
            }
            for n, (at, done, by) in enumerate(item.history)
        ]  # fmt: skip
        return _data(self._page(request, "IterationChange", rows)[0])

    def _forms(self, request: httpx.Request) -> httpx.Response:
        mine = self.forms if request.url.params["workspace_id"] == _workspace(0) else []
        return _data(self._page(request, "LaunchForm", mine)[0])

    def _row(self, item: Item) -> Row:
        row: Row = {
            "id": item.id, "name": item.name, "workspace_id": _workspace(item.project), "startdate": "2026-11-01",
            "enddate": "2026-12-20", "status": "done" if item.done else "open", "release_id": None, "description": "…",
            "creator": "anyechen", "created": _text(START - 86_400), "modified": _text(item.updated_at),
            "completed": _text(item.done_at) if item.done and item.done_at else None, "custom_field_1": None, **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["status"]
        elif item.spoiled == "retyped":
            row["status"] = ["done"]
        return row


def form(number: int, **changes: object) -> Row:
    """A release review that nobody has signed yet."""
    row: Row = {
        "id": f"10101048010796{number:05d}", "title": None, "name": f"20261115{number:04d}", "creator": "v_xuanfang",
        "created": _text(START), "workspace_id": _workspace(0), "status": "LAUNCHFORM_STATUS_INITIAL", "signed_by": None,
        "signed": None, "archived_by": None, "archived": None, "signer_result": None, "release_result": None,
    }  # fmt: skip
    return {**row, **changes}


def _project(number: int) -> Row:
    key, name = PROJECTS[number]
    return {
        "id": _workspace(number), "name": name, "pretty_name": key.lower(), "description": None, "status": "normal",
        "parent_id": "10104550", "category": "project", "secrecy": "0", "created": _text(START - 86_400), "member_count": 2,
    }  # fmt: skip


def _workspace(number: int) -> str:
    return f"6100000{number + 1}"


def _data(data: object) -> httpx.Response:
    return reply({"status": 1, "data": data, "info": "success"})


def _problem(status: int, info: str) -> httpx.Response:
    return reply({"status": status, "data": "", "info": info})


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")
