"""A scripted ClickUp for the conformance suite: two lists in a folder; milestones are tasks of type 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

MONTH = 30 * 86_400
TOKEN = "pk_4753994_93KD2FAKEFAKEFAKEFAKE"  # noqa: S105 - invented
TEAM, SPACE, FOLDER = "1234", "790", "457"
STATUSES = {"to do": "open", "in progress": "custom", "delivered": "done", "complete": "closed", "cancelled": "closed"}


class ClickUpFake(ScriptedVendor):
    """One workspace with one space, in it a folder of two lists."""

    system = "clickup"
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)
    skips: ClassVar[Mapping[str, str]] = {
        "done_by": "the read interface does not say who moved a task to its end state",
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[Row] = []  # further tasks
        self.lists = [key for key, _ in PROJECTS]  # the names of the two lists
        self.archived: set[str] = set()  # the ids of archived tasks
        self.loose: list[Row] = []  # lists in no folder

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": "https://api.clickup.example/api", "token": TOKEN, "per_minute": 0, "timeout": 0.05, **changes}  # fmt: skip

    def bad_options(self) -> dict[str, object]:
        return self.options(token="pk_wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return f"86c{len(self.items):06d}"

    def milestone_id(self, item: Item) -> str:
        return f"task:{item.id}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != TOKEN:
            return reply({"err": "Token invalid", "ECODE": "OAUTH_025"}, 401)
        match request.url.path.removeprefix("/api/v2/").split("/"):
            case ["user"]:
                return told({"user": {"id": 7, "username": "Robot", "email": "robot@acme.example"}})
            case ["team"]:
                return told({"teams": [{"id": TEAM, "name": "Acme", "color": "#000000", "avatar": "", "members": []}]})
            case ["team", "1234", "space"]:
                return told({"spaces": [_space()]})
            case ["team", "1234", "custom_item"]:
                return told({"custom_items": [{"id": 1300, "name": "Acceptance", "name_plural": "Acceptances", "description": ""}]})  # fmt: skip
            case ["space", "790", "folder"]:
                return told({"folders": [_folder(self.lists)]})
            case ["space", "790", "list"]:
                return told({"lists": self.loose})
            case ["list", number, "task"]:
                return self._tasks(request, number)
        return reply({"err": "Route not found", "ECODE": "APP_001"}, 404)

    def _tasks(self, request: httpx.Request, number: str) -> httpx.Response:
        given = request.url.params
        if not all(g.isdecimal() for g in (given["page"], *given.get_list("custom_items[]"))):
            return reply({"err": "Page or type invalid", "ECODE": "INPUT_003"}, 400)
        types = {int(t) for t in given.get_list("custom_items[]")}
        first, stored = int(given["page"]) * 100, given["archived"] == "true"
        own = [self._row(i) for i in self.items.values() if not i.removed] + self.tasks
        rows = [r for r in own if r["list"]["id"] == number and (r["id"] in self.archived) is stored]
        rows = [r for r in rows if not types or (r["custom_item_id"] or 0) in types]
        answer = told({"tasks": rows[first : first + 100], "last_page": first + 100 >= len(rows)})
        if not stored:
            self.served(first == 0, more=len(rows) > 100)
        return answer

    def _row(self, item: Item) -> Row:
        over = (
            {"date_done": millis(item.done_at), "date_closed": millis(item.done_at)}
            if item.done and item.done_at
            else {}
        )
        row = task(item.id, item.project, "complete" if item.done else "to do", name=item.name, date_updated=millis(item.updated_at), **over)  # fmt: skip
        row |= item.unknown
        if item.spoiled == "missing":
            del row["status"]
        elif item.spoiled == "retyped":
            row["status"] = "complete"
        return row


def task(identity: str, project: int = 0, state: str = "to do", **changes: object) -> Row:
    """A milestone in a status, as an answer shows it."""
    row: Row = {
        "id": identity, "custom_item_id": 1, "name": f"任务 {identity}", "status": status(state), "orderindex": "1.0000",
        "date_created": millis(START - MONTH), "date_updated": millis(START), "date_closed": None, "date_done": None, "archived": False,
        "creator": {"id": 7, "username": "Robot", "color": "#000000", "profilePicture": ""}, "assignees": [], "watchers": [],
        "checklists": [], "tags": [], "parent": None, "due_date": millis(START + MONTH), "start_date": None,
        "time_estimate": None, "list": {"id": str(900 + project)}, "folder": {"id": FOLDER}, "space": {"id": SPACE},
        "url": f"https://app.clickup.com/t/{identity}",
    }  # fmt: skip
    return {**row, **changes}


def status(name: str) -> Row:
    """A status as a task carries it."""
    return {"status": name, "color": "#000000", "orderindex": 1, "type": STATUSES[name]}


def list_row(number: int, name: str) -> Row:
    """A list in no folder, or in the folder."""
    return {
        "id": str(number), "name": name, "orderindex": 1, "content": "", "status": {"status": "green", "color": "#00ff00", "hide_label": True},
        "priority": {"priority": "normal", "color": "#000000"}, "assignee": None, "task_count": None,
        "due_date": None, "start_date": None, "folder": {"id": FOLDER, "name": "交付", "hidden": False, "access": True},
        "space": {"id": SPACE, "name": "Delivery", "access": True}, "archived": False, "override_statuses": False, "permission_level": "read",
    }  # fmt: skip


def _space() -> Row:
    on = {"enabled": True}
    features = {
        "due_dates": {"enabled": True, "start_date": False, "remap_due_dates": False, "remap_closed_due_date": False},
        "time_tracking": on, "tags": on, "time_estimates": on, "checklists": on,
    }  # fmt: skip
    return {"id": SPACE, "name": "Delivery", "private": False, "statuses": [status("to do"), status("complete")], "multiple_assignees": False, "features": features}  # fmt: skip


def _folder(lists: list[str]) -> Row:
    return {
        "id": FOLDER, "name": "交付", "orderindex": 0, "override_statuses": False, "hidden": False,
        "space": {"id": SPACE, "name": "Delivery", "access": True}, "task_count": "0",
        "lists": [list_row(900 + n, name) for n, name in enumerate(lists)],
    }  # fmt: skip


def told(body: Row) -> httpx.Response:
    """An answer with what is left of the minute's budget."""
    return reply(
        body, headers={"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "99", "X-RateLimit-Reset": str(START + 60)}
    )


def millis(seconds: int | None) -> str | None:
    """As ClickUp writes a moment."""
    return None if seconds is None else str(seconds * 1000)
