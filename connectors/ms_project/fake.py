"""A scripted Dataverse environment for the conformance suite: OData filters, pages by @odata.nextLink."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import parse_qs

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

MONTH = 30 * 86_400
TENANT, BASE = "9f3c0a5e-tenant", "https://contoso.crm5.dynamics.com"
SECRET, TOKEN = "Q8x~dataverse-secret", "eyJ0-dataverse-token-"
API = "/api/data/v9.2/"
PAGE = 100  # a server may give fewer rows a page than were asked for
TASKS, PROJECT_SET = "msdyn_projecttasks", "msdyn_projects"
COLUMNS = {
    TASKS: frozenset(
        "msdyn_projecttaskid msdyn_subject msdyn_progress msdyn_ismilestone msdyn_summary msdyn_outlinelevel msdyn_start msdyn_finish "
        "msdyn_actualstart msdyn_actualend modifiedon _modifiedby_value _msdyn_project_value _msdyn_parenttask_value".split()
    ),
    PROJECT_SET: frozenset("msdyn_projectid msdyn_subject statecode".split()),
}


class ProjectFake(ScriptedVendor):
    """One environment."""

    system = "ms_project"
    token_path = "/oauth2/v2.0/token"  # noqa: S105 - a path
    secrets: ClassVar[tuple[str, ...]] = (SECRET, TOKEN)
    skips: ClassVar[Mapping[str, str]] = {
        "done_by": "the last modifier of a task is often the scheduling engine; nobody is named for the completion",
    }

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self.plain: set[str] = set()  # tasks that are no milestones

    def options(self, **changes: object) -> dict[str, object]:
        given = {"base_url": BASE, "tenant_id": TENANT, "client_id": "app-2", "client_secret": SECRET}
        return {**given, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(client_secret="wrong-secret-0000")  # noqa: S106 - invented

    def next_id(self) -> str:
        return f"7c0ff2a1-0000-ed11-8e2f-{len(self.items) + 1:012x}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(self.token_path):
            return self._token(request)
        if self.expired or request.headers.get("authorization") != f"Bearer {TOKEN}{self.tokens}":
            return httpx.Response(401, content=b"")
        what = request.url.path.removeprefix(API)
        if what == "WhoAmI":
            return reply({"UserId": "u-1", "BusinessUnitId": "b-1", "OrganizationId": "o-1"})
        if what not in COLUMNS:
            return _error(404, "0x8006088a", f"Resource not found for the segment '{what}'.")
        return self._list(what, request)

    def _token(self, request: httpx.Request) -> httpx.Response:
        given = {k: v[0] for k, v in parse_qs(request.content.decode()).items()}
        right = {"client_id": "app-2", "client_secret": SECRET, "grant_type": "client_credentials"}
        if {k: given.get(k) for k in right} != right or given.get("scope") != f"{BASE}/.default":
            return reply({"error": "invalid_client", "error_description": "AADSTS7000215"}, 401)
        self.tokens += 1
        self.expired = False
        return reply({"token_type": "Bearer", "expires_in": 3599, "access_token": f"{TOKEN}{self.tokens}"})

    def _list(self, what: str, request: httpx.Request) -> httpx.Response:
        given = request.url.params
        wanted = given.get("$select", "").split(",")
        asked = {*wanted, *re.findall(r"([a-z_]+) (?:eq|ge|gt)", given.get("$filter", ""))}
        for column in asked - COLUMNS[what]:
            return _error(400, "0x80060888", f"Could not find a property named '{column}' on type {what}")
        rows = self._tasks(given.get("$filter", "")) if what == TASKS else [_project(n) for n in range(len(PROJECTS))]
        size = PAGE
        first = int(given.get("$skiptoken", 0))
        shown = [
            {k: v for k, v in r.items() if k in wanted or k.startswith(("@", "zz_"))}
            for r in rows[first : first + size]
        ]
        body: Row = {"@odata.context": f"{BASE}{API}$metadata#{what}", "value": shown}
        more = len(rows) > first + size
        if more:
            body["@odata.nextLink"] = str(request.url.copy_set_param("$skiptoken", str(first + size)))
        answer = reply(body)
        if what == TASKS:
            self.served(first == 0, more)
        return answer

    def _tasks(self, condition: str) -> list[Row]:
        rows = [(i, self._row(i)) for i in self.items.values() if not i.removed]
        if found := re.search(r"_msdyn_project_value eq ([0-9a-f-]+)", condition):
            rows = [(i, r) for i, r in rows if _project(i.project)["msdyn_projectid"] == found[1]]
        if "msdyn_ismilestone eq true" in condition:
            rows = [(i, r) for i, r in rows if i.id not in self.plain]
        if found := re.search(r"modifiedon ge (\S+)", condition):
            rows = [(i, r) for i, r in rows if _iso(i.updated_at) >= found[1]]
        return [r for _, r in rows]

    def _row(self, item: Item) -> Row:
        row: Row = {
            "@odata.etag": f'W/"{item.updated_at}"', "msdyn_projecttaskid": item.id, "msdyn_subject": item.name,
            "msdyn_progress": 1 if item.done else 0.34, "msdyn_ismilestone": item.id not in self.plain, "msdyn_summary": False,
            "msdyn_outlinelevel": 1, "msdyn_start": _iso(START - MONTH), "msdyn_finish": _iso(START + MONTH), "msdyn_actualstart": None,
            "msdyn_actualend": _iso(item.done_at) if item.done and item.done_at else None, "modifiedon": _iso(item.updated_at),
            "_modifiedby_value": "u-9", "_msdyn_project_value": _project(item.project)["msdyn_projectid"],
            "_msdyn_parenttask_value": None, **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["msdyn_progress"]
        elif item.spoiled == "retyped":
            row["msdyn_progress"] = "1"
        return row


def _project(number: int) -> Row:
    return {
        "@odata.etag": 'W/"1"', "msdyn_projectid": f"0b6b7a40-0000-ed11-8e2f-00000000000{number}",
        "msdyn_subject": PROJECTS[number][0], "statecode": 0,
    }  # fmt: skip


def _error(status: int, code: str, message: str) -> httpx.Response:
    return reply({"error": {"code": code, "message": message}}, status)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
