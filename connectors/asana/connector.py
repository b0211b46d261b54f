"""Asana as a source (REST 1.0): the tasks of each project that count as milestones.

A filter tells what was modified, never what was deleted, and the stream of events is at most once and forgets after a
day. So a project of one page is read whole each night, in one request; of a larger one two small questions (what was
modified, how many tasks there are) tell whether it is as it was, and it is read whole only where it is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any

import httpx
import orjson

from connectors.asana import mapping
from connectors.asana.comments import Comments
from connectors.errors import BadPayload, SourceRefused
from connectors.http.agreement import Agreed, Agreements, Fetch
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Policy
from connectors.http.fields import text_or_none
from connectors.http.hooks import ASANA
from connectors.http.named import Named, Place
from connectors.http.paging import Chain, Row, objects, settled, together, total_of
from connectors.http.source import Listing, Project, RestSource
from connectors.registry import ConnectorInfo, Option, checked_options, one_of
from models.domain.observations import Observation
from models.ports import Reachability

PAGE = 100  # the most that Asana gives
COUNTED_MAX = 20  # `check` counts the milestones of no more projects than that: counting is costly there
KINDS = ("milestone", "approval", "section:", "type:")
DROPPED = ("Cancelled", "Canceled", "Won't do", "Rejected", "已取消", "已拒绝")


@dataclass(frozen=True, slots=True)
class AsanaOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    token: str
    base_url: str = "https://app.asana.com/api/1.0"
    workspaces: tuple[str, ...] = ()
    milestones: tuple[str, ...] = ("milestone",)
    dropped_states: tuple[str, ...] = DROPPED
    reconcile_days: int = 7
    per_minute: int = 140
    concurrency: int = 4
    timeout: float = 30.0

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections whose tasks are milestones."""
        return tuple(m.partition(":")[2] for m in self.milestones if m.startswith("section:"))


class Asana(RestSource):
    """The workspaces that one account sees. Projects have no key there: people know them by name."""

    def __init__(self, name: str, options: AsanaOptions, http: Http) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options = options
        self.named = Named(name, "milestones", options.sections)
        self._archived = False  # are archived projects read? only where projects are named
        self._agreements = Agreements()

    # --- what is there ---

    async def account(self) -> str:
        """Whose token it is."""
        who = await self._object("/users/me", {"opt_fields": "name,email"})
        return text_or_none(who, "name") or text_or_none(who, "email") or "?"

    async def projects(self) -> list[Project]:
        """All projects of the workspaces that are not archived; with them, where the configuration names projects."""
        spaces = await self._all("/workspaces", {"opt_fields": "name"})
        chosen = [s for s in spaces if self._chosen(s)]
        asked = [{"workspace": str(s["gid"]), "opt_fields": "name,archived"} for s in chosen]
        found = await together([self._all("/projects", a) for a in asked])
        rows = [r for rows in found for r in rows if self._archived or r.get("archived") is not True]
        return [Project(str(r["gid"]), text_or_none(r, "name") or str(r["gid"]), text_or_none(r, "name") or "", r) for r in rows]  # fmt: skip

    def _chosen(self, space: Row) -> bool:
        wanted = self.options.workspaces
        return not wanted or str(space.get("gid")) in wanted or space.get("name") in wanted

    async def _wanted(self, wanted: Sequence[str]) -> list[Project]:
        self._archived = bool(wanted)
        return await super()._wanted(wanted)

    async def places(self, projects: Sequence[Project]) -> Sequence[Place]:
        """The sections of each project, empty ones too."""
        paths = [f"/projects/{p.id}/sections" for p in projects]
        found = await together([self._all(path, {"opt_fields": "name"}) for path in paths])
        return [
            Place(p.id, p.name, frozenset(str(s.get("name")) for s in own))
            for p, own in zip(projects, found, strict=True)
        ]

    async def _checked(self) -> Reachability:
        """The account, what it sees, and whether the token may read tasks."""
        account, projects = await self.account(), await self.projects()
        await self.look_for_names(projects)
        counted = projects if len(projects) <= COUNTED_MAX and self.options.milestones == ("milestone",) else []
        try:
            if projects:
                await self._page("/tasks", {"project": projects[0].id, "opt_fields": "name"}, None, size=1)
            counts = await together([self._count(p, "num_milestones") for p in counted])
        except SourceRefused as problem:
            if problem.trouble.code != "no_permission":
                raise
            return Reachability(account, len(projects), None, self.http.rate_left, ("tasks:read",))
        milestones = None if None in counts or not counted else sum(c or 0 for c in counts)
        return Reachability(account, len(projects), milestones, self.http.rate_left)

    async def _object(self, path: str, params: Mapping[str, Any]) -> Row:
        body = await self.http.get(path, params)
        found = body.get("data") if isinstance(body, dict) else None
        if not isinstance(found, dict):
            raise BadPayload("no_object", where=f"GET {path}")
        return found

    # --- lists ---

    async def _page(
        self, path: str, params: Mapping[str, Any], token: str | None, *, size: int = PAGE
    ) -> tuple[list[Row], str | None]:
        """One page, and the token of the next."""
        body = await self.http.get(path, {**params, "limit": size, **({"offset": token} if token else {})})
        if not isinstance(body, dict):
            raise BadPayload("no_object", where=f"GET {path}")
        following = body.get("next_page")
        offset = following.get("offset") if isinstance(following, dict) else None
        return objects(body.get("data"), f"GET {path}"), str(offset) if offset else None

    async def _all(self, path: str, params: Mapping[str, Any]) -> list[Row]:
        """All rows of a list. Raises BadPayload where one has no id."""
        rows, _ = await settled(lambda: Chain(partial(self._page, path, params), "gid"))
        if any(not isinstance(r.get("gid"), str) for r in rows):
            raise BadPayload("project_without_id", where=f"GET {path}")
        return rows

    async def _count(self, project: Project, field: str) -> int | None:
        """How many tasks or milestones a project has; None where Asana does not say."""
        try:
            row = await self._object(f"/projects/{project.id}/task_counts", {"opt_fields": field})
        except SourceRefused:
            return None  # a help, no proof: the lists tell what is refused
        return total_of(row.get(field))

    # --- the tasks of a project ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """All its tasks: no filter of the lists knows subtypes."""
        wanted, dropped = self.options.milestones, self.options.dropped_states

        def observe(row: Row, _: object) -> Observation | None:
            return mapping.task(self.name, row, project, dropped) if mapping.counts(row, project, wanted) else None

        start = partial(self._walk, project)
        return [Listing(start, observe, mapping.KIND, unchanged=lambda: self._unchanged(project))]

    def _walk(self, project: Project, _since: datetime | None) -> Chain:
        """All tasks of a project, each under the id that it has in this project."""

        async def fetch(token: str | None) -> tuple[list[Row], str | None]:
            rows, following = await self._page("/tasks", {"project": project.id, "opt_fields": mapping.FIELDS}, token)
            return [{**r, "id": mapping.identity(r, project)} for r in rows], following

        counted = _Counted(fetch, partial(self._count, project, "num_tasks"), partial(self._remember, project))
        counted.inner = self._agreements.chain(project.id, counted.page, "id", self.before.kept, self.after.kept)
        return counted

    # --- was it as it was? ---

    def _key(self, project: Project) -> str:
        """Where a project's number of tasks is kept; another place where the rules changed: all is told again then."""
        rules = [project.name, project.row.get("archived"), self.options.milestones, self.options.dropped_states]
        return f"count:{project.id}:{blake2b(orjson.dumps(rules), digest_size=8).hexdigest()}"

    def _remember(self, project: Project, count: int) -> None:
        self.after.kept[self._key(project)] = str(count)

    async def _unchanged(self, project: Project) -> bool:
        """Is a long list as it was: nothing modified since, and as many tasks as before?"""
        counted = self.before.kept.get(self._key(project), "")
        if not self.before.since or not counted.isdigit():
            return False
        since = datetime.fromtimestamp(self.before.since, UTC) - self.overlap
        asked = {"project": project.id, "modified_since": since.strftime("%Y-%m-%dT%H:%M:%SZ"), "opt_fields": "name"}
        rows, _ = await self._page("/tasks", asked, None, size=1)
        same = not rows and str(await self._count(project, "num_tasks")) == counted
        if same:
            self.after.kept |= {k: v for k, v in self.before.kept.items() if k in (self._key(project), project.id)}
        return same


