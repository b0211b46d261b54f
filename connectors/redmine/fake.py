"""A scripted Redmine for the conformance suite; milestones are issues of the tracker "Milestone".

Issues come in pages and versions do not, so the issues show more of the connector. Versions can be added to
`versions`, and to `members` the issues that belong to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

KEY = "rm-key-0123456789abcdef0123456789abcdef"
MONTH = 30 * 86_400


class RedmineFake(ScriptedVendor):
    """One Redmine."""

    system = "redmine"
    secrets: ClassVar[tuple[str, ...]] = (KEY,)
    skips: ClassVar[Mapping[str, str]] = {
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[Row] = []
        self.members: dict[str, int] = {}  # issue id -> version id
        self.hours: dict[str, float] = {}
        self.ratios: dict[str, int] = {}

    def options(self, **changes: object) -> dict[str, object]:
        given = {"base_url": "https://rm.example/redmine", "api_key": KEY, "milestones": ["issue:Milestone"]}
        return {**given, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(api_key="rm-key-wrong-wrong-wrong")

    def milestone_id(self, item: Item) -> str:
        return f"issue:{item.id}"

    def next_id(self) -> str:
        return str(len(self.items) + 1)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/redmine")
        if request.headers.get("x-redmine-api-key") != KEY:
            return httpx.Response(401, content=b"")
        if path.startswith("/issues/"):
            return self._issue(path.removeprefix("/issues/").removesuffix(".json"))
        if path.startswith("/projects/"):
            return reply({"versions": self.versions if path.split("/")[2] == "1" else [], "total_count": 0})
        statuses = [_status(closed=c) for c in (False, True)]
        fixed: dict[str, Row] = {
            "/users/current.json": {"user": {"id": 1, "login": "robot"}},
            "/issue_statuses.json": {"issue_statuses": statuses},
            "/trackers.json": {"trackers": [{"id": 7, "name": "Milestone"}, {"id": 1, "name": "Bug"}]},
        }
        if path == "/projects.json":
            return self._projects()
        if path == "/issues.json":
            return self._issues(request)
        return reply(fixed[path]) if path in fixed else httpx.Response(404, content=b"")

    def _projects(self) -> httpx.Response:
        rows = [{"id": n + 1, "identifier": key.lower(), "name": name} for n, (key, name) in enumerate(PROJECTS)]
        return reply({"projects": rows, "total_count": len(rows), "offset": 0, "limit": 100})

    def _issues(self, request: httpx.Request) -> httpx.Response:
        given = request.url.params
        offset, limit = int(given.get("offset", 0)), min(100, int(given.get("limit", 25)))
        rows = [i for i in self.items.values() if not i.removed]
        if "project_id" in given:
            rows = [i for i in rows if str(i.project + 1) == given["project_id"]]
        if "fixed_version_id" in given:
            rows = [i for i in rows if str(self.members.get(i.id)) == given["fixed_version_id"]]
        if "updated_on" in given:
            low = datetime.fromisoformat(given["updated_on"].removeprefix(">=")).timestamp()
            rows = [i for i in rows if i.updated_at >= low]
        if given.get("status_id") != "*":
            rows = [i for i in rows if not i.done]
        page = [self._row(i) for i in rows[offset : offset + limit]]
        answer = reply({"issues": page, "total_count": len(rows), "offset": offset, "limit": limit})
        self.served(offset == 0, offset + limit < len(rows))
        return answer

    def _issue(self, identity: str) -> httpx.Response:
        item = self.items.get(identity)
        if item is None or item.removed:
            return httpx.Response(404, content=b"")
        journals = [
            {
                "id": n,
                "user": {"id": 5, "name": by},
                "created_on": _iso(at),
                "details": [{"property": "attr", "name": "status_id", "old_value": "1", "new_value": "5" if done else "1"}],
            }
            for n, (at, done, by) in enumerate(item.history)
        ]  # fmt: skip
        return reply({"issue": {**self._row(item), "journals": journals}})

    def _row(self, item: Item) -> Row:
        row: Row = {
            "id": int(item.id), "project": {"id": item.project + 1, "name": PROJECTS[item.project][1]},
            "tracker": {"id": 7, "name": "Milestone"}, "status": _status(closed=item.done), "subject": item.name,
            "due_date": "2026-12-20", "done_ratio": self.ratios.get(item.id, 100 if item.done else 0),
            "estimated_hours": self.hours.get(item.id), "created_on": _iso(START - MONTH), "updated_on": _iso(item.updated_at),
            "closed_on": _iso(item.done_at) if item.done_at else None, **item.unknown,
        }  # fmt: skip
        if item.id in self.members:
            row["fixed_version"] = {"id": self.members[item.id], "name": "v"}
        if item.spoiled == "missing":
            del row["status"]
        elif item.spoiled == "retyped":
            row["status"] = "Closed"
        return row


def _status(*, closed: bool) -> Row:
    return {"id": 5, "name": "Closed", "is_closed": True} if closed else {"id": 1, "name": "New", "is_closed": False}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
