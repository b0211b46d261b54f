"""A scripted Linear for the conformance suite: each milestone has one issue, completed when it is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

KEY = "lin_api_0123456789abcdef0123456789abcdef"
MONTH = 30 * 86_400
_OPERATION = re.compile(r"\s*query (\w+)")


class LinearFake(ScriptedVendor):
    """One Linear workspace; a project's name is its key."""

    system = "linear"
    secrets: ClassVar[tuple[str, ...]] = (KEY,)
    skips: ClassVar[Mapping[str, str]] = {
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
        "unknown_field_is_kept": "GraphQL answers with the fields that were asked for, never with others",
    }

    def __init__(self) -> None:
        super().__init__()
        self.cancelled: set[str] = set()  # items whose issue was cancelled, not completed
        self.left = 1500
        self.asked_for: list[str] = []  # the names of the queries
        self.labels: list[tuple[str, str]] = [("", "Milestone"), ("ENG", "Payment")]  # team ("": the workspace), name
        self.more_issues: dict[str, list[Row]] = {}  # item id -> further completed issues

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": "https://api.linear.example", "api_key": KEY, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(api_key="lin_api_wrong_wrong_wrong")

    def milestone_id(self, item: Item) -> str:
        return f"milestone:{item.id}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != KEY:
            return failed("Authentication required, not authenticated", "AUTHENTICATION_ERROR", 400)
        question = body_of(request)
        found = _OPERATION.match(question["query"])
        name = found[1] if found else ""
        self.asked_for.append(name)
        answers: Mapping[str, Callable[[Row], Row]] = {
            "Viewer": _viewer, "Projects": self._projects, "Milestones": self._milestones,
            "CompletedIssues": self._completed, "History": self._history, "LabelledIssues": self._labelled,
            "Labels": self._labels,
        }  # fmt: skip
        if name not in answers:
            return failed("Cannot query that", "GRAPHQL_VALIDATION_FAILED", 400)
        self.left -= 1
        return reply(
            {"data": answers[name](question["variables"])}, headers={"X-RateLimit-Requests-Remaining": str(self.left)}
        )

    def _projects(self, given: Row) -> Row:
        rows = [
            {
                "id": project_id(n), "name": key, "slugId": f"{n:012x}", "url": f"https://linear.app/acme/project/{key.lower()}-{n:012x}",
                "progress": 0.5, "targetDate": "2026-12-31", "startedAt": None, "completedAt": None, "canceledAt": None,
                "archivedAt": None, "updatedAt": _iso(START), "status": {"name": "In Progress", "type": "started"},
            }
            for n, (key, _) in enumerate(PROJECTS)
        ]  # fmt: skip
        return {"projects": _relay(rows, given)}

    def _milestones(self, given: Row) -> Row:
        items = list(self.items.values())
        rows = [self._row(i) for i in items if not i.removed and project_id(i.project) == given["project"]]
        page = _relay(rows, given, [i.id for i in items])
        self.served(given["after"] is None, page["pageInfo"]["hasNextPage"])
        return {"projectMilestones": page}

    def _row(self, item: Item) -> Row:
        row: Row = {
            "id": item.id, "name": item.name, "status": "done" if item.done else "next", "progress": 1 if item.done else 0.25,
            "targetDate": "2026-12-20", "createdAt": _iso(START - MONTH), "updatedAt": _iso(item.updated_at), "archivedAt": None,
            "issues": {"nodes": [{"id": f"i-{item.id}", "updatedAt": _iso(item.updated_at)}]},
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["status"]
        elif item.spoiled == "retyped":
            row["status"] = {"name": "Done"}
        return row

    def _completed(self, given: Row) -> Row:
        item, rows = self.items.get(given["milestone"]), list[Row]()
        if item is not None and item.done and item.id not in self.cancelled:
            own = {"id": f"i-{item.id}", "completedAt": _iso(item.done_at or START), "updatedAt": _iso(item.updated_at)}
            rows = sorted([own, *self.more_issues.get(item.id, [])], key=lambda r: str(r["updatedAt"]), reverse=True)
        return {"issues": _relay(rows, given)}

    def _labelled(self, given: Row) -> Row:
        """Every item once more as an issue, for connections that have labels."""
        items = [i for i in self.items.values() if not i.removed and project_id(i.project) == given["project"]]
        return {"issues": _relay([self._issue(i) for i in items], given)}

    def _labels(self, given: Row) -> Row:
        rows: list[Row] = [
            {"id": f"label-{n}", "name": name, "team": {"id": f"team-{team}", "name": team} if team else None}
            for n, (team, name) in enumerate(self.labels)
        ]
        return {"issueLabels": _relay(rows, given)}

    def _issue(self, item: Item) -> Row:
        done = item.done and item.id not in self.cancelled
        state = ("Done", "completed") if done else ("Canceled", "canceled") if item.done else ("Todo", "unstarted")
        return {
            "id": f"i-{item.id}", "identifier": "ENG-1", "title": item.name, "url": "https://linear.app/acme/issue/ENG-1",
            "dueDate": "2026-12-20", "completedAt": _iso(item.done_at or START) if done else None,
            "canceledAt": _iso(item.updated_at) if item.done and not done else None, "archivedAt": None, "trashed": None,
            "createdAt": _iso(START - MONTH), "updatedAt": _iso(item.updated_at), "state": {"name": state[0], "type": state[1]},
        }  # fmt: skip

    def _history(self, given: Row) -> Row:
        item = self.items.get(given["issue"].removeprefix("i-"))
        rows: list[Row] = [
            {"id": "h0", "createdAt": _iso(START - MONTH), "actor": None, "botActor": None, "toState": None}
        ]
        for n, (at, done, by) in enumerate(item.history if item else []):
            state = {"name": "Done", "type": "completed"} if done else {"name": "Todo", "type": "unstarted"}
            rows.append(
                {"id": f"h{n + 1}", "createdAt": _iso(at), "actor": {"name": by}, "botActor": None, "toState": state}
            )
        return {"issue": {"history": _relay(rows[::-1], given)}}


def project_id(number: int) -> str:
    """The id of a project of the fake."""
    return f"9f2c0000-0000-4000-8000-{number:012d}"


def failed(message: str, code: str, status: int = 200, **more: Any) -> httpx.Response:
    """An answer with an error, as Linear gives it."""
    extensions = {"code": code, "type": code.lower().replace("_", " "), "userPresentableMessage": message, **more}
    return reply({"errors": [{"message": message, "extensions": extensions}]}, status)


def _viewer(_given: Row) -> Row:
    workspace = {"name": "Acme", "urlKey": "acme"}
    return {"viewer": {"id": "u1", "name": "robot", "email": "robot@acme.example", "organization": workspace}}


def _relay(rows: list[Row], given: Row, order: list[str] | None = None) -> Row:
    """A page after the cursor: the id of the last row seen, which may be gone by now."""
    places = {identity: n for n, identity in enumerate(order or [str(r["id"]) for r in rows])}
    after = places.get(given["after"], -1) if given["after"] else -1
    left = [r for r in rows if places[str(r["id"])] > after]
    page = left[: given["first"]]
    more = len(left) > len(page)
    return {"nodes": page, "pageInfo": {"hasNextPage": more, "endCursor": str(page[-1]["id"]) if page else None}}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
