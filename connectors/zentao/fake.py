"""A scripted ZenTao for the conformance suite: a session token, filtered list fields, totals that are the list's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

ACCOUNT, PASSWORD, TOKEN = "robot", "Zt-7781-password", "sid0a1b2c3d"
ALWAYS = "id name project code type parent begin end status openedBy openedDate delay progress children".split()


class ZentaoFake(ScriptedVendor):
    """One ZenTao below a path."""

    system = "zentao"
    token_path = "/tokens"  # noqa: S105 - a path
    secrets: ClassVar[tuple[str, ...]] = (PASSWORD, TOKEN)
    skips: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self.nested = False  # the second stage of a project comes below the first
        self.plain: set[str] = set()  # executions without the milestone flag

    def options(self, **changes: object) -> dict[str, object]:
        given = {"base_url": "https://zt.example/zentao", "account": ACCOUNT, "password": PASSWORD}
        return {**given, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(password="wrong-wrong-wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return str(len(self.items) + 11)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/zentao/api.php/v1")
        if path == self.token_path:
            return self._token(request)
        if self.expired or request.headers.get("token") != f"{TOKEN}{self.tokens}":
            return reply({"error": "Unauthorized"}, 401)
        if path == "/user":
            return reply({"profile": {"id": 7, "account": ACCOUNT, "realname": "机器人"}})
        if path == "/projects":
            rows = [
                {"id": n + 1, "name": name, "code": key, "model": "waterfall"} for n, (key, name) in enumerate(PROJECTS)
            ]
            return reply({"page": 1, "total": len(rows), "limit": 100, "projects": rows})
        if path.startswith("/projects/") and path.endswith("/executions"):
            return self._executions(int(path.split("/")[2]), request)
        return reply({"error": "404 Not found"}, 404)

    def _token(self, request: httpx.Request) -> httpx.Response:
        given = body_of(request)
        if (given.get("account"), given.get("password")) != (ACCOUNT, PASSWORD):
            return reply({"error": "登录失败，请检查您的用户名或密码是否填写正确。"}, 400)
        self.tokens += 1
        self.expired = False
        return reply({"token": f"{TOKEN}{self.tokens}"}, 201)

    def _executions(self, project: int, request: httpx.Request) -> httpx.Response:
        given = request.url.params
        page, limit = int(given.get("page", 1)), int(given.get("limit", 20))
        own = [i for i in self.items.values() if i.project + 1 == project and not i.removed]
        if given.get("status", "undone") != "all":
            own = [i for i in own if not i.done]
        wanted = set(ALWAYS) | set(given.get("fields", "").split(","))
        rows = [
            {k: v for k, v in self._row(i).items() if k in wanted or k.startswith("zz_")}
            for i in own[(page - 1) * limit : page * limit]
        ]
        if self.nested and len(rows) > 1:
            rows = [{**rows[0], "children": {str(r["id"]): r for r in rows[1:]}}]
        # The session's pager says how many there are; what lies below another counts too.
        answer = reply({"page": page, "total": len(own), "limit": limit, "executions": rows})
        self.served(page == 1, page * limit < len(own))
        return answer

    def _row(self, item: Item) -> Row:
        by = next((who for _, done, who in reversed(item.history) if done), "")
        row: Row = {
            "id": int(item.id), "name": item.name, "project": item.project + 1, "code": "", "type": "stage", "parent": item.project + 1,
            "begin": "2026-11-01", "end": "2026-12-20", "status": "closed" if item.done else "doing", "progress": 100 if item.done else 33.3,
            "openedBy": _user("admin"), "openedDate": _iso(START - 86_400), "milestone": "0" if item.id in self.plain else "1",
            "attribute": "dev", "percent": "20", "lastEditedDate": _iso(item.updated_at), "deleted": False, **item.unknown,
        }  # fmt: skip
        if item.done:
            row |= {"closedBy": _user(by), "closedDate": _iso(item.done_at or START), "realEnd": "2026-11-15"}
        if item.spoiled == "missing":
            del row["status"]
        elif item.spoiled == "retyped":
            row["status"] = 4.5
        return row


def _user(name: str) -> Row:
    return {"id": 3, "account": name, "avatar": "", "realname": name}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
