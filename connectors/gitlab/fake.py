"""A scripted GitLab for the conformance suite: pages told in headers, closings told by events only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

MONTH = 30 * 86_400
GROUP = 5
TOKEN = "glpat-93Kd2-fake-token"  # noqa: S105 - invented


class GitLabFake(ScriptedVendor):
    """One instance: two projects in a group, of which only the projects have milestones unless a test adds one."""

    system = "gitlab"
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)
    skips: ClassVar[Mapping[str, str]] = {
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self) -> None:
        super().__init__()
        self.issues: dict[int, Row] = {}
        self.in_group: set[str] = set()  # items that are the group's milestones
        self.scopes = ["read_api"]
        self.groups = {GROUP: "acme"}
        self.archived: set[int] = set()  # projects
        self.totals = True  # above 10,000 rows GitLab does not count
        self.no_events = False  # pruned, or lost in an import
        self.issues_on = True  # else the projects have their issues switched off

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": "https://gitlab.example", "token": TOKEN, "per_minute": 0, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(token="glpat-wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return str(len(self.items) + 101)

    def milestone_id(self, item: Item) -> str:
        return f"milestone:{item.id}"

    def issue(self, item: Item | None, closed_at: int | None = None, by: str = "李强", project: int = 0) -> Row:
        """An issue of a milestone; changed now."""
        number = len(self.issues) + 1
        row: Row = {"id": 9000 + number, "iid": number, "project_id": 11 + project, "title": f"issue {number}", "milestone": item,
                    "created_at": _iso(START - MONTH)}  # fmt: skip
        self.issues[number] = row
        self.touch(row, closed_at, by)
        return row

    def touch(self, row: Row, closed_at: int | None = None, by: str = "李强") -> None:
        """The issue is closed, or open (again), since now."""
        who = {"id": 7, "username": "li", "name": by, "state": "active", "web_url": "https://gitlab.example/li"}
        row |= {
            "state": "opened" if closed_at is None else "closed",
            "closed_at": None if closed_at is None else _iso(closed_at),
            "closed_by": None if closed_at is None else who,
            "updated_at": _iso(self.now),
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("private-token") != TOKEN:
            return reply({"message": "401 Unauthorized"}, 401)
        parts = request.url.path.removeprefix("/api/v4/").split("/")
        match parts:
            case ["user"]:
                return reply({"id": 7, "username": "robot", "name": "Robot", "state": "active"})
            case ["personal_access_tokens", "self"]:
                return reply({"id": 1, "scopes": self.scopes, "active": True, "expires_at": None})
            case ["projects"]:
                return self._paged(request, [self._project(n) for n in range(len(PROJECTS))])
            case ["groups"]:
                groups = [{"id": n, "full_path": path, "full_name": path.title()} for n, path in self.groups.items()]
                return self._paged(request, groups)
            case ["projects" | "groups" as kind, number, what]:
                return self._inside(request, kind, int(number), what)
        return reply({"message": "404 Not Found"}, 404)

    def _inside(self, request: httpx.Request, kind: str, number: int, what: str) -> httpx.Response:
        own = [i for i in self.items.values() if not i.removed and self._owner(i) == (kind, number)]
        if what == "milestones":
            page = int(request.url.params.get("page", 1))
            answer = self._paged(request, own, self._row)
            self.served(page == 1, bool(answer.headers["x-next-page"]))
            return answer
        if what == "issues":
            inside = [r for r in self.issues.values() if self._holds(kind, number, r["project_id"], request)]
            return self._paged(request, [r for r in inside if self._asked_for(r, request.url.params)], self._issue)
        if what == "events" and kind == "projects":
            events = [] if self.no_events else [e for i in own for e in self._events(i)]
            return self._paged(request, sorted(events, key=lambda e: str(e["id"]), reverse=True))
        return reply({"message": "404 Not Found"}, 404)

    def _holds(self, kind: str, number: int, project: int, request: httpx.Request) -> bool:
        """Is a project's issue in the list? A group's list has those of subgroups, of archived projects when asked."""
        if kind == "projects":
            return project == number
        shown = project not in self.archived or request.url.params.get("non_archived") == "false"
        return shown and _path(project - 11).startswith(f"{self.groups[number]}/")

    def _owner(self, item: Item) -> tuple[str, int]:
        return ("groups", GROUP) if item.id in self.in_group else ("projects", 11 + item.project)

    def _asked_for(self, row: Row, given: httpx.QueryParams) -> bool:
        item: Item | None = row["milestone"]
        title = given.get("milestone", "")
        if title.lower() in ("none", "any"):
            if (item is None) is (title.lower() == "any"):
                return False
        elif title and (item is None or item.name != title):
            return False
        if "updated_after" in given and row["updated_at"] < given["updated_after"]:
            return False
        return given.get("state") in (None, "all", row["state"])

    def _issue(self, row: Row) -> Row:
        item: Item | None = row["milestone"]
        return {**row, "milestone": None if item is None else self._row(item), "labels": [], "assignees": [],
                "web_url": f"https://gitlab.example/acme/alpha/-/issues/{row['iid']}"}  # fmt: skip

    def _project(self, number: int) -> Row:
        name = PROJECTS[number][1]
        return {"id": 11 + number, "path_with_namespace": _path(number), "name_with_namespace": f"Acme / {name}", "name": name,
                "archived": 11 + number in self.archived, "issues_enabled": self.issues_on, "merge_requests_enabled": True}  # fmt: skip

    def _row(self, item: Item) -> Row:
        kind, number = self._owner(item)
        row: Row = {
            "id": int(item.id), "iid": int(item.id) - 100, f"{kind[:-1]}_id": number, "title": item.name, "description": "",
            "state": "closed" if item.done else "active", "created_at": _iso(START - MONTH), "updated_at": _iso(item.updated_at),
            "due_date": "2026-12-20", "start_date": None, "expired": False,
            "web_url": f"https://gitlab.example/{kind}/{number}/-/milestones/{item.id}", **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["state"]
        elif item.spoiled == "retyped":
            row["state"] = {"name": "closed"}
        return row

    def _events(self, item: Item) -> list[Row]:
        told = [(START - MONTH, False, "李强"), *item.history]
        return [
            {
                "id": at * 1_000_000 + int(item.id) * 100 + number, "project_id": 11 + item.project, "action_name": "closed" if done else "opened",
                "target_id": int(item.id), "target_iid": int(item.id) - 100, "target_type": "Milestone", "target_title": item.name,
                "author_id": 7, "author_username": "li", "author": {"id": 7, "username": "li", "name": by}, "created_at": _iso(at),
            }
            for number, (at, done, by) in enumerate(told)
        ]  # fmt: skip

    def _paged(
        self, request: httpx.Request, rows: Sequence[Any], shown: Callable[[Any], Row] = lambda row: row
    ) -> httpx.Response:
        page, size = int(request.url.params.get("page", 1)), min(100, int(request.url.params.get("per_page", 20)))
        more = page * size < len(rows)
        told = {"X-Page": str(page), "X-Per-Page": str(size), "X-Next-Page": str(page + 1) if more else ""}
        if self.totals:
            told |= {"X-Total": str(len(rows)), "X-Total-Pages": str(-(-len(rows) // size))}
        return reply(
            [shown(r) for r in rows[(page - 1) * size : page * size]], headers={**told, "RateLimit-Remaining": "1999"}
        )


def _path(number: int) -> str:
    return f"acme/{PROJECTS[number][0].lower()}"


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
