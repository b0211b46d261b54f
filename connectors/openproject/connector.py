"""OpenProject as a source (API v3, HAL).

Each project's milestones are read whole, a few hundred in one request: only so a deleted one is noticed.
Activities are asked for those that changed since the last pull. Where a project has more milestones than a
page, two small questions (how many changed, how many there are) spare the reading of a list that is as it was.
"""

from __future__ import annotations

import asyncio
import difflib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import httpx
import orjson

from connectors.errors import BadPayload, SourceConfig, SourceRefused
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Policy
from connectors.http.fields import BadRow, instant
from connectors.http.hooks import OPENPROJECT
from connectors.http.paging import Chain, RawPage, Row, Walk, objects, settled, together, total_of
from connectors.http.source import Listing, Project
from connectors.http.sparing import SparingSource
from connectors.openproject import mapping
from connectors.openproject.comments import Comments
from connectors.openproject.mapping import Past, States
from connectors.registry import ConnectorInfo, Option, checked_options, one_of
from models.domain.observations import Observation
from models.ports import Reachability

PAGE = 200  # an administrator may cap it lower; the walk then takes what comes
_ACTIVE = '[{"active":{"operator":"=","values":["t"]}}]'


@dataclass(frozen=True, slots=True)
class OpenProjectOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    api_key: str
    milestones: tuple[str, ...] = ("milestone",)
    done_states: tuple[str, ...] = ()
    dropped_states: tuple[str, ...] = ("Rejected", "已拒绝")
    accepted_states: tuple[str, ...] = ()
    reconcile_days: int = 7
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0

    @property
    def type_names(self) -> tuple[str, ...]:
        """The work-package types that count whether or not they are milestone types."""
        return tuple(m.partition(":")[2] for m in self.milestones if m.startswith("type:"))


