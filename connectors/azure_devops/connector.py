"""Azure DevOps as a source (Services 7.1, and Server): work items of chosen types, iterations.

One query a night, over all projects, tells which work items changed; one for each project tells which there are,
so that a deleted one is noticed. Rows are read for what changed only, two hundred at once.
"""

from __future__ import annotations

import asyncio
import difflib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

import httpx
import orjson

from connectors.azure_devops import mapping
from connectors.azure_devops.boards import BATCH, PAGE, Boards, TooMany, judge, quoted
from connectors.azure_devops.comments import Comments
from connectors.azure_devops.mapping import Fields, States
from connectors.errors import BadPayload, SourceConfig, SourceRefused
from connectors.http import entra
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Credentials, Http, Missing, Policy
from connectors.http.hooks import AZURE_DEVOPS
from connectors.http.paging import RawPage, Row, Walk, settled, together
from connectors.http.source import Listing, Project
from connectors.http.sparing import SparingSource
from connectors.registry import ConnectorInfo, Option, checked_options, one_of
from models.domain.observations import Observation
from models.domain.trouble import Words
from models.ports import Reachability

DEPTH = 14  # levels of iterations; the vendor allows no more
RESOURCE = "499b84ac-1321-427f-aa17-267ca6975798"  # Azure DevOps itself, in Entra ID
PLANNED = "Microsoft.VSTS.Scheduling.TargetDate"
#: Reasons of closing that mean given up, from the vendor's own processes.
DROPPED = ("Abandoned", "Cut", "Duplicate", "Rejected", "Obsolete", "Deferred", "As Designed", "Cannot Reproduce",
           "Removed from the backlog")  # fmt: skip


@dataclass(frozen=True, slots=True)
class AzureDevOpsOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    token: str = ""
    tenant_id: str = ""
    client_id: str = ""
    client_secret: str = ""
    login_url: str = entra.LOGIN
    milestones: tuple[str, ...] = ("type:Epic",)
    done_states: tuple[str, ...] = ()
    accepted_states: tuple[str, ...] = ()
    dropped_reasons: tuple[str, ...] = DROPPED
    planned_field: str = PLANNED
    percent_field: str = ""
    api_version: str = "7.1"
    reconcile_days: int = 7
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0

    @property
    def types(self) -> tuple[str, ...]:
        """The types of work items, by name, that are milestones."""
        return tuple(m.partition(":")[2] for m in self.milestones if m.startswith("type:"))


