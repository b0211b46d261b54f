"""A scripted Microsoft Graph with two groups' plans, for the conformance suite: pages by @odata.nextLink."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import parse_qs

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

MONTH = 30 * 86_400
TENANT, GROUP = "9f3c0a5e-tenant", "02bd9fd6-8f93-4758-87c3-1fb73740a315"
SECRET, TOKEN = "Q8x~planner-secret", "eyJ0-graph-token-"
PAGE = 100


class PlannerFake(ScriptedVendor):
    """One tenant."""

    system = "ms_planner"
    token_path = "/oauth2/v2.0/token"  # noqa: S105 - a path
    secrets: ClassVar[tuple[str, ...]] = (SECRET, TOKEN)

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self.bucket_of: dict[str, str] = {}  # task id -> bucket id
        self.buckets = ["里程碑", "To do"]  # of every plan
        self.buckets_page = 100
        self.foreign_link = False  # the next page is said to be on another host

    def options(self, **changes: object) -> dict[str, object]:
        given = {"tenant_id": TENANT, "client_id": "app-1", "client_secret": SECRET, "groups": [GROUP]}
        return {**given, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(client_secret="wrong-secret-0000")  # noqa: S106 - invented

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(self.token_path):
            return self._token(request)
        if self.expired or request.headers.get("authorization") != f"Bearer {TOKEN}{self.tokens}":
            return _error(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
        steps = request.url.path.removeprefix("/v1.0/").split("/")
        if steps[0] == "groups" and steps[2:] == ["planner", "plans"]:
            return self._plans(steps[1])
        if steps[:2] == ["planner", "plans"] and len(steps) == 4:
            return self._tasks(request, steps[2]) if steps[3] == "tasks" else self._buckets(request, steps[2])
        return _error(404, "UnknownError", "")

    def _token(self, request: httpx.Request) -> httpx.Response:
        given = {k: v[0] for k, v in parse_qs(request.content.decode()).items()}
        right = {"client_id": "app-1", "client_secret": SECRET, "grant_type": "client_credentials"}
        if {k: given.get(k) for k in right} != right or given.get("scope") != "https://graph.microsoft.com/.default":
            return reply({"error": "invalid_client", "error_description": "AADSTS7000215"}, 401)
        self.tokens += 1
        self.expired = False
        return reply({"token_type": "Bearer", "expires_in": 3599, "access_token": f"{TOKEN}{self.tokens}"})

    def _plans(self, group: str) -> httpx.Response:
        if group != GROUP:
            return _error(403, "", "You do not have the required permissions to access this item.")
        rows = [_plan(n) for n in range(len(PROJECTS))]
        return reply({"@odata.context": _context("planner/plans"), "@odata.count": len(rows), "value": rows})

    def _buckets(self, request: httpx.Request, plan: str) -> httpx.Response:
        first, size = int(request.url.params.get("$skiptoken", 0)), self.buckets_page
        rows = [
            {"@odata.etag": 'W/"b"', "id": f"{plan}-{n}", "name": n, "planId": plan, "orderHint": "85"}
            for n in self.buckets
        ]
        link = str(request.url.copy_set_param("$skiptoken", str(first + size)))
        more = {"@odata.nextLink": link} if first + size < len(rows) else {}
        return reply({"@odata.context": _context("planner/buckets"), "value": rows[first : first + size], **more})

    def _tasks(self, request: httpx.Request, plan: str) -> httpx.Response:
        first = int(request.url.params.get("$skiptoken", 0))
        own = [i for i in self.items.values() if _plan_id(i.project) == plan and not i.removed]
        body: Row = {
            "@odata.context": _context("planner/tasks"),
            "value": [self._row(i) for i in own[first : first + PAGE]],
        }
        more = len(own) > first + PAGE
        if more:
            link = request.url.copy_set_param("$skiptoken", str(first + PAGE))
            body["@odata.nextLink"] = str(link.copy_with(host="evil.example") if self.foreign_link else link)
        answer = reply(body)
        self.served(first == 0, more)
        return answer

    def _row(self, item: Item) -> Row:
        by = next((who for _, done, who in reversed(item.history) if done), None)
        row: Row = {
            "@odata.etag": f'W/"{item.updated_at}"', "id": item.id, "title": item.name, "planId": _plan_id(item.project),
            "bucketId": self.bucket_of.get(item.id, f"{_plan_id(item.project)}-里程碑"),
            "percentComplete": 100 if item.done else 0, "priority": 5, "orderHint": "858", "assigneePriority": "",
            "startDateTime": None, "dueDateTime": _iso(START + MONTH), "createdDateTime": _iso(START - MONTH),
            "createdBy": _identity("u-1", None), "hasDescription": False, "previewType": "automatic",
            "completedDateTime": _iso(item.done_at) if item.done and item.done_at else None,
            "completedBy": _identity("u-2", by) if item.done else None, "referenceCount": 0, "checklistItemCount": 0,
            "activeChecklistItemCount": 0, "conversationThreadId": None, "appliedCategories": {}, "assignments": {},
            **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["percentComplete"]
        elif item.spoiled == "retyped":
            row["percentComplete"] = "100"
        return row


def _plan(number: int) -> Row:
    return {
        "@odata.etag": 'W/"p"', "id": _plan_id(number), "title": PROJECTS[number][0], "owner": GROUP,
        "createdDateTime": _iso(START - MONTH), "createdBy": _identity("u-1", None),
        "container": {"containerId": GROUP, "type": "group", "url": f"https://graph.microsoft.com/v1.0/groups/{GROUP}"},
    }  # fmt: skip


def _plan_id(number: int) -> str:
    return f"xqQg5FS2LkCp935s-FIFm2QAFkH{number}"


def _identity(identity: str, name: str | None) -> Row:
    return {"user": {"displayName": name, "id": identity}, "application": {"displayName": None, "id": "app-9"}}


def _context(what: str) -> str:
    return f"https://graph.microsoft.com/v1.0/$metadata#{what}"


def _error(status: int, code: str, message: str) -> httpx.Response:
    return reply({"error": {"code": code, "message": message, "innerError": {"request-id": "r-1"}}}, status)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
