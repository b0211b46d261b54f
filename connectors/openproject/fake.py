"""A scripted OpenProject for the conformance suite; milestones are work packages of a type marked as milestone."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, ClassVar

import httpx
import orjson

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor

KEY = "op-key-0123456789abcdef0123456789abcdef01234567"
MONTH = 30 * 86_400
ROOT = "/api/v3"
PAGE_MAX = 100  # what the administrator allows: less than the connector asks for
NEW, CLOSED, REJECTED = ("1", "New", False), ("12", "Closed", True), ("14", "Rejected", True)
PROJECT_LINKS = ("self", "categories", "types", "versions", "memberships", "workPackages")


class OpenProjectFake(ScriptedVendor):
    """One OpenProject, its activities in German: the connector must not rely on their words."""

    system = "openproject"
    secrets: ClassVar[tuple[str, ...]] = (KEY, b64encode(f"apikey:{KEY}".encode()).decode())
    skips: ClassVar[Mapping[str, str]] = {
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[Row] = []
        self.rejected: set[str] = set()  # ids of items whose last state is Rejected
        self.people: list[str] = []

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": "https://op.example", "api_key": KEY, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(api_key="op-key-wrong-wrong-wrong")

    def milestone_id(self, item: Item) -> str:
        return f"work_package:{item.id}"

    def next_id(self) -> str:
        return str(len(self.items) + 1)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(ROOT)
        if request.headers.get("authorization") != f"Basic {self.secrets[1]}":
            return _error(401, "Unauthenticated", "You need to be authenticated to access this resource.")
        if path == "/work_packages":
            return self._work_packages(request)
        if path.endswith("/activities"):
            return self._activities(path.split("/")[2])
        if path.startswith("/users/"):
            return self._user(int(path.rpartition("/")[2]))
        if path.endswith("/versions"):
            return _collection([_version(v) for v in self.versions], path)
        fixed = {
            "": _root,
            "/statuses": lambda: _collection([_status(s) for s in (NEW, CLOSED, REJECTED)], path),
            "/types": lambda: _collection(
                [_type(1, "Task", milestone=False), _type(2, "Milestone", milestone=True)], path
            ),
            "/projects": self._projects,
        }
        return fixed[path]() if path in fixed else _error(404, "NotFound", "The requested resource could not be found.")

    def _projects(self) -> httpx.Response:
        rows = [
            {
                "_type": "Project", "id": n + 1, "identifier": key.lower(), "name": name, "active": True, "public": False,
                "description": _text(""), "statusExplanation": _text(""), "createdAt": _iso(START - MONTH), "updatedAt": _iso(START),
                "_links": {link: {"href": f"{ROOT}/projects/{n + 1}/{link}"} for link in PROJECT_LINKS},
            }
            for n, (key, name) in enumerate(PROJECTS)
        ]  # fmt: skip
        return _collection(rows, "/projects", page=(1, PAGE_MAX, len(rows)))

    def _work_packages(self, request: httpx.Request) -> httpx.Response:
        given = request.url.params
        filters = {k: v["values"] for f in orjson.loads(given["filters"]) for k, v in f.items()}
        number, size = int(given.get("offset", 1)), min(PAGE_MAX, int(given.get("pageSize", 20)))
        projects = filters.get("project", [str(n + 1) for n in range(len(PROJECTS))])
        rows = [i for i in self.items.values() if not i.removed and str(i.project + 1) in projects]
        rows = rows if "2" in filters["type"] else []
        if "updated_at" in filters:
            low = datetime.fromisoformat(filters["updated_at"][0]).timestamp()
            rows = [i for i in rows if i.updated_at >= low]
        start = (number - 1) * size
        page = [self._row(i) for i in rows[start : start + size]]
        answer = _collection(page, "/work_packages", page=(number, size, len(rows)))
        if "updated_at" not in filters:
            self.served(number == 1, start + size < len(rows))
        return answer

    def _row(self, item: Item) -> Row:
        state = REJECTED if item.id in self.rejected else CLOSED if item.done else NEW
        links: Row = {
            "self": {"href": f"{ROOT}/work_packages/{item.id}", "title": item.name},
            "schema": {"href": f"{ROOT}/work_packages/schemas/{item.project + 1}-2"},
            "ancestors": [], "author": {"href": f"{ROOT}/users/3", "title": "robot"},
            "priority": {"href": f"{ROOT}/priorities/8", "title": "Normal"},
            "project": {"href": f"{ROOT}/projects/{item.project + 1}", "title": PROJECTS[item.project][1]},
            "status": {"href": f"{ROOT}/statuses/{state[0]}", "title": state[1]},
            "type": {"href": f"{ROOT}/types/2", "title": "Milestone"},
        }  # fmt: skip
        if item.spoiled == "missing":
            del links["status"]
        elif item.spoiled == "retyped":
            links["status"] = "Closed"
        return {
            "_type": "WorkPackage", "id": int(item.id), "lockVersion": len(item.history), "subject": item.name,
            "description": _text(""), "scheduleManually": False, "date": "2026-12-20", "estimatedTime": None,
            "percentageDone": 100 if item.done else 0, "derivedPercentageDone": None, "customField7": "A-17",
            "createdAt": _iso(START - MONTH), "updatedAt": _iso(item.updated_at), "_links": links, **item.unknown,
        }  # fmt: skip

    def _activities(self, identity: str) -> httpx.Response:
        item = self.items.get(identity)
        if item is None or item.removed:
            return _error(404, "NotFound", "The requested resource could not be found.")
        rows = [self._activity(1, START - MONTH, "robot", [_sentence("Status", None, NEW[1])])]
        before = NEW[1]
        for at, done, by in item.history:
            after = (REJECTED if item.id in self.rejected else CLOSED)[1] if done else NEW[1]
            rows.append(
                self._activity(
                    len(rows) + 1, at, by, [_sentence("Status", before, after), _sentence("Farbe", "blau", "rot")]
                )
            )
            before = after
        return _collection(rows, f"/work_packages/{identity}/activities")

    def _activity(self, number: int, at: int, by: str, details: list[Row]) -> Row:
        links = {"self": {"href": f"{ROOT}/activities/{number}"}, "user": {"href": f"{ROOT}/users/{self._number(by)}"}}
        return {"_type": "Activity", "id": number, "version": number, "comment": _text(""), "details": details,
                "createdAt": _iso(at), "updatedAt": _iso(at), "_links": links}  # fmt: skip

    def _number(self, person: str) -> int:
        if person not in self.people:
            self.people.append(person)
        return self.people.index(person) + 3

    def _user(self, number: int) -> httpx.Response:
        known = 3 <= number < 3 + len(self.people)
        if not known:
            return _error(404, "NotFound", "The requested resource could not be found.")
        return _hal({"_type": "User", "id": number, "name": self.people[number - 3], "_links": {"self": {"href": f"{ROOT}/users/{number}"}}})  # fmt: skip


def version_row(number: int, name: str, status: str = "open", owner: int = 1, updated: int = START) -> Row:
    """A version as the fake keeps it."""
    return {"id": number, "name": name, "status": status, "owner": owner, "updated": updated}


def _version(given: Row) -> Row:
    path = f"{ROOT}/versions/{given['id']}"
    return {
        "_type": "Version", "id": given["id"], "name": given["name"], "description": _text(""), "startDate": None,
        "endDate": "2026-12-31", "status": given["status"], "sharing": "none", "createdAt": _iso(START - MONTH),
        "updatedAt": _iso(given["updated"]),
        "_links": {"self": {"href": path}, "schema": {"href": f"{ROOT}/versions/schema"},
                   "definingProject": {"href": f"{ROOT}/projects/{given['owner']}"}, "availableInProjects": {"href": f"{path}/projects"}},
    }  # fmt: skip


def _root() -> httpx.Response:
    names = (
        "self configuration memberships priorities relations statuses time_entries types userPreferences workPackages"
    )
    links: Row = {n: {"href": f"{ROOT}/{n}"} for n in names.split()}
    links["user"] = {"href": f"{ROOT}/users/3", "title": "robot"}
    return _hal({"_type": "Root", "instanceName": "OpenProject", "_links": links})


def _status(state: tuple[str, str, bool]) -> Row:
    number, name, closed = state
    return {"_type": "Status", "id": int(number), "name": name, "isClosed": closed, "color": "#1098AD", "isDefault": not closed,
            "isReadonly": False, "position": int(number), "_links": {"self": {"href": f"{ROOT}/statuses/{number}"}}}  # fmt: skip


def _type(number: int, name: str, *, milestone: bool) -> Row:
    return {"_type": "Type", "id": number, "name": name, "color": "#35C53F", "position": number, "isDefault": True,
            "isMilestone": milestone, "createdAt": _iso(START - MONTH), "updatedAt": _iso(START - MONTH),
            "_links": {"self": {"href": f"{ROOT}/types/{number}"}}}  # fmt: skip


def _sentence(label: str, before: str | None, after: str) -> Row:
    """What an activity says, in German."""
    new = f"<i>{escape(after)}</i>"
    html = f"<strong>{label}</strong> gesetzt auf {new}" if before is None else f"<strong>{label}</strong> geändert von <i>{escape(before)}</i> <strong>zu</strong> {new}"  # fmt: skip
    return {"format": "custom", "raw": f"{label} geändert von {before} zu {after}", "html": html}


def _collection(rows: list[Row], path: str, page: tuple[int, int, int] | None = None) -> httpx.Response:
    """A HAL collection; `page`: its number, its size, how many rows there are in all."""
    href = f"{ROOT}{path}"
    body: dict[str, Any] = {
        "_type": "Collection",
        "total": len(rows),
        "count": len(rows),
        "_links": {"self": {"href": href}},
    }
    body["_embedded"] = {"elements": rows}
    if page is not None:
        number, size, total = page
        body |= {"total": total, "pageSize": size, "offset": number}
        body["_links"] |= {n: {"href": f"{href}?{n}={{x}}", "templated": True} for n in ("jumpTo", "changeSize")}
        if number * size < total:
            body["_links"]["nextByOffset"] = {"href": f"{href}?offset={number + 1}&pageSize={size}"}
    return _hal(body)


def _hal(body: Row, status: int = 200) -> httpx.Response:
    kind = "application/hal+json; charset=utf-8"
    return httpx.Response(status, headers={"content-type": kind}, content=orjson.dumps(body))


def _error(status: int, identifier: str, message: str) -> httpx.Response:
    return _hal({"_type": "Error", "errorIdentifier": f"urn:openproject-org:api:v3:errors:{identifier}", "message": message}, status)  # fmt: skip


def _text(raw: str) -> Row:
    return {"format": "markdown", "raw": raw, "html": raw}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
