"""Redmine as a source.

A version's `updated_on` does not move with its issues, an issue that leaves a version or is deleted leaves
no trace in the list of changes. So every version is looked at each night: the first page of its issues
comes with their number, and a small version is known whole by that. Only larger ones are read further,
when an issue changed or the number did. What did not change since the last pull is not told again.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Self

import httpx
import orjson

from connectors.errors import BadPayload, SourceConfig
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Missing, Policy
from connectors.http.fields import BadRow, instant, rejected
from connectors.http.hooks import REDMINE
from connectors.http.paging import WALKS_MAX, RawPage, Row, Walk, objects, settled, side_by_side, together, total_of
from connectors.http.probe import LISTS_MAX, permitted
from connectors.http.shape import as_agreed
from connectors.redmine import mapping
from connectors.redmine.comments import Comments
from connectors.registry import ConnectorInfo, Option, checked_options, missing_projects, none_left, one_of
from models.domain.observations import Observation, Page, Rejected, StateChange
from models.ports import PullRequest, Reachability

PAGE = 100  # more is cut to 100 silently
OVERLAP = timedelta(minutes=10)
RULES = ("closed", "all_issues_closed")


@dataclass(frozen=True, slots=True)
class RedmineOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    api_key: str
    milestones: tuple[str, ...] = ("version",)
    version_done: str = "closed"
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0

    @property
    def trackers(self) -> tuple[str, ...]:
        """The trackers whose issues are milestones."""
        return tuple(m.partition(":")[2] for m in self.milestones if m.startswith("issue:"))


@dataclass(slots=True)
class _Memory:
    """What the cursor remembers: when the last pull was, and a sign for each milestone that was told."""

    since: int = 0
    told: dict[str, str] = field(default_factory=dict)  # milestone id -> "number of issues:sign"

    def dump(self) -> str:
        return orjson.dumps({"since": self.since, "told": self.told}).decode()

    @classmethod
    def load(cls, request: PullRequest) -> _Memory:
        """An unreadable cursor is none."""
        try:
            kept = orjson.loads(request.cursor or "null")
        except orjson.JSONDecodeError:
            kept = None
        if request.full or not isinstance(kept, dict) or not isinstance(kept.get("told"), dict):
            return cls()
        since = kept.get("since")
        return cls(min(since, int(request.now.timestamp())) if isinstance(since, int) else 0, kept["told"])


@dataclass(slots=True)
class _Project:
    """One project of a pull: its row, and what changed in it since the last."""

    row: Row
    moved: frozenset[str] | None  # versions with a changed issue; None: not known, look at all


class Redmine:
    """One Redmine."""

    def __init__(
        self,
        name: str,
        options: RedmineOptions,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name, self.options = name, options
        self._url = options.base_url.rstrip("/")
        self._closed: frozenset[str] = frozenset()
        self.http = Http(
            options.base_url,
            ApiKey("X-Redmine-API-Key", options.api_key),
            clock=clock,
            sleep=sleep,
            policy=Policy(timeout=options.timeout, concurrency=options.concurrency, per_minute=options.per_minute or None),
            transport=transport,
            secrets=(options.api_key,),
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.http.__aexit__(*exc)

    # --- what is there ---

    def _walk(self, path: str, name: str, params: Mapping[str, Any]) -> Walk:
        async def fetch(number: int, size: int) -> RawPage:
            body = await self.http.get(path, {**params, "offset": number * size, "limit": size})
            return RawPage(_listed(body, name, path), total_of(body.get("total_count")))

        return Walk(fetch, PAGE, "id", self.options.concurrency)

    async def _all(self, path: str, name: str, params: Mapping[str, Any]) -> list[Row]:
        """A list of which no row may be missing. Raises BadPayload where it does not come to rest."""
        rows, whole = await settled(lambda: self._walk(path, name, params))
        if not whole:
            raise BadPayload("moving_list", where=path)
        return rows

    async def _account(self) -> Row:
        """Who the key belongs to. Asked first: with a bad key an open Redmine shows only what all may see."""
        body = await self.http.get("/users/current.json")
        user = body.get("user") if isinstance(body, dict) else None
        if not isinstance(user, dict):
            raise BadPayload("no_object", where="/users/current.json")
        return user

    async def _projects(self, wanted: Sequence[str]) -> list[Row]:
        rows, _ = await settled(lambda: self._walk("/projects.json", "projects", {}))
        if any("id" not in r for r in rows):
            raise BadPayload("project_without_id", where="/projects.json")
        if not wanted:
            return rows
        missing_projects(self.name, wanted, [(str(r.get("identifier") or r["id"]), str(r["id"])) for r in rows])
        return [r for r in rows if r.get("identifier") in wanted or str(r["id"]) in wanted]

    async def _learn_closed(self) -> None:
        """The statuses that count as closed: journals name statuses by id only."""
        body = await self.http.get("/issue_statuses.json")
        rows = _listed(body, "issue_statuses", "/issue_statuses.json")
        self._closed = frozenset(str(s.get("id")) for s in rows if s.get("is_closed"))

    async def check(self) -> Reachability:
        """The account behind the key, and what it sees."""
        with as_agreed(self.http):
            return await self._checked()

    async def _checked(self) -> Reachability:
        user = await self._account()
        trackers = await self._tracker_ids()
        projects = await self._projects(())
        count, missing = await permitted(lambda: self._probe(projects, trackers))
        who = str(user.get("login") or user.get("id"))
        return Reachability(who, len(projects), count, self.http.rate_left, missing)

    async def _probe(self, projects: Sequence[Row], trackers: str) -> int | None:
        """How many milestones there are, where the projects are few; of many projects one is tried."""
        await self._learn_closed()
        some = projects if len(projects) <= LISTS_MAX else projects[:1]
        issues = await self._issues({"tracker_id": trackers} if trackers else {}).fetch(0, 1)
        versions = await together([self._own_versions(p) for p in some if "version" in self.options.milestones])
        tracked = issues.total if trackers else 0
        whole = tracked is not None and len(some) == len(projects)
        return (tracked or 0) + sum(len(own) for own in versions) if whole else None

    async def _own_versions(self, project: Row) -> list[Row]:
        """A project's own versions; the list, which has no pages, also names those that others share with it."""
        path = f"/projects/{project['id']}/versions.json"
        found = _listed(await self.http.get(path), "versions", path)
        return [v for v in found if _owner(v) in (None, str(project["id"]))]

    # --- the pull ---

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """Versions and tracked issues that changed; and for each project, which of them are still there."""
        with as_agreed(self.http):
            async for page in self._pulled(request):
                yield page

    async def _pulled(self, request: PullRequest) -> AsyncIterator[Page]:
        memory, told = _Memory.load(request), dict[str, str]()
        await self._account()
        projects = await self._projects(request.projects)
        if not request.projects:
            none_left(self.name, memory.told, projects)
        await self._learn_closed()
        trackers = await self._tracker_ids()
        since = datetime.fromtimestamp(memory.since, UTC) - OVERLAP if memory.since else None
        readers = [lambda p=p: self._project(p, since, memory, told, trackers) for p in projects]
        async for page in side_by_side(readers, self.options.concurrency or 1):
            yield page
        seen = tuple(str(p["id"]) for p in projects)
        yield Page((), cursor=_Memory(int(request.now.timestamp()), told).dump(), last=True, projects=seen)

    async def _project(
        self, row: Row, since: datetime | None, memory: _Memory, told: dict[str, str], trackers: str
    ) -> AsyncIterator[Page]:
        alive = set[str]()
        if "version" in self.options.milestones:
            yield await self._versions(row, since, memory, told, alive)
        if trackers:
            async for page in self._tracked(row, trackers, memory, told, alive):
                yield page
        # "version:" alone says that versions were looked at, even where none is left.
        kinds = {"version:"} if "version" in self.options.milestones else set()
        kinds |= {"issue:"} if trackers else set()
        yield Page((), project_id=str(row["id"]), alive=tuple(sorted(alive | kinds)))

    # --- versions ---

    async def _versions(
        self, project: Row, since: datetime | None, memory: _Memory, told: dict[str, str], alive: set[str]
    ) -> Page:
        """The project's own versions that changed, with their issues."""
        try:
            own = await self._own_versions(project)
        except Missing:
            return Page(())  # the project went meanwhile; its absence from the list will tell
        alive |= {f"version:{v.get('id')}" for v in own}
        here = _Project(project, await self._moved(project, since))
        good: list[Observation] = []
        bad: list[Rejected] = []
        seen = 0
        for version, answer in zip(own, await together([self._look(v, here, memory, told) for v in own]), strict=True):
            told_of, issues = answer
            seen += 1 + issues
            if isinstance(told_of, BadRow):
                bad.append(rejected(self.name, version, "id", told_of, "version:"))
            elif told_of is not None:
                good.append(told_of)
        return Page(tuple(good), tuple(bad), project_id=str(project["id"]), seen=seen)

    async def _moved(self, project: Row, since: datetime | None) -> frozenset[str] | None:
        """The versions that have an issue which changed."""
        if since is None:
            return None
        asked = {"project_id": project["id"], "updated_on": f">={since.strftime('%Y-%m-%dT%H:%M:%SZ')}"}
        rows, whole = await settled(lambda: self._issues(asked))
        return frozenset(str(i["fixed_version"].get("id")) for i in rows if isinstance(i.get("fixed_version"), dict)) if whole else None  # fmt: skip

    def _issues(self, asked: Mapping[str, Any]) -> Walk:
        """Lists hide closed issues unless asked with `status_id=*`."""
        return self._walk("/issues.json", "issues", {**asked, "status_id": "*", "sort": "id"})

    async def _look(
        self, version: Row, project: _Project, memory: _Memory, told: dict[str, str]
    ) -> tuple[Observation | BadRow | None, int]:
        """What there is to tell of a version; None: nothing new. With the number of its issues."""
        key = f"version:{version.get('id')}"
        asked = {"fixed_version_id": version.get("id")}
        before = memory.told.get(key, "")
        first = await self._issues(asked).fetch(0, PAGE)
        if first.total is None or first.total > len(first.rows):
            shared = version.get("sharing") not in (None, "none")
            known = project.moved is not None and str(version.get("id")) not in project.moved and not shared
            if known and before.partition(":")[0] == str(first.total) and before.endswith(_sign(version)):
                told[key] = before
                return None, first.total or 0
            issues = await self._all("/issues.json", "issues", {**asked, "status_id": "*", "sort": "id"})
        else:
            issues = first.rows
        told[key] = f"{len(issues)}:{_sign(version, issues)}:{_sign(version)}"
        if told[key] == before:
            return None, len(issues)
        try:
            return await self._version(version, project.row, issues), len(issues)
        except BadRow as problem:
            told.pop(key)
            return problem, len(issues)

    async def _version(self, row: Row, project: Row, issues: Sequence[Row]) -> Observation:
        newest = mapping.last_closed(issues, self._closed)
        wanted = newest is not None and (row.get("status") == "closed" or self.options.version_done != "closed")
        by = await self._closer(newest) if wanted and newest is not None else None
        return mapping.version(self.name, row, project, issues, self._closed, self.options.version_done, by, self._url)

    async def _closer(self, issue: Row) -> str | None:
        changes = await self._journal(issue)
        return next((c.by for c in reversed(changes) if c.done), None)

    async def _journal(self, issue: Row) -> tuple[StateChange, ...]:
        path = f"/issues/{issue.get('id')}.json"
        try:
            body = await self.http.get(path, {"include": "journals"})
        except Missing:
            return ()  # removed meanwhile
        found = body.get("issue") if isinstance(body, dict) else None
        if not isinstance(found, dict):
            raise BadPayload("no_object", where=path)
        return mapping.changes(found.get("journals"), self._closed)

    # --- issues of chosen trackers ---

    async def _tracker_ids(self) -> str:
        """The ids of the configured trackers as a filter. Raises SourceConfig for a name that is not there."""
        wanted = self.options.trackers
        if not wanted:
            return ""
        rows = _listed(await self.http.get("/trackers.json"), "trackers", "/trackers.json")
        ids = {str(r.get("name")): str(r.get("id")) for r in rows}
        absent = [w for w in wanted if w not in ids]
        if absent:
            near = [m for a in absent for m in difflib.get_close_matches(a, ids, cutoff=0.3)] or sorted(ids)
            raise SourceConfig("tracker_absent", connection=self.name, tracker=", ".join(absent), near=", ".join(near))
        return "|".join(ids[w] for w in wanted)

    async def _tracked(
        self, project: Row, trackers: str, memory: _Memory, told: dict[str, str], alive: set[str]
    ) -> AsyncIterator[Page]:
        """All of a project's tracked issues, page by page - deleted ones leave no trace but their absence."""
        asked = {"project_id": project["id"], "subproject_id": "!*", "tracker_id": trackers}
        for _ in range(WALKS_MAX):
            walk = self._issues(asked)
            async for rows in walk.pages():
                yield await self._told_of(rows, project, memory, told, alive)
            if walk.complete:
                return
        raise BadPayload("moving_list", where="/issues.json")

    async def _told_of(
        self, rows: Sequence[Row], project: Row, memory: _Memory, told: dict[str, str], alive: set[str]
    ) -> Page:
        """A page of tracked issues: those that changed since the last pull."""
        good: list[Observation] = []
        bad: list[Rejected] = []
        fresh = []
        for row in rows:
            key = f"issue:{row.get('id')}"
            alive.add(key)
            told[key] = _sign(row)
            if told[key] != memory.told.get(key):
                fresh.append(row)
        for row, answer in zip(fresh, await together([self._issue(r, project) for r in fresh]), strict=True):
            if isinstance(answer, BadRow):
                told.pop(f"issue:{row.get('id')}")
                bad.append(rejected(self.name, row, "id", answer, "issue:"))
            else:
                good.append(answer)
        return Page(tuple(good), tuple(bad), project_id=str(project["id"]), seen=len(rows))

    async def _issue(self, row: Row, project: Row) -> Observation | BadRow:
        try:
            asked = mapping.is_closed(row, self._closed) or instant(row, "closed_on") is not None
            history = await self._journal(row) if asked else ()
            return mapping.issue(self.name, row, project, history, self._closed, self._url)
        except BadRow as problem:
            return problem


