"""Where Jira Cloud (REST v3) and Jira Data Center (REST v2) differ in how they are asked.

Cloud searches with page tokens and without a count, tells changelogs in bulk and a version's issues with its row.
Data Center counts its pages, gives changelogs with a search only, and a version's issues one version at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

import httpx

from connectors.errors import BadPayload
from connectors.http.client import Http
from connectors.http.paging import PAGES_MAX, Chain, RawPage, Row, Walk, objects, settled, together, total_of

PAGE = 100  # Cloud gives no more where fields are asked for, whatever one asks
IDS_PAGE = 5000  # the most of Cloud, for ids alone
DC_PAGE = 1000  # an administrator may cap it lower (jira.search.views.default.max)
LOGS_AT_ONCE = 1000  # issues in one question for changelogs
ENTRIES = 10_000  # of changelogs on a page, the most there may be
DC_LOGS_AT_ONCE = 100  # there they come with whole histories


class Edition(ABC):
    """How one kind of Jira is asked."""

    api: ClassVar[str]
    page: ClassVar[int]  # issues of a page

    def __init__(self, http: Http, concurrency: int) -> None:
        self.http, self.concurrency = http, concurrency

    @abstractmethod
    async def projects(self, *, types: bool) -> list[Row]:
        """All projects the account may browse; with the ids and names of their issue types where wanted."""

    @abstractmethod
    def issues(self, jql: str, fields: Sequence[str], *, logs: bool) -> Walk | Chain:
        """A walk over what a query finds; `logs` says that the changelogs of all are wanted, too."""

    @abstractmethod
    async def count(self, jql: str) -> int | None:
        """How many issues a query finds, where that is told."""

    @abstractmethod
    async def changelogs(self, rows: Sequence[Row]) -> Mapping[str, list[Row]]:
        """The entries of the changelogs of issues that may hold a change of status, by issue id."""

    @abstractmethod
    def versions(self, project: str) -> Walk:
        """A walk over a project's versions."""

    async def ids(self, jql: str) -> set[str]:
        """The ids of all that a query finds, without anything else: thousands in one request."""
        rows, whole = await settled(lambda: self.bare(jql))
        if not whole:
            raise BadPayload("moving_list", where=f"{self.api}/search")
        return {str(r.get("id")) for r in rows}

    @abstractmethod
    def bare(self, jql: str) -> Walk | Chain:
        """A walk over what a query finds, ids only."""

    async def tried(self, jql: str) -> None:
        """Ask as a pull asks, for one page of ids: counting may be allowed where searching is not."""
        async for _ in self.bare(jql).pages():
            return

    async def object(self, path: str) -> Row:
        """An answer that must be an object."""
        return mapping_of(await self.http.get(self.api + path), path)


class Cloud(Edition):
    """Jira Cloud. Its search is eventually consistent: what changed a moment ago may still be told as it was."""

    api, page = "/rest/api/3", PAGE

    async def projects(self, *, types: bool) -> list[Row]:
        """In pages; team-managed projects have types of their own, so each tells its own."""
        asked = {"orderBy": "key", "action": "browse", **({"expand": "issueTypes"} if types else {})}
        rows, _ = await settled(lambda: Walk(self._paged("/project/search", asked), PAGE, "id", self.concurrency))
        return rows

    def issues(self, jql: str, fields: Sequence[str], *, logs: bool) -> Chain:
        """Pages by token; several are believed when the ids, read after them, are the same."""
        del logs  # they come in bulk
        return Compared(self._searched(jql, fields, PAGE), "id", lambda: self.ids(jql))

    def bare(self, jql: str) -> Chain:
        """Up to five thousand a page."""
        return Chain(self._searched(jql, ("id",), IDS_PAGE), "id")

    async def count(self, jql: str) -> int | None:
        """Counted approximately: good enough for `check`, not for telling whether something is gone."""
        path = f"{self.api}/search/approximate-count"
        return total_of(mapping_of(await self.http.post(path, {"jql": jql}), path).get("count"))

    async def changelogs(self, rows: Sequence[Row]) -> Mapping[str, list[Row]]:
        """A thousand issues in one question; the entries of one issue may be spread over pages."""
        ids = [str(r.get("id")) for r in rows]
        found: dict[str, list[Row]] = {}
        for start in range(0, len(ids), LOGS_AT_ONCE):
            some = list(ids[start : start + LOGS_AT_ONCE])
            asked = {"issueIdsOrKeys": some, "fieldIds": ["status"], "maxResults": ENTRIES}
            async for row in self._logs(asked):
                found.setdefault(str(row.get("issueId")), []).extend(objects(row.get("changeHistories"), "changelog"))
        return found

    async def _logs(self, asked: Row) -> AsyncIterator[Row]:
        path, token = f"{self.api}/changelog/bulkfetch", None
        for _ in range(PAGES_MAX):
            body = mapping_of(await self.http.post(path, asked | ({"nextPageToken": token} if token else {})), path)
            for row in objects(body.get("issueChangeLogs"), path):
                yield row
            token, last = _token(body), token
            if token is None:
                return
            if token == last:
                break
        raise BadPayload("same_page")

    def versions(self, project: str) -> Walk:
        """In pages, with the number of issues in each category of status."""
        asked = {"orderBy": "sequence", "expand": "issuesstatus"}
        return Walk(self._paged(f"/project/{project}/version", asked), PAGE, "id", self.concurrency)

    def _paged(self, path: str, asked: Mapping[str, Any]) -> Callable[[int, int], Awaitable[RawPage]]:
        async def fetch(number: int, size: int) -> RawPage:
            given = {**asked, "startAt": number * size, "maxResults": size}
            body = mapping_of(await self.http.get(self.api + path, given), path)
            return RawPage(objects(body.get("values"), path), total_of(body.get("total")), body.get("isLast") is False)

        return fetch

    def _searched(
        self, jql: str, fields: Sequence[str], size: int
    ) -> Callable[[str | None], Awaitable[tuple[list[Row], str | None]]]:
        path = f"{self.api}/search/jql"

        async def fetch(token: str | None) -> tuple[list[Row], str | None]:
            asked = {"jql": jql, "maxResults": size, "fields": list(fields), **({"nextPageToken": token} if token else {})}  # fmt: skip
            body = mapping_of(await self.http.post(path, asked), path)
            return objects(body.get("issues"), path), _token(body)

        return fetch


