"""How Azure DevOps is asked: every call with a version, ids by query, rows in batches, delays honoured.

A query gives ids only, whatever it selects, and fails above 20,000; rows come by id, at most 200 at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.errors import BadPayload, SourceError, SourceRefused
from connectors.http.budget import Sleep
from connectors.http.client import Answer, Http
from connectors.http.paging import Row, objects
from connectors.http.waiting import asked_wait

BATCH = 200  # rows in one question (VS403474)
PAGE = 100
UPDATES = 200  # of a work item's history in one question
QUERIED_MAX = 20_000  # ids in one answer (VS402337)
_TOO_MANY = ("VS402337", "VS402335")  # more than 20,000; more than 30 seconds
_ANONYMOUS = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
_DELAY_MAX = 30.0  # the vendor says that requests are delayed by up to so many seconds


class TooMany(SourceRefused):
    """A query that finds more than is told, or takes longer than it may."""


class Boards:
    """The calls of one organization (Services) or collection (Server)."""

    def __init__(self, http: Http, version: str, clock: Callable[[], datetime], sleep: Sleep) -> None:
        self.http, self._version, self._clock, self._sleep = http, version, clock, sleep
        self._not_before = 0.0

    async def account(self) -> str:
        """Who the token belongs to. Raises SourceRefused for nobody: public projects are shown to anyone."""
        path = "/_apis/connectionData"
        body = await self.get(path, version=f"{self._version}-preview")
        user = body.get("authenticatedUser") if isinstance(body, dict) else None
        if not isinstance(user, dict) or not user.get("id"):
            raise BadPayload("no_object", where=path)
        if user["id"] == _ANONYMOUS:
            raise SourceRefused("not_authorised", where=path)
        return str(user.get("customDisplayName") or user.get("providerDisplayName") or user["id"])

    async def projects(self, number: int, size: int) -> list[Row]:
        """A page of the projects."""
        asked = {"$top": size, "$skip": number * size, "stateFilter": "wellFormed"}
        return await self.list("/_apis/projects", asked)

    async def fields(self) -> set[str]:
        """The reference names of all fields; which there are depends on the process."""
        return {str(f.get("referenceName")) for f in await self.list("/_apis/wit/fields")}

    async def states(self, project: str, kind: str) -> list[Row]:
        """The states of a type of work item. Raises Missing where the project does not have the type."""
        return await self.list(f"/{project}/_apis/wit/workitemtypes/{quote(kind, safe='')}/states")

    async def types(self, project: str) -> list[str]:
        """The names of a project's types of work items."""
        return [str(t.get("name")) for t in await self.list(f"/{project}/_apis/wit/workitemtypes")]

    async def ids(self, where: str, project: str = "") -> list[int]:
        """The ids of all that a condition finds, in order. Raises TooMany."""
        path = f"/{project}/_apis/wit/wiql" if project else "/_apis/wit/wiql"
        query = f"SELECT [System.Id] FROM WorkItems WHERE {where} ORDER BY [System.Id]"
        body = (await self._ask("POST", path, {"timePrecision": "true"}, {"query": query})).body
        rows = objects(body.get("workItems") if isinstance(body, dict) else None, path)
        found = [r.get("id") for r in rows]
        if not all(isinstance(i, int) for i in found):
            raise BadPayload("no_list", where=path)
        if len(found) >= QUERIED_MAX:
            raise TooMany("refused", where=path, status=200)
        return [int(i) for i in found if i is not None]

    async def items(self, project: str, ids: Sequence[int], fields: Sequence[str]) -> list[Row]:
        """The rows of at most 200 ids; those that are gone meanwhile are left out."""
        path = f"/{project}/_apis/wit/workitemsbatch"
        body = (
            await self._ask("POST", path, {}, {"ids": list(ids), "fields": list(fields), "errorPolicy": "omit"})
        ).body
        listed = body.get("value") if isinstance(body, dict) else None
        return objects([r for r in listed if r is not None] if isinstance(listed, list) else None, path)

    async def updates(self, project: str, identity: str) -> list[Row]:
        """The history of a work item, oldest first."""
        path, found = f"/{project}/_apis/wit/workItems/{identity}/updates", list[Row]()
        while True:
            page = await self.list(path, {"$top": UPDATES, "$skip": len(found)})
            found += page
            if len(page) < UPDATES:
                return found

    async def roots(self, project: str, depth: int) -> list[Row]:
        """The trees of areas and iterations of a project."""
        return await self.list(f"/{project}/_apis/wit/classificationnodes", {"$depth": depth})

    async def list(self, path: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """A list, which always comes as {count, value}."""
        body = await self.get(path, params)
        return objects(body.get("value") if isinstance(body, dict) else None, path)

    async def get(self, path: str, params: Mapping[str, Any] | None = None, version: str = "") -> Any:
        """A JSON answer."""
        return (await self._ask("GET", path, params or {}, None, version)).body

    async def _ask(self, method: str, path: str, params: Mapping[str, Any], body: Any, version: str = "") -> Answer:
        """Ask, once the delay that an answer before asked for is over: here also a good answer may ask for one."""
        left = self._not_before - self._clock().timestamp()
        if left > 0:
            await self._sleep(left)
        asked = {**params, "api-version": version or self._version}
        answer = await self.http.ask(method, path, params=asked, body=body)
        if "retry-after" in answer.headers:
            wait = min(asked_wait(answer.headers, self._clock()) or 0.0, _DELAY_MAX)
            self._not_before = max(self._not_before, self._clock().timestamp() + wait)
        return answer


def judge(status: int, body: Any, headers: Mapping[str, str]) -> SourceError | None:
    """Tells a query that found too much from other refusals."""
    del headers
    message = body.get("message") if isinstance(body, dict) else None
    if status == 400 and isinstance(message, str) and message.startswith(_TOO_MANY):
        return TooMany("refused", status=status)
    return None


def quoted(text: str) -> str:
    """A text as a query has it."""
    return "'" + text.replace("'", "''") + "'"