class AzureDevOps(SparingSource):
    """One organization or collection, as one account sees it."""

    def __init__(self, name: str, options: AzureDevOpsOptions, http: Http, boards: Boards) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options, self.boards = options, boards
        self._url = options.base_url.rstrip("/")
        self._where = Fields(options.planned_field, options.percent_field)
        self._changed: frozenset[int] | None = None  # None: all, or too many to tell
        self._states: dict[str, Mapping[str, Mapping[str, str]]] = {}  # by project, type and state
        self._fields: tuple[str, ...] = ()
        self._once = asyncio.Lock()

    # --- what is there ---

    async def account(self) -> str:
        """The user behind the token."""
        return await self.boards.account()

    async def prepare(self) -> None:
        """Which work items changed since the last pull, in all projects at once."""
        self._changed, self._states, self._fields = None, {}, ()
        if self.before.since and self.options.types:
            since = datetime.fromtimestamp(self.before.since, UTC) - self.overlap
            moment = quoted(since.strftime("%Y-%m-%dT%H:%M:%SZ"))
            try:
                self._changed = frozenset(
                    await self.boards.ids(f"{self._typed()} AND [System.ChangedDate] >= {moment}")
                )
            except TooMany:
                self._changed = None

    def _typed(self) -> str:
        return f"[System.WorkItemType] IN ({', '.join(quoted(t) for t in self.options.types)})"

    async def projects(self) -> list[Project]:
        """All projects the account sees."""

        async def fetch(number: int, size: int) -> RawPage:
            rows = await self.boards.projects(number, size)
            return RawPage(rows, None, more=len(rows) >= size)

        rows, _ = await settled(lambda: Walk(fetch, PAGE, "id"))
        if any("id" not in r or "name" not in r for r in rows):
            raise BadPayload("project_without_id", where="/_apis/projects")
        return [Project(str(r["id"]), str(r["name"]), str(r["name"]), r) for r in rows]

    async def _checked(self) -> Reachability:
        """The account, what it sees, and the scope that the token lacks."""
        account, projects = await self.account(), await self.projects()
        try:
            await self._know_types(projects)
            count = len(await self.boards.ids(self._typed())) if self.options.types else None
        except TooMany:
            count = None
        except SourceRefused as problem:
            if problem.trouble.code not in ("no_permission", "not_authorised"):
                raise
            return Reachability(account, len(projects), missing=("Work Items (Read)",))
        return Reachability(account, len(projects), count, self.http.rate_left)

    async def _wanted(self, wanted: Sequence[str]) -> list[Project]:
        """Where everything is read, the types of all projects are looked at first."""
        found = await super()._wanted(wanted)
        if not self.before.since:
            await self._know_types(found)
        return found

    async def _know_types(self, projects: Sequence[Project]) -> None:
        """The states of each type. Raises SourceConfig for a type or state that no project has."""
        await together([self._know(p) for p in projects])
        if not projects or not self.options.types:
            return
        kinds = {kind for states in self._states.values() for kind in states}
        absent = [t for t in self.options.types if t not in kinds]
        if absent:
            raise self._absent("type_absent", "milestones", absent, await self.boards.types(projects[0].id))
        names = {s for states in self._states.values() for known in states.values() for s in known}
        for key in ("done_states", "accepted_states"):
            missing = [s for s in getattr(self.options, key) if s not in names]
            if missing:
                raise self._absent("state_absent", key, missing, sorted(names))

    async def _know(self, project: Project) -> States:
        """What the states of a project's types mean; asked for once."""
        if project.id not in self._states:
            found = await together([self._categories(project, kind) for kind in self.options.types])
            self._states[project.id] = {k: c for k, c in zip(self.options.types, found, strict=True) if c}
        o = self.options
        named = [frozenset(v) for v in (o.done_states, o.accepted_states, o.dropped_reasons)]
        return States(self._states[project.id], *named)

    async def _categories(self, project: Project, kind: str) -> Mapping[str, str]:
        try:
            rows = await self.boards.states(project.id, kind)
        except Missing:
            return {}
        return {str(r.get("name")): str(r.get("category")) for r in rows}

    async def _known_fields(self) -> tuple[str, ...]:
        """The fields to ask for: one that the process lacks would spoil the whole question."""
        async with self._once:
            if not self._fields:
                there = await self.boards.fields()
                named = [f for f in (self.options.planned_field, self.options.percent_field) if f]
                absent = [f for f in named if f not in there and f != PLANNED]
                if absent:
                    raise self._absent("field_absent", "planned_field, percent_field", absent, sorted(there))
                self._fields = tuple(f for f in (*mapping.FIELDS, *named) if f in there)
        return self._fields

    def _absent(self, code: str, key: str, absent: Sequence[str], known: Sequence[str]) -> SourceConfig:
        near = [m for a in absent for m in difflib.get_close_matches(a, known, cutoff=0.3)] or known[:10]
        return SourceConfig(code, connection=self.name, key=key, absent=", ".join(absent), near=", ".join(near) or "-")

    # --- the lists of a project ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """Its work items of the types that count, and its iterations, as configured."""
        self.after.kept[f"rules:{project.id}"] = self._marks(project)
        found = []
        if self.options.types:
            found.append(self._work_items(project))
        if "iteration" in self.options.milestones:
            found.append(self._iterations(project))
        return found

    def _work_items(self, project: Project) -> Listing:
        reading = _Reading(self, project, self._changed if self._told_before(project) else None)
        self.saw(project, mapping.KIND)
        return Listing(
            lambda _since: Walk(reading.begun().fetch, BATCH, "id", self.options.concurrency),
            reading.observed,
            mapping.KIND,
            details=reading.details,
        )

    def work_item(self, project: Project, row: Row, states: States, updates: Sequence[Row]) -> Observation:
        """A work item's row as an observation."""
        return mapping.work_item(self.name, row, project, states, updates, self._where, self._url)

    async def know(self, project: Project) -> tuple[States, tuple[str, ...]]:
        """What is needed before a project's rows are read: what its states mean, which fields there are."""
        return await self._know(project), await self._known_fields()

    async def ids(self, project: Project) -> list[int]:
        """All milestones that a project has."""
        return await self.boards.ids(f"[System.TeamProject] = @project AND {self._typed()}", project.id)

    def _iterations(self, project: Project) -> Listing:
        self.saw(project, mapping.ITERATION)
        now = datetime.fromtimestamp(self.after.since, UTC)

        async def fetch(_number: int, _size: int) -> RawPage:
            roots = [r for r in await self.boards.roots(project.id, DEPTH) if r.get("structureType") == "iteration"]
            return RawPage(list(mapping.leaves(roots)), None, more=False)

        def observe(row: Row, _detail: object) -> Observation:
            self.saw(project, mapping.ITERATION, row.get("identifier"))
            return mapping.iteration(self.name, row, project, now, self._url)

        return Listing(lambda _since: Walk(fetch, PAGE, "identifier"), observe, mapping.ITERATION, key="identifier")

    # --- what changed ---

    def _marks(self, project: Project) -> str:
        """A sign for what decides what a project's rows mean: where it changes, everything is told again."""
        o = self.options
        told = [project.name, o.milestones, o.done_states, o.accepted_states, o.dropped_reasons, o.planned_field, o.percent_field]  # fmt: skip
        return blake2b(orjson.dumps(told), digest_size=8).hexdigest()

    def _told_before(self, project: Project) -> bool:
        return bool(self.before.since) and self.before.kept.get(f"rules:{project.id}") == self._marks(project)


