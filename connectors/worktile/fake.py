"""A scripted Worktile for the conformance suite: errors inside HTTP 200, no total on the list of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

MONTH = 30 * 86_400


class WorktileFake(ScriptedVendor):
    """One team."""

    system = "worktile"
    token_path = "/tenant-access-token"  # noqa: S105 - a path
    secrets: ClassVar[tuple[str, ...]] = ("wt-secret-93Kd2", "wt-token-")
    skips: ClassVar[Mapping[str, str]] = {
        "done_by": "the read interface does not say who moved a task to its end state",
    }

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0

    def options(self, **changes: object) -> dict[str, object]:
        given = {"base_url": "https://wt.example", "client_id": "wt-client", "client_secret": "wt-secret-93Kd2"}
        return {**given, "per_minute": 0, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(client_secret="wt-secret-wrong")  # noqa: S106 - invented

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/open-api")
        if path == self.token_path:
            return self._token(request)
        if self.expired or request.headers.get("authorization") != f"Bearer wt-token-{self.tokens}":
            return reply({"ok": False, "error_code": 1103})
        if path == "/mission/get-projects-by-page":
            rows = [{"_id": _id(n), "identifier": k, "name": name} for n, (k, name) in enumerate(PROJECTS)]
            return reply({"items": rows, "total": len(rows), "has_more": False})
        if path.startswith("/mission/projects/") and path.endswith("/tasks"):
            return self._tasks(path.split("/")[3], request)
        return reply({"ok": False, "error_code": 1404})

    def _token(self, request: httpx.Request) -> httpx.Response:
        given = body_of(request)
        if (given.get("client_id"), given.get("client_secret")) != ("wt-client", "wt-secret-93Kd2"):
            return reply({"ok": False, "error_code": 1101})
        self.tokens += 1
        self.expired = False
        return reply({"tenant_access_token": f"wt-token-{self.tokens}", "expires_in": 7200})

    def _tasks(self, project: str, request: httpx.Request) -> httpx.Response:
        index, size = int(request.url.params["page_index"]), int(request.url.params["page_size"])
        own = [i for i in self.items.values() if _id(i.project) == project and not i.removed]
        rows = [_row(i) for i in own[index * size : (index + 1) * size]]
        more = (index + 1) * size < len(own)
        answer = reply({"value": rows, "meta": {"has_more": more}, "references": {"users": []}})
        self.served(index == 0, more)
        return answer


def _id(project: int) -> str:
    return f"{0x64AA << 80 | (project + 1):024x}"


def _row(item: Item) -> Row:
    state: Row = {"_id": "s3", "name": "已完成", "type": 3} if item.done else {"_id": "s2", "name": "进行中", "type": 2}
    row: Row = {
        "_id": item.id, "identifier": "T-1", "title": item.name, "project_id": _id(item.project), "created_by": "u1",
        "created_at": START - MONTH, "updated_at": item.updated_at, "is_archived": 0,
        "completed_at": item.done_at if item.done and item.done_at else 0, "state_type": state["type"],
        "task_state": {**state, "description": ""}, "task_type": {"_id": "k1", "name": "里程碑", "description": ""},
        "parent_id": "", "parent_ids": [], "derived_ids": [],
        "properties": {"due": {"value": {"date": START + MONTH, "with_time": 0}}}, **item.unknown,
    }  # fmt: skip
    if item.spoiled == "missing":
        del row["task_state"]
    elif item.spoiled == "retyped":
        row["task_state"] = "已完成"
    return row