class OpenProject(SparingSource):
    """One OpenProject."""

    def __init__(self, name: str, options: OpenProjectOptions, http: Http) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options = options
        self._url = options.base_url.rstrip("/")
        self._states = States({}, frozenset())
        self._types: tuple[str, ...] = ()
        self._people: dict[str, str] = {}

    # --- what is there ---

    async def account(self) -> str:
        """Whose key it is; the root document names the user."""
        root = await self.http.get("/api/v3")
        user = root.get("_links", {}).get("user") if isinstance(root, dict) else None
        if not isinstance(user, dict) or not user.get("href"):
            raise BadPayload("no_object", where="GET /api/v3")
        return str(user.get("title") or user["href"])

    async def prepare(self) -> None:
        """The statuses and types of the instance. Raises SourceConfig for names that it does not have."""
        statuses, types = await together([self._elements("/api/v3/statuses"), self._elements("/api/v3/types")])
        self._states = self._sorted_states(statuses)
        self._types = self._milestone_types(types)
        self._people = {}

    async def _checked(self) -> Reachability:
        """With the number of milestones, and the permission that is missing where types and statuses are refused."""
        account, projects = await self.account(), await self.projects()
        try:
            await self.prepare()
        except SourceRefused as problem:
            if problem.trouble.code != "no_permission":
                raise
            return Reachability(account, len(projects), missing=("view_work_packages",))
        found = await self._page((_is("type", self._types),), 0, 1) if self._types else None
        return Reachability(account, len(projects), found.total if found else None, self.http.rate_left)

    async def projects(self) -> list[Project]:
        """All active projects (and portfolios, programs) the account sees."""
        rows, _ = await settled(lambda: Chain(self._project_page, "id"))
        if any("id" not in r for r in rows):
            raise BadPayload("project_without_id", where="GET /api/v3/projects")
        return [Project(str(r["id"]), str(r.get("identifier") or r["id"]), str(r.get("name", "")), r) for r in rows]

    async def _project_page(self, token: str | None) -> tuple[list[Row], str | None]:
        """A page of projects; the next is where its link says, which may be relative to the host."""
        params = None if token else {"filters": _ACTIVE, "sortBy": '[["id","asc"]]'}
        body = await self.http.get(token or "/api/v3/projects", params)
        follow = (body.get("_links") or {}).get("nextByOffset") if isinstance(body, dict) else None
        href = follow.get("href") if isinstance(follow, dict) else None
        return _rows(body, "GET /api/v3/projects"), str(httpx.URL(self._url + "/").join(href)) if href else None

    async def _elements(self, path: str) -> list[Row]:
        return _rows(await self.http.get(path), f"GET {path}")

    def _sorted_states(self, rows: Sequence[Row]) -> States:
        """Done are the closed statuses, without those of given-up work, or the ones that are named."""
        names = {str(r.get("id")): str(r.get("name")) for r in rows}
        closed = {str(r.get("id")) for r in rows if r.get("isClosed") is True}
        dropped = {i for i in closed if names[i] in self.options.dropped_states or i in self.options.dropped_states}
        done = self._named("done_states", names) or closed - dropped
        return States(names, frozenset(done), frozenset(self._named("accepted_states", names)))

    def _named(self, key: str, names: Mapping[str, str]) -> set[str]:
        """The ids of configured statuses. Raises SourceConfig, with the closest, for what is not there."""
        wanted = getattr(self.options, key)
        found = {i for i, name in names.items() if name in wanted or i in wanted}
        absent = [w for w in wanted if w not in names and w not in names.values()]
        if absent:
            raise self._absent("state_absent", key, absent, list(names.values()))
        return found

    def _milestone_types(self, rows: Sequence[Row]) -> tuple[str, ...]:
        found = {
            str(r.get("id")) for r in rows if r.get("isMilestone") is True and "milestone" in self.options.milestones
        }
        names = {str(r.get("name")): str(r.get("id")) for r in rows}
        absent = [t for t in self.options.type_names if t not in names]
        if absent:
            raise self._absent("type_absent", "milestones", absent, list(names))
        found |= {names[t] for t in self.options.type_names}
        if not found and "version" not in self.options.milestones:
            raise self._absent("type_absent", "milestones", ["milestone"], list(names))
        return tuple(sorted(found))

    def _absent(self, code: str, key: str, absent: Sequence[str], known: list[str]) -> SourceConfig:
        near = [m for a in absent for m in difflib.get_close_matches(a, known, cutoff=0.3)] or known[:10]
        return SourceConfig(code, connection=self.name, key=key, absent=", ".join(absent), near=", ".join(near) or "-")

    # --- the lists of a project ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """Its work packages of milestone types, its own versions, as configured."""
        found = []
        self.after.kept[f"rules:{project.id}"] = self._rules(project)
        if self._types:
            found.append(self._work_packages(project))
        if "version" in self.options.milestones:
            found.append(self._version_list(project))
        return found

    def _version_list(self, project: Project) -> Listing:
        self.saw(project, "version")

        def observe(row: Row, _detail: object) -> Observation:
            self.saw(project, "version", row.get("id"))
            return mapping.version(self.name, row, project, self._url)

        return Listing(lambda _since: Walk(self._versions(project), PAGE, "id"), observe, "version")

    def _work_packages(self, project: Project) -> Listing:
        since = self._told_until(project)
        self.saw(project, "work_package")

        def observe(row: Row, past: Past | None) -> Observation | None:
            self.saw(project, "work_package", row.get("id"))
            if not _changed(row, since):
                return None
            return mapping.work_package(self.name, row, project, self._states, past or Past(), self._url)

        async def details(rows: Sequence[Row]) -> Mapping[str, Any]:
            fresh = [str(r.get("id")) for r in rows if _changed(r, since) and self._is_done(r)]
            return dict(zip(fresh, await together([self._past(i) for i in fresh]), strict=True))

        return Listing(
            start=lambda _since: Walk(self._fetch(project), PAGE, "id", self.options.concurrency),
            observe=observe,
            kind="work_package",
            details=details,
            unchanged=lambda: self._unchanged(project, since),
        )

    def _asked(self, project: Project) -> tuple[Row, ...]:
        return _is("project", (project.id,)), _is("type", self._types)

    def _fetch(self, project: Project) -> Callable[[int, int], Any]:
        """Pages of a project's milestones, whatever their status."""

        async def fetch(number: int, size: int) -> RawPage:
            page = await self._page(self._asked(project), number, size)
            if number == 0:
                self.after.kept[f"count:{project.id}"] = str(page.total)
            return page

        return fetch

    async def _page(self, asked: Sequence[Row], number: int, size: int) -> RawPage:
        """One page; without any filter OpenProject would show the open ones only."""
        where = "/api/v3/work_packages"
        params = {"filters": orjson.dumps(asked).decode(), "sortBy": '[["id","asc"]]', "offset": number + 1, "pageSize": size}  # fmt: skip
        body = await self.http.get(where, params)
        return RawPage(_rows(body, f"GET {where}"), total_of(body.get("total")))

    def _versions(self, project: Project) -> Callable[[int, int], Any]:
        """All versions in one answer; those that other projects share with this one are theirs to tell."""

        async def fetch(_number: int, _size: int) -> RawPage:
            rows = await self._elements(f"/api/v3/projects/{project.id}/versions")
            own = [r for r in rows if _owner(r) in (None, project.id)]
            return RawPage(own, None, more=False)

        return fetch

    # --- what changed ---

    def _rules(self, project: Project) -> str:
        """A sign for all that decides what a project's rows mean: where it changes, everything is told again."""
        states = [sorted(self._states.done), sorted(self._states.accepted), sorted(self._states.names.items())]
        told = [project.key, project.name, self.options.milestones, self._types, states]
        return blake2b(orjson.dumps(told), digest_size=8).hexdigest()

    def _told_until(self, project: Project) -> datetime | None:
        """What did not change since then was told before; None: tell everything."""
        before = self.before
        if not before.since or before.kept.get(f"rules:{project.id}") != self._rules(project):
            return None
        return datetime.fromtimestamp(before.since, UTC) - self.overlap

    async def _unchanged(self, project: Project, since: datetime | None) -> bool:
        """Is a long list as it was: nothing changed since, and as many as before?"""
        key = f"count:{project.id}"
        counted = self.before.kept.get(key, "")
        if since is None or not counted.isdigit() or int(counted) <= PAGE:
            return False
        moment = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        recent = {"updated_at": {"operator": "<>d", "values": [moment, ""]}}
        asked = self._asked(project)
        changed, whole = await together([self._page((*asked, recent), 0, 1), self._page(asked, 0, 1)])
        self.after.kept[key] = str(whole.total)
        return changed.total == 0 and str(whole.total) == counted

    def _is_done(self, row: Row) -> bool:
        try:
            return mapping.status_of(row, self._states) in self._states.done
        except BadRow:
            return False  # the row goes to quarantine: its past does not matter

    async def _past(self, identity: str) -> Past:
        """The activities of a work package, with the names of the people in them."""
        path = f"/api/v3/work_packages/{identity}/activities"
        activities = await self._elements(path)
        users = {u for a in activities if (u := mapping.user_of(a))}
        await together([self._learn(u) for u in sorted(users - self._people.keys())])
        return Past(activities, self._people)

    async def _learn(self, user: str) -> None:
        """The name of a user; one that the account may not see is called by number."""
        try:
            body = await self.http.get(f"/api/v3/users/{user}")
        except SourceRefused:
            body = None
        name = body.get("name") if isinstance(body, dict) else None
        self._people[user] = name if isinstance(name, str) and name else f"users/{user}"