class _Reading:
    """The work items of one project in one pull: all ids, the rows of those that changed."""

    def __init__(self, source: AzureDevOps, project: Project, changed: frozenset[int] | None) -> None:
        self._source, self._project, self._changed = source, project, changed
        self._ids: list[int] = []
        self._states = States({})

    def begun(self) -> _Reading:
        """Ready for a walk."""
        self._ids = []
        return self

    async def fetch(self, number: int, size: int) -> RawPage:
        """A batch of rows; the first asks which there are. One that moved away meanwhile is told by its new project."""
        source, project = self._source, self._project
        if number == 0:
            there = await source.ids(project)
            for identity in there:
                source.saw(project, mapping.KIND, identity)
            self._ids = [i for i in there if self._changed is None or i in self._changed]
        wanted = self._ids[number * size : (number + 1) * size]
        if not wanted:
            return RawPage([], len(self._ids))
        self._states, fields = await source.know(project)
        rows = await source.boards.items(project.id, wanted, fields)
        return RawPage([r for r in rows if _at_home(r, project)], len(self._ids))

    def observed(self, row: Row, updates: Sequence[Row] | None) -> Observation:
        """The milestone."""
        return self._source.work_item(self._project, row, self._states, updates or ())

    async def details(self, rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
        """The histories of those that are done and do not say since when."""
        asked = [str(r.get("id")) for r in rows if mapping.needs_history(r, self._states)]
        found = await together([self._source.boards.updates(self._project.id, i) for i in asked])
        return dict(zip(asked, found, strict=True))


def _at_home(row: Row, project: Project) -> bool:
    fields = row.get("fields")
    home = fields.get(mapping.TEAM_PROJECT) if isinstance(fields, dict) else None
    return home is None or home == project.name


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> AzureDevOps:
    """An Azure DevOps source from checked options."""
    found = AzureDevOpsOptions(**checked_options(name, CONNECTOR, options))
    for kind in found.milestones:
        one_of(name, "milestones", kind.partition(":")[0] + (":" if ":" in kind else ""), ("type:", "iteration"))
    credentials, secrets = _credentials(name, found, clock)
    policy = Policy(timeout=found.timeout, concurrency=found.concurrency, per_minute=found.per_minute or None)
    http = Http(
        found.base_url, credentials, clock=clock, sleep=sleep, policy=policy, judge=judge, transport=transport,
        secrets=secrets,
    )  # fmt: skip
    return AzureDevOps(name, found, http, Boards(http, found.api_version, clock, sleep))


def _credentials(
    name: str, options: AzureDevOpsOptions, clock: Callable[[], datetime]
) -> tuple[Credentials, tuple[str, ...]]:
    """An application of Entra ID where its tenant is named, else a personal access token; and what is secret of them."""
    o = options
    needed = ("tenant_id", "client_id", "client_secret") if o.tenant_id else ("token",)
    absent = [key for key in needed if not getattr(o, key)]
    if absent:
        help_ = next(known.help for known in CONNECTOR.options if known.name == absent[0])
        meaning = Words(f"connector_option.azure_devops.{absent[0]}", help_)
        raise SourceConfig("key_missing", connection=name, keys=", ".join(absent), key=absent[0], help=meaning)
    if o.tenant_id:
        return entra.application(o.login_url, o.tenant_id, o.client_id, o.client_secret, RESOURCE, clock), (
            o.client_secret,
        )
    basic = b64encode(f":{o.token}".encode()).decode()  # any user, the token as password
    return ApiKey("Authorization", f"Basic {basic}"), (o.token, basic)


def _fake() -> object:
    from connectors.azure_devops.fake import AzureDevOpsFake

    return AzureDevOpsFake()


CONNECTOR = ConnectorInfo(
    system="azure_devops",
    title="Azure DevOps",
    options=(
        Option(
            "base_url", required=True,
            help="with the organization: https://dev.azure.com/ORG; Server: with the collection, https://HOST/tfs/COLLECTION",
        ),
        Option("token", default="", secret=True, help="personal access token, scope Work Items (Read); or an application of Entra ID:"),
        Option("tenant_id", default="", help="id of the directory in Entra ID (Services only)"),
        Option("client_id", default="", help="id of the application, a user of the organization with the licence Stakeholder or more"),
        Option("client_secret", default="", secret=True, help="of the application"),
        Option("login_url", default=entra.LOGIN, help="where tokens of Entra ID come from"),
        Option("milestones", default=("type:Epic",), help='"type:NAME" (work items of a type), iteration'),
        Option("done_states", default=(), help="names of states that mean done; none: those of the category Completed"),
        Option("accepted_states", default=(), help="names of states that mean the customer accepted"),
        Option("dropped_reasons", default=DROPPED, help="reasons of closing that mean given up: such a work item is not done"),
        Option("planned_field", default=PLANNED, help="the field with the planned date, by its reference name"),
        Option("percent_field", default="", help="the field with a number from 0 to 100; none: no percentage"),
        Option("api_version", default="7.1", help="Server 2022: 7.0 (from update 1 on 7.1); Server 2020: 6.0"),
        Option("reconcile_days", default=7, help="every so many days tell everything again, not only what changed"),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=AZURE_DEVOPS,
    commenter=lambda source: Comments(source.http),
)  # fmt: skip
