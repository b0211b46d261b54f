"""A scripted Azure DevOps for the conformance suite; milestones are work items of the type Epic."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import unquote
from uuid import UUID

import httpx

from connectors.azure_devops.mapping import (
    CHANGED,
    CLOSED,
    CLOSER,
    FIELDS,
    REASON,
    SINCE,
    STATE,
    TEAM_PROJECT,
    TITLE,
    TYPE,
)
from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

BASE = "https://dev.azure.com/acme"
TOKEN = "pat93kd2faketoken"  # noqa: S105 - invented
BASIC = b64encode(f":{TOKEN}".encode()).decode()
BEARER = "eyJ0-entra-token"
MONTH = 30 * 86_400
PLANNED = "Microsoft.VSTS.Scheduling.TargetDate"
STATES = (("New", "Proposed"), ("Active", "InProgress"), ("Resolved", "Resolved"), ("Closed", "Completed"),
          ("Accepted", "Completed"), ("Removed", "Removed"))  # fmt: skip
SINCE_QUERY = re.compile(r"\[System\.ChangedDate\] >= '([^']+)'")


class AzureDevOpsFake(ScriptedVendor):
    """One organization with two projects; a work item says when and by whom it was closed, unless a test says not."""

    system = "azure_devops"
    secrets: ClassVar[tuple[str, ...]] = (TOKEN, BASIC)
    skips: ClassVar[Mapping[str, str]] = {
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self, base: str = BASE) -> None:
        super().__init__()
        self.base = base
        self.older = False  # older servers give identities as texts
        self.closing_fields = True  # has the process ClosedDate and ClosedBy?
        self.states: dict[str, str] = {}  # the state of an item, where it is not New or Closed
        self.reasons: dict[str, str] = {}
        self.queried_max = 20_000
        self.nodes: list[Row] = []  # iterations of the first project
        self.anonymous = False
        self.delay: str | None = None  # Retry-After on good answers

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": self.base, "token": TOKEN, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(token="wrong-wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return str(len(self.items) + 1)

    def milestone_id(self, item: Item) -> str:
        return f"work_item:{item.id}"

    def node(self, name: str, ends: str | None, children: list[Row] | None = None) -> Row:
        """An iteration; given children stand below it."""
        number = len(self.nodes) + 100
        row: Row = {"id": number, "identifier": str(UUID(int=number)), "name": name, "structureType": "iteration",
                    "hasChildren": bool(children), "path": f"\\Alpha\\Iteration\\{name}", "url": f"{BASE}/node/{number}"}  # fmt: skip
        if ends is not None:
            row["attributes"] = {"startDate": "2026-11-02T00:00:00Z", "finishDate": ends}
        self.nodes.append(row)
        if children:
            row["children"] = children
            self.nodes = [n for n in self.nodes if n not in children]
        return row

    # --- answers ---

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/oauth2/v2.0/token"):
            return reply({"token_type": "Bearer", "expires_in": 3599, "access_token": BEARER})
        if not self.anonymous and request.headers.get("authorization") not in (f"Basic {BASIC}", f"Bearer {BEARER}"):
            return _error(401, "TF400813: The user is not authorized to access this resource.")
        if "api-version" not in request.url.params:
            return _error(400, "No api-version was supplied for the request.")
        answer = self._answer(
            request, unquote(request.url.path).removeprefix(f"{httpx.URL(self.base).path}/").split("/")
        )
        answer.headers["X-RateLimit-Remaining"] = "198"
        if self.delay is not None:
            answer.headers["Retry-After"] = self.delay
        return answer

    def _answer(self, request: httpx.Request, parts: list[str]) -> httpx.Response:
        given = request.url.params
        match parts:
            case ["_apis", "connectionData"]:
                return reply({"authenticatedUser": _nobody() if self.anonymous else _person("robot")})
            case ["_apis", "projects"]:
                start = int(given.get("$skip", 0))
                return _listed([_project(n) for n in range(len(PROJECTS))][start : start + int(given.get("$top", 100))])
            case ["_apis", "wit", "fields"]:
                return _listed([{"name": f.rpartition(".")[2], "referenceName": f} for f in (*self._there(), PLANNED)])
            case ["_apis", "wit", "wiql"]:
                return self._queried(body_of(request)["query"], None)
            case [project, "_apis", "wit", *rest] if project in _IDS:
                return self._inside(request, _IDS.index(project), rest)
        return _error(404, "The controller for path was not found.")

    def _inside(self, request: httpx.Request, number: int, rest: list[str]) -> httpx.Response:
        given = request.url.params
        match rest:
            case ["wiql"]:
                return self._queried(body_of(request)["query"], number)
            case ["workitemsbatch"]:
                return self._batch(body_of(request), number)
            case ["workitemtypes"]:
                return _listed(
                    [{"name": n, "referenceName": f"Microsoft.VSTS.WorkItemTypes.{n}"} for n in ("Epic", "Task")]
                )
            case ["workitemtypes", "Epic" | "Task", "states"]:
                return _listed([{"name": n, "color": "b2b2b2", "category": c} for n, c in STATES])
            case ["workItems", identity, "updates"] if identity in self.items:
                start = int(given.get("$skip", 0))
                return _listed(self._updates(self.items[identity])[start : start + int(given.get("$top", 200))])
            case ["classificationnodes"]:
                roots = [{"id": 1, "identifier": str(UUID(int=1)), "name": "Alpha", "structureType": "area", "hasChildren": False},
                         {"id": 2, "identifier": str(UUID(int=2)), "name": "Alpha", "structureType": "iteration",
                          "hasChildren": True, "children": self.nodes if number == 0 else []}]  # fmt: skip
                return _listed(roots)
        return _error(404, "VS402323: Work item type does not exist.")

    def _queried(self, query: str, number: int | None) -> httpx.Response:
        """Ids only, whatever is selected."""
        found = [i for i in self.items.values() if not i.removed and "'Epic'" in query]
        if number is not None and "@project" in query:
            found = [i for i in found if i.project == number]
        if since := SINCE_QUERY.search(query):
            low = datetime.fromisoformat(since[1]).timestamp()
            found = [i for i in found if i.updated_at >= low]
        if len(found) > self.queried_max:
            return _error(400, "VS402337: The number of work items returned exceeds the size limit of 20000.")
        rows = [
            {"id": int(i.id), "url": f"{BASE}/_apis/wit/workItems/{i.id}"}
            for i in sorted(found, key=lambda i: int(i.id))
        ]
        return reply(
            {
                "queryType": "flat",
                "queryResultType": "workItem",
                "asOf": _iso(self.now),
                "columns": [],
                "workItems": rows,
            }
        )

    def _batch(self, asked: Row, number: int) -> httpx.Response:
        unknown = [f for f in asked["fields"] if f not in (*self._there(), PLANNED)]
        if unknown:
            return _error(400, f"TF51535: Cannot find field {unknown[0]}.")
        if len(asked["ids"]) > 200:
            return _error(400, "VS403474: You requested more work items than the limit of 200.")
        known = [self.items.get(str(i)) for i in asked["ids"]]
        answer = _listed([None if i is None or i.removed else self._row(i, asked["fields"]) for i in known])
        own = [int(i.id) for i in self.items.values() if i.project == number and not i.removed]
        self.served(bool(own) and asked["ids"][0] == min(own), len(own) > 200)
        return answer

    # --- rows ---

    def _there(self) -> tuple[str, ...]:
        return FIELDS if self.closing_fields else tuple(f for f in FIELDS if f not in (CLOSED, CLOSER))

    def _row(self, item: Item, wanted: list[str]) -> Row:
        last = item.history[-1] if item.history else (START - MONTH, False, "robot")
        fields: Row = {
            TITLE: item.name, STATE: self._state(item), TYPE: "Epic", REASON: self.reasons.get(item.id, "Done"), CHANGED: _iso(item.updated_at),
            TEAM_PROJECT: PROJECTS[item.project][0], SINCE: _iso(last[0]), PLANNED: "2026-12-20T00:00:00Z",
        }  # fmt: skip
        if item.done:
            fields |= {
                CLOSED: _iso(item.done_at or 0),
                CLOSER: f"{last[2]} <ACME\\someone>" if self.older else _person(last[2]),
            }
        if item.spoiled == "missing":
            del fields[STATE]
        elif item.spoiled == "retyped":
            fields[STATE] = {"name": "Closed"}
        told = {k: v for k, v in fields.items() if k in wanted}
        return {
            "id": int(item.id),
            "rev": len(item.history) + 1,
            "fields": told,
            "url": f"{BASE}/_apis/wit/workItems/{item.id}",
            **item.unknown,
        }

    def _state(self, item: Item) -> str:
        return self.states.get(item.id, "Closed" if item.done else "New")

    def _updates(self, item: Item) -> list[Row]:
        """The moment of an update stands among its fields; its own date is that of the next one."""
        told = [(START - MONTH, "New", "robot")] + [
            (at, "Closed" if done else "New", by) for at, done, by in item.history
        ]
        ends = [_iso(at) for at, *_ in told[1:]] + ["9999-01-01T00:00:00Z"]
        rows, before = list[Row](), None
        for number, ((at, after, by), end) in enumerate(zip(told, ends, strict=True), 1):
            change: dict[str, Any] = {"newValue": after, **({} if before is None else {"oldValue": before})}
            rows.append({"id": number, "workItemId": int(item.id), "rev": number, "revisedBy": _person(by), "revisedDate": end,
                         "fields": {CHANGED: {"newValue": _iso(at)}, STATE: change}, "url": f"{BASE}/_apis/wit/workItems/{item.id}/updates/{number}"})  # fmt: skip
            before = after
        return rows


_IDS = [str(UUID(int=0xA1FA + n)) for n in range(len(PROJECTS))]


def _project(number: int) -> Row:
    return {
        "id": _IDS[number],
        "name": PROJECTS[number][0],
        "state": "wellFormed",
        "revision": 7,
        "visibility": "private",
    }


def _person(name: str) -> Row:
    return {
        "id": str(UUID(int=77)),
        "displayName": name,
        "providerDisplayName": name,
        "uniqueName": "someone@acme.example",
    }


def _nobody() -> Row:
    return {"id": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "providerDisplayName": "Anonymous"}


def _listed(rows: list[Any]) -> httpx.Response:
    return reply({"count": len(rows), "value": rows})


def _error(status: int, message: str) -> httpx.Response:
    return reply(
        {
            "$id": "1",
            "innerException": None,
            "message": message,
            "typeName": "Microsoft",
            "typeKey": "X",
            "errorCode": 0,
        },
        status,
    )


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