class DataCenter(Edition):
    """Jira Data Center (and Server): numbered pages, counted."""

    api, page = "/rest/api/2", DC_PAGE

    async def projects(self, *, types: bool) -> list[Row]:
        """In one answer; issue types are the instance's, so each project gets them all."""
        paths = [f"{self.api}/project", *([f"{self.api}/issuetype"] if types else [])]
        answers = await together([self.http.get(p) for p in paths])
        rows, *known = [objects(answer, path) for answer, path in zip(answers, paths, strict=True)]
        return [{**r, "issueTypes": known[0] if known else []} for r in rows]

    def issues(self, jql: str, fields: Sequence[str], *, logs: bool) -> Walk:
        """Pages by number; with whole changelogs fewer rows on each."""
        asked = {"jql": jql, "fields": list(fields), **({"expand": ["changelog"]} if logs else {})}
        return Walk(self._searched(asked), DC_LOGS_AT_ONCE if logs else DC_PAGE, "id", self.concurrency)

    def bare(self, jql: str) -> Walk:
        """As any other."""
        return self.issues(jql, ("id",), logs=False)

    async def count(self, jql: str) -> int | None:
        """Told with every search; no row is asked for."""
        return (await self._searched({"jql": jql, "fields": ["id"]})(0, 0)).total

    async def changelogs(self, rows: Sequence[Row]) -> Mapping[str, list[Row]]:
        """Those that came with the rows, else by searches for the ids, side by side."""
        asked = [str(r.get("id")) for r in rows if "changelog" not in r]
        starts = range(0, len(asked), DC_LOGS_AT_ONCE)
        found = await together([self._logged(asked[start : start + DC_LOGS_AT_ONCE]) for start in starts])
        came = _entries([r for r in rows if "changelog" in r])
        return {**came, **{key: log for logs in found for key, log in logs.items()}}

    async def _logged(self, ids: Sequence[str]) -> Mapping[str, list[Row]]:
        """One that is gone meanwhile does not spoil the others (validateQuery)."""
        jql = f"id in ({', '.join(ids)}) ORDER BY key ASC"
        asked = {"jql": jql, "fields": ["id"], "expand": ["changelog"], "validateQuery": False}
        rows, _ = await settled(lambda: Walk(self._searched(asked), DC_LOGS_AT_ONCE, "id"))
        return _entries(rows)

    def versions(self, project: str) -> Walk:
        """In one answer."""
        path = f"{self.api}/project/{project}/versions"

        async def fetch(_number: int, _size: int) -> RawPage:
            return RawPage(objects(await self.http.get(path), path), None, more=False)

        return Walk(fetch, PAGE, "id")

    def _searched(self, asked: Row) -> Callable[[int, int], Awaitable[RawPage]]:
        path = f"{self.api}/search"

        async def fetch(number: int, size: int) -> RawPage:
            body = mapping_of(await self.http.post(path, {**asked, "startAt": number * size, "maxResults": size}), path)
            return RawPage(objects(body.get("issues"), path), total_of(body.get("total")))

        return fetch


class Compared(Chain):
    """A chain of pages that nobody counts: one page is all there is, several are compared with the ids alone."""

    def __init__(
        self,
        fetch: Callable[[str | None], Awaitable[tuple[list[Row], str | None]]],
        key: str,
        ids: Callable[[], Awaitable[set[str]]],
    ) -> None:
        super().__init__(fetch, key)
        self._ids, self._agrees = ids, True

    @property
    def complete(self) -> bool:
        """Did it come to its end, without a row twice, and are there no others?"""
        return super().complete and self._agrees

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows, of several pages together: their changelogs are then one question, not one for each page."""
        count, rows = 0, list[Row]()
        async for page in super().pages():
            count += 1
            rows += page
            if len(rows) >= LOGS_AT_ONCE:
                yield rows
                rows = []
        yield rows
        if count > 1:
            self._agrees = await self._ids() == self.seen


def _entries(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The entries of changelogs by issue id; those of a history that came in part only prove no date and are left out."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        log = mapping_of(row.get("changelog"), "changelog")
        entries = objects(log.get("histories"), "changelog")
        if len(entries) >= (total_of(log.get("total")) or 0):
            found[str(row.get("id"))] = entries
    return found


def mapping_of(body: object, where: str) -> Row:
    """An object. Raises BadPayload."""
    if not isinstance(body, dict):
        raise BadPayload("no_object", where=where)
    return body


def _token(body: Row) -> str | None:
    """The token of the next page; the last page has none."""
    found = body.get("nextPageToken")
    return found if isinstance(found, str) and found and body.get("isLast") is not True else None


def is_cloud(base_url: str) -> bool:
    """Is it an address of Atlassian's own?"""
    host = httpx.URL(base_url).host
    return host == "api.atlassian.com" or host.endswith((".atlassian.net", ".jira.com"))