def _listed(body: object, name: str, path: str) -> list[Row]:
    if not isinstance(body, dict) or name not in body:
        raise BadPayload("no_list", where=path)
    return objects(body[name], path)


def _owner(version: Row) -> str | None:
    project = version.get("project")
    return str(project.get("id")) if isinstance(project, dict) else None


def _sign(row: Row, issues: Sequence[Row] = ()) -> str:
    """A short sign for a row, and for what its issues prove."""
    proof = [(i.get("id"), i.get("status"), i.get("done_ratio"), i.get("estimated_hours"), i.get("closed_on")) for i in issues]  # fmt: skip
    return blake2b(orjson.dumps([row, proof]), digest_size=6).hexdigest()


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Redmine:
    """A Redmine source from checked options."""
    values = RedmineOptions(**checked_options(name, CONNECTOR, options))
    for kind in values.milestones:
        one_of(name, "milestones", kind.partition(":")[0] + (":" if ":" in kind else ""), ("version", "issue:"))
    return Redmine(name, values, clock, transport, sleep)


def _fake() -> object:
    from connectors.redmine.fake import RedmineFake

    return RedmineFake()


CONNECTOR = ConnectorInfo(
    system="redmine",
    title="Redmine",
    options=(
        Option("base_url", required=True, help="the application's root, e.g. https://redmine.example.com"),
        Option(
            "api_key",
            required=True,
            secret=True,
            help="of an account that may view the projects (My account, API access key)",
        ),
        Option("milestones", default=("version",), help='version, and "issue:TRACKER" for issues of a tracker'),
        Option(
            "version_done",
            default="closed",
            choices=RULES,
            help="closed: the version is closed; all_issues_closed: its issues are",
        ),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=REDMINE,
    commenter=lambda source: Comments(source.http),
)