def _is(name: str, values: Sequence[str]) -> Row:
    return {name: {"operator": "=", "values": list(values)}}


def _changed(row: Row, since: datetime | None) -> bool:
    """Did a row change since? One whose moment cannot be read counts as changed."""
    if since is None:
        return True
    try:
        moment = instant(row, "updatedAt")
    except BadRow:
        return True
    return moment is None or moment >= since


def _owner(version: Row) -> str | None:
    try:
        return mapping.link_id(version, "definingProject")
    except BadRow:
        return None


def _rows(body: object, where: str) -> list[Row]:
    inside = body.get("_embedded") if isinstance(body, dict) else None
    if not isinstance(inside, dict):
        raise BadPayload("no_list", where=where)
    return objects(inside.get("elements"), where)


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> OpenProject:
    """An OpenProject source from checked options."""
    values = OpenProjectOptions(**checked_options(name, CONNECTOR, options))
    for kind in values.milestones:
        one_of(
            name, "milestones", kind.partition(":")[0] + (":" if ":" in kind else ""), ("milestone", "version", "type:")
        )
    basic = b64encode(f"apikey:{values.api_key}".encode()).decode()
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    http = Http(
        values.base_url, ApiKey("Authorization", f"Basic {basic}"), clock=clock, sleep=sleep, policy=policy,
        transport=transport, secrets=(values.api_key, basic),
    )  # fmt: skip
    return OpenProject(name, values, http)


def _fake() -> object:
    from connectors.openproject.fake import OpenProjectFake

    return OpenProjectFake()


CONNECTOR = ConnectorInfo(
    system="openproject",
    title="OpenProject",
    options=(
        Option("base_url", required=True, help="the application's root, e.g. https://openproject.example.com"),
        Option(
            "api_key",
            required=True,
            secret=True,
            help="of an account that may view the projects' work packages (My account, Access tokens)",
        ),
        Option(
            "milestones",
            default=("milestone",),
            help='milestone (types marked as milestones), version, "type:NAME" (a type by its name)',
        ),
        Option("done_states", default=(), help="names or ids of statuses that mean done; none: the closed ones"),
        Option(
            "dropped_states",
            default=("Rejected", "已拒绝"),
            help="closed statuses that mean given up, not done (where done_states is empty)",
        ),
        Option("accepted_states", default=(), help="names or ids of statuses that mean the customer accepted"),
        Option("reconcile_days", default=7, help="every so many days tell everything again, not only what changed"),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=OPENPROJECT,
    commenter=lambda source: Comments(source.http),
)
