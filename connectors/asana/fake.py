"""A scripted Asana for the conformance suite: the script's items are tasks of subtype milestone; pages by token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

MONTH = 30 * 86_400
TOKEN = "2/1201234567890/93Kd2fakefakefake"  # noqa: S105 - invented
WORKSPACE = "15793206719"

SECTIONS = ["To do", "Milestones"]


class AsanaFake(ScriptedVendor):
    """One workspace of two projects. A project's name is its key."""

    system = "asana"
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)
    skips: ClassVar[Mapping[str, str]] = {
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[tuple[int, Row]] = []  # further tasks, with the number of their project
        self.also_in: dict[str, list[int]] = {}  # items in further projects
        self.archived: set[int] = set()
        self.sections: dict[int, list[str]] = {}  # of a project, where they are not the usual ones
        self.scopes = True  # may the token read tasks

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": "https://app.asana.example/api/1.0", "token": TOKEN, "per_minute": 0, "timeout": 0.05, **changes}  # fmt: skip

    def bad_options(self) -> dict[str, object]:
        return self.options(token="2/wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return str(1_201_000_000_000_001 + len(self.items))

    def milestone_id(self, item: Item) -> str:
        return f"task:{item.id}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "Not Authorized")
        given = request.url.params
        match request.url.path.removeprefix("/api/1.0/").split("/"):
            case ["users", "me"]:
                return reply(
                    {"data": {"gid": "7", "resource_type": "user", "name": "Robot", "email": "robot@acme.example"}}
                )
            case ["workspaces"]:
                return page(request, [{"gid": WORKSPACE, "resource_type": "workspace", "name": "acme.example"}])
            case ["projects"] if given.get("workspace") == WORKSPACE:
                return page(request, [self._project(n) for n in range(len(PROJECTS))])
            case ["projects", gid, "sections"]:
                names = self.sections.get(int(gid) - 500, SECTIONS)
                rows = [{"gid": f"{gid}{77 + n}", "resource_type": "section", "name": s} for n, s in enumerate(names)]
                return page(request, rows)
            case ["projects", gid, "task_counts"]:
                return self._counts(int(gid) - 500, given.get("opt_fields", ""))
            case ["tasks"] if self.scopes:
                return self._tasks(request)
            case ["tasks"]:
                return problem(403, "Forbidden: a required scope is missing: tasks:read")
        return problem(404, "Not Found")

    def _inside(self, project: int) -> list[Row]:
        own = [i for i in self.items.values() if not i.removed and project in (i.project, *self.also_in.get(i.id, ()))]
        return [self._row(i) for i in own] + [row for n, row in self.tasks if n == project]

    def _tasks(self, request: httpx.Request) -> httpx.Response:
        given = request.url.params
        rows = [
            r for r in self._inside(int(given["project"]) - 500) if r["modified_at"] >= given.get("modified_since", "")
        ]
        answer = page(request, rows)
        if "modified_since" not in given:
            self.served("offset" not in given, more=len(rows) > int(given["limit"]))
        return answer

    def _counts(self, project: int, asked: str) -> httpx.Response:
        rows = self._inside(project)
        found = {
            "num_tasks": len(rows),
            "num_milestones": sum(r["resource_subtype"] == "milestone" for r in rows),
        }
        return reply({"data": {f: found[f] for f in asked.split(",")}})

    def _project(self, number: int) -> Row:
        return {"gid": str(500 + number), "resource_type": "project", "name": PROJECTS[number][0], "archived": number in self.archived}  # fmt: skip

    def _row(self, item: Item) -> Row:
        row = task(
            int(item.id), name=item.name, projects=[item.project, *self.also_in.get(item.id, ())],
            resource_subtype="milestone", modified_at=iso(item.updated_at),
        )  # fmt: skip
        row |= item.unknown
        if item.done and item.done_at:
            row |= completed(item.done_at, item.history[-1][2])
        if item.spoiled == "missing":
            del row["completed"]
        elif item.spoiled == "retyped":
            row["completed"] = "yes"
        return row


def task(number: int, projects: list[int] | None = None, section: str = "To do", **changes: object) -> Row:
    """An open plain task, as an answer shows it."""
    homes = [{"gid": str(500 + p), "resource_type": "project", "name": PROJECTS[p][0]} for p in projects or [0]]
    inside = [
        {"project": h, "section": {"gid": f"{h['gid']}77", "resource_type": "section", "name": section}} for h in homes
    ]
    row: Row = {
        "gid": str(number), "resource_type": "task", "resource_subtype": "default_task", "name": f"任务 {number}", "completed": False,
        "completed_at": None, "completed_by": None, "due_on": "2026-12-20", "due_at": None, "modified_at": iso(START),
        "permalink_url": f"https://app.asana.com/0/{homes[0]['gid']}/{number}", "projects": homes, "memberships": inside,
    }  # fmt: skip
    return {**row, **changes}


def completed(at: int, by: str | None = "李强") -> Row:
    """What changes when a task is completed."""
    who = {"gid": "9", "resource_type": "user", "name": by} if by else None
    return {"completed": True, "completed_at": iso(at), "completed_by": who}


def page(request: httpx.Request, rows: list[Row]) -> httpx.Response:
    """A page, and the way to the next; a token says where the page begins."""
    given = request.url.params
    first, size = int(given.get("offset", "o0")[1:]), int(given["limit"])
    path = request.url.path.removeprefix("/api/1.0")
    following = {"offset": f"o{first + size}", "path": f"{path}?offset=o{first + size}", "uri": f"https://app.asana.example/api/1.0{path}?offset=o{first + size}"}  # fmt: skip
    return reply({"data": rows[first : first + size], "next_page": following if first + size < len(rows) else None})


def problem(status: int, message: str) -> httpx.Response:
    """An error as Asana words it."""
    return reply({"errors": [{"message": message, "help": "For more information, see developers.asana.com"}]}, status)


def iso(seconds: int) -> str:
    """As Asana writes a moment."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