class _Counted(Chain):
    """A walk of several pages that is believed where the number of tasks was the same before and after, and is the
    number that came; else as `Agreed` believes: where it saw what the walk before saw.

    That there are several pages is known by the first, which is read again after the counting: a task that is
    deleted between the two would let another slip from the page to come to the page that was read.
    """

    inner: Agreed

    def __init__(self, fetch: Fetch, count: Callable[[], Awaitable[int | None]], told: Callable[[int], None]) -> None:
        super().__init__(fetch, "id")
        self._count, self._told = count, told
        self._before: int | None = None
        self._same = False

    @property
    def complete(self) -> bool:
        """Was nothing missed?"""
        return self.inner.complete or (self._same and self.inner.ended)

    async def page(self, token: str | None) -> tuple[list[Row], str | None]:
        """One page; the first of several after the counting."""
        rows, following = await self.fetch(token)
        if token is None and following:
            self._before = await self._count()
            return await self.fetch(None)
        return rows, following

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows of each page."""
        async for rows in self.inner.pages():
            yield rows
        before = self._before
        if before is not None and before == await self._count():
            self._same = before == self.inner.rows == len(self.inner.seen)
            if self.complete:
                self._told(before)


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Asana:
    """An Asana source from checked options."""
    values = AsanaOptions(**checked_options(name, CONNECTOR, options))
    for kind in values.milestones:
        one_of(name, "milestones", kind.partition(":")[0] + (":" if ":" in kind else ""), KINDS)
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    http = Http(
        values.base_url, ApiKey("Authorization", f"Bearer {values.token}"), clock=clock, sleep=sleep, policy=policy,
        transport=transport, secrets=(values.token,),
    )  # fmt: skip
    return Asana(name, values, http)


def _fake() -> object:
    from connectors.asana.fake import AsanaFake

    return AsanaFake()


CONNECTOR = ConnectorInfo(
    system="asana",
    title="Asana",
    options=(
        Option(
            "token",
            required=True,
            secret=True,
            help="personal access token of an account that may view the projects, or of an application with "
            "users:read, workspaces:read, projects:read, tasks:read",
        ),
        Option("base_url", default="https://app.asana.com/api/1.0", help="root of the interface"),
        Option("workspaces", default=(), help="names or ids of the workspaces that are read; none: all"),
        Option(
            "milestones",
            default=("milestone",),
            help='milestone, approval (only an approved one is done), "section:NAME" (the tasks of a section), '
            '"type:NAME" (of a custom type)',
        ),
        Option("dropped_states", default=DROPPED, help="statuses of custom types that mean given up, not done"),
        Option("reconcile_days", default=7, help="every so many days read everything, not only what changed"),
        Option("per_minute", default=140, help="our own limit of requests a minute (150 free, 1,500 paid); 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=ASANA,
    commenter=lambda source: Comments(source.http),
)
