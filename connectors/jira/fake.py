"""A scripted Jira for the conformance suite, as Cloud (REST v3) or as Data Center (REST v2).

Milestones are issues of the type Milestone; versions come beside them where a test adds some.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, Item, Row, ScriptedVendor, body_of, reply

SITES = {"cloud": "https://acme.atlassian.net", "data_center": "https://jira.acme.example"}
EMAIL = "robot@acme.example"
TOKEN = "ATATT3xFfGF0-fake-token"  # noqa: S105 - invented
BASIC = b64encode(f"{EMAIL}:{TOKEN}".encode()).decode()
OPEN, DONE, REJECTED, ACCEPTED = ("1", "Open", "new"), ("6", "Closed", "done"), ("7", "Rejected", "done"), ("8", "Accepted", "done")  # fmt: skip
STATES = (OPEN, DONE, REJECTED, ACCEPTED)
TYPE = ("10100", "Milestone")
RECENT = re.compile(r"updated >= -(\d+)m")
PROJECT = re.compile(r"project = (\d+)")
IDS = re.compile(r"id in \(([\d, ]+)\)")


class JiraFake(ScriptedVendor):
    """One Jira with two projects; an issue's status is Closed where its item is done, unless a test says another."""

    system = "jira"
    secrets: ClassVar[tuple[str, ...]] = (TOKEN, BASIC)
    skips: ClassVar[Mapping[str, str]] = {
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self, deployment: str = "cloud") -> None:
        super().__init__()
        self.cloud = deployment == "cloud"
        self.site = SITES[deployment]
        self.api = "/rest/api/3/" if self.cloud else "/rest/api/2/"
        self.versions: list[Row] = []
        self.types: dict[int, str] = {}  # of a project, where its issue type is not Milestone (team-managed)
        self.closed_as: dict[str, tuple[str, str, str]] = {}  # the last status of an item, where it is not Closed
        self.resolutions: dict[str, str] = {}
        self.numbered: bool | str = False  # moments in changelogs as numbers: True (seconds), "ms"
        self.page_max = 100  # of issues with fields; on Data Center an administrator may allow more
        self.logs_max = 1000  # entries of changelogs on a page
        self.slipping = False  # do tokens count rows, so that one slips when another goes?
        self.changed_issues: list[int] = []  # when other issues changed

    def options(self, **changes: object) -> dict[str, object]:
        who = {"email": EMAIL} if self.cloud else {}
        return {
            "base_url": self.site,
            "token": TOKEN,
            "timeout": 0.05,
            "milestones": ["type:Milestone"],
            **who,
            **changes,
        }

    def bad_options(self) -> dict[str, object]:
        return self.options(token="wrong-wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return str(10_001 + len(self.items))

    def milestone_id(self, item: Item) -> str:
        return f"issue:{item.id}"

    def version(self, name: str, **more: object) -> Row:
        """A version of the first project; `counts` are its issues to do and done, None: Jira does not tell them."""
        row: Row = {"id": str(20_001 + len(self.versions)), "name": name, "released": False, "archived": False, "counts": (1, 0), **more}  # fmt: skip
        self.versions.append(row)
        return row

    # --- answers ---

    def answer(self, request: httpx.Request) -> httpx.Response:
        wanted = f"Basic {BASIC}" if self.cloud else f"Bearer {TOKEN}"
        if request.headers.get("authorization") != wanted:
            return httpx.Response(401, headers={"content-type": "text/plain"}, text="Client must be authenticated")
        if not request.url.path.startswith(self.api):
            return _error(404, "No such path.")
        parts = request.url.path.removeprefix(self.api).split("/")
        answer = self._answer(request, parts)
        answer.headers["X-RateLimit-Remaining"] = "349"
        return answer

    def _answer(self, request: httpx.Request, parts: list[str]) -> httpx.Response:
        match parts:
            case ["myself"]:
                return reply({**self._user("robot"), "timeZone": "Asia/Shanghai"})
            case ["serverInfo"]:
                return reply(
                    {"baseUrl": self.site, "deploymentType": "Cloud" if self.cloud else "Server", "version": "10.3.1"}
                )
            case ["status"]:
                return reply([self._status(s) for s in STATES])
            case ["version", number, "unresolvedIssueCount"] if not self.cloud:
                return self._left(request, number)
        return self._cloud(request, parts) if self.cloud else self._data_center(request, parts)

    def _cloud(self, request: httpx.Request, parts: list[str]) -> httpx.Response:
        match parts:
            case ["project", "search"]:
                return self._paged(
                    request, [self._project(n, types="expand" in request.url.params) for n in range(len(PROJECTS))]
                )
            case ["project", number, "version"]:
                return self._paged(request, [self._version(v) for v in self._own_versions(number)])
            case ["search", "jql"]:
                return self._searched(body_of(request))
            case ["search", "approximate-count"]:
                return reply({"count": len(self._found(body_of(request)["jql"]))})
            case ["changelog", "bulkfetch"]:
                return self._logs(body_of(request))
        return _error(410 if parts == ["search"] else 404, "The requested API has been removed.")

    def _data_center(self, request: httpx.Request, parts: list[str]) -> httpx.Response:
        match parts:
            case ["project"]:
                return reply([self._project(n, types=False) for n in range(len(PROJECTS))])
            case ["issuetype"]:
                return reply([self._type()])
            case ["project", number, "versions"]:
                return reply([self._version(v) for v in self._own_versions(number)])
            case ["search"]:
                return self._counted(body_of(request))
        return _error(404, "No such path.")

    def _searched(self, asked: Row) -> httpx.Response:
        """By token; the token says after which id to go on, or how many rows were given."""
        bare, token = asked.get("fields", ["id"]) == ["id"], int(asked.get("nextPageToken", "0"))
        found = self._found(asked["jql"])
        rows = found[token:] if self.slipping else [i for i in found if int(i.id) > token]
        size = min(asked.get("maxResults", 50), 5000 if bare else self.page_max)
        some, more = rows[:size], len(rows) > size
        last = str(token + size) if self.slipping else some[-1].id if some else ""
        issues = [{"id": i.id} if bare else self._row(i) for i in some]
        answer = reply({"issues": issues, "isLast": not more, **({"nextPageToken": last} if more else {})})
        if not bare:
            self.served("nextPageToken" not in asked, more)
        return answer

    def _counted(self, asked: Row) -> httpx.Response:
        rows, start, size = self._found(asked["jql"]), asked["startAt"], min(asked["maxResults"], self.page_max)
        some, logs = rows[start : start + size], "changelog" in asked.get("expand", ())
        if "id in" in asked["jql"] and asked.get("validateQuery") is not False:
            return _error(400, "A value with ID does not exist for the field 'id'.")
        bare = asked.get("fields", ["id"]) == ["id"]
        told = [
            {**({"id": i.id} if bare else self._row(i)), **({"changelog": self._log(i)} if logs else {})} for i in some
        ]
        total = len(rows) + (
            0 if "issuetype" in asked["jql"] or "id in" in asked["jql"] else self._others(asked["jql"])
        )
        answer = reply({"expand": "schema,names", "startAt": start, "maxResults": size, "total": total, "issues": told})
        if not bare:
            self.served(start == 0, start + size < len(rows))
        return answer

    def _others(self, jql: str) -> int:
        recent = RECENT.search(jql)
        return sum(at >= self.now - 60 * int(recent[1]) for at in self.changed_issues) if recent else 0

    def _found(self, jql: str) -> list[Item]:
        found = [i for i in self.items.values() if not i.removed]
        if project := PROJECT.search(jql):
            found = [i for i in found if str(10_000 + i.project) == project[1]]
        if ids := IDS.search(jql):
            found = [i for i in found if i.id in ids[1].split(", ")]
        if recent := RECENT.search(jql):
            found = [i for i in found if i.updated_at >= self.now - 60 * int(recent[1])]
        return sorted(found, key=lambda i: int(i.id))

    def _logs(self, asked: Row) -> httpx.Response:
        """Entries of all issues together, oldest first, in pages of entries."""
        if len(asked["issueIdsOrKeys"]) > 1000:
            return _error(400, "Too many issues.")
        known = [self.items[i] for i in asked["issueIdsOrKeys"] if i in self.items and not self.items[i].removed]
        entries = [(e, i) for i in known for e in self._log(i)["histories"]]
        start = int(asked.get("nextPageToken", "0"))
        some, more = entries[start : start + self.logs_max], start + self.logs_max < len(entries)
        rows = [{"issueId": i.id, "changeHistories": [e]} for e, i in some]
        return reply({"issueChangeLogs": rows, **({"nextPageToken": str(start + self.logs_max)} if more else {})})

    # --- rows ---

    def _row(self, item: Item) -> Row:
        state = self._state(item)
        fields: Row = {
            "summary": item.name, "status": self._status(state), "updated": self._moment(item.updated_at), "duedate": "2026-12-20",
            "issuetype": self._type(), "project": self._project(item.project, types=False),
            "resolution": {"id": "1", "name": self.resolutions.get(item.id, "Done")} if item.done else None,
            "resolutiondate": self._moment(item.done_at or 0) if item.done else None,
        }  # fmt: skip
        if item.spoiled == "missing":
            del fields["status"]
        elif item.spoiled == "retyped":
            fields["status"] = "Closed"
        return {
            "expand": "",
            "id": item.id,
            "self": f"{self.site}{self.api}issue/{item.id}",
            "key": _key(item),
            "fields": fields,
            **item.unknown,
        }

    def _state(self, item: Item) -> tuple[str, str, str]:
        return self.closed_as.get(item.id, DONE) if item.done else OPEN

    def _log(self, item: Item) -> Row:
        """The changelog of an issue: a change of its status, and one of its summary in the same entry."""
        entries, before = [], OPEN
        for number, (at, done, by) in enumerate(item.history):
            after = self._state(item) if done and number == len(item.history) - 1 else DONE if done else OPEN
            changes = [
                ("summary", None, item.name, None, item.name),
                ("status", before[0], before[1], after[0], after[1]),
            ]
            entries.append({
                "id": str(int(item.id) * 100 + number), "author": self._user(by), "created": self._created(at),
                "items": [
                    {"field": f, "fieldtype": "jira", **({"fieldId": f} if self.cloud else {}), "fromString": text, "toString": new,
                     **({} if was is None else {"from": was, "to": now})}
                    for f, was, text, now, new in changes
                ],
            })  # fmt: skip
            before = after
        return {"startAt": 0, "maxResults": len(entries), "total": len(entries), "histories": entries}

    def _created(self, at: int) -> str | int:
        """As the description says; its own example shows a number instead."""
        if self.numbered:
            return at * 1000 if self.numbered == "ms" else at
        return datetime.fromtimestamp(at, UTC).isoformat() if self.cloud else self._moment(at)

    def _moment(self, seconds: int) -> str:
        """With an offset without a colon."""
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")

    def _own_versions(self, project: str) -> Sequence[Row]:
        return [v for v in self.versions if project == "10000"]

    def _left(self, request: httpx.Request, number: str) -> httpx.Response:
        counts = next(v["counts"] for v in self.versions if v["id"] == number)
        if counts is None:
            return _error(404, "No such version.")
        left, done = counts
        told = {"issuesUnresolvedCount": left, **({"issuesCount": left + done} if isinstance(left, int) else {})}
        return reply({"self": f"{self.site}{request.url.path}", **told})

    def _version(self, given: Row) -> Row:
        row = {k: v for k, v in given.items() if k != "counts"}
        left, done = given["counts"] or (0, 0)
        path = f"{self.site}{self.api}version/{given['id']}"
        counts = (
            {"issuesStatusForFixVersion": {"unmapped": 0, "toDo": left, "inProgress": 0, "done": done}}
            if self.cloud and given["counts"] is not None
            else {}
        )
        return {"self": path, "projectId": 10_000, "releaseDate": "2026-12-20", "overdue": False, **row, **counts}

    def _project(self, number: int, *, types: bool) -> Row:
        key, name = PROJECTS[number]
        row: Row = {"id": str(10_000 + number), "key": key, "name": name, "self": f"{self.site}{self.api}project/{10_000 + number}",
                    "projectTypeKey": "software", "archived": False}  # fmt: skip
        return {**row, "issueTypes": [self._type() | {"name": self.types.get(number, TYPE[1])}]} if types else row

    def _type(self) -> Row:
        return {"self": f"{self.site}{self.api}issuetype/{TYPE[0]}", "id": TYPE[0], "name": TYPE[1], "subtask": False}

    def _status(self, state: tuple[str, str, str]) -> Row:
        number, name, category = state
        path = f"{self.site}{self.api}status"
        return {"self": f"{path}/{number}", "id": number, "name": name,
                "statusCategory": {"self": f"{path}category/{category}", "id": 3, "key": category, "name": category, "colorName": "green"}}  # fmt: skip

    def _user(self, name: str) -> Row:
        if self.cloud:
            return {
                "self": f"{self.site}{self.api}user",
                "accountId": f"5b10:{name}",
                "displayName": name,
                "active": True,
            }
        return {
            "self": f"{self.site}{self.api}user",
            "name": name,
            "key": f"JIRAUSER{len(name)}",
            "displayName": name,
            "active": True,
        }

    def _paged(self, request: httpx.Request, rows: Sequence[Row]) -> httpx.Response:
        start, size = int(request.url.params.get("startAt", 0)), min(100, int(request.url.params.get("maxResults", 50)))
        return reply({"self": str(request.url), "startAt": start, "maxResults": size, "total": len(rows),
                      "isLast": start + size >= len(rows), "values": rows[start : start + size]})  # fmt: skip


def _key(item: Item) -> str:
    return f"{PROJECTS[item.project][0]}-{int(item.id) - 10_000}"


def _error(status: int, message: str) -> httpx.Response:
    return reply({"errorMessages": [message], "errors": {}}, status)
