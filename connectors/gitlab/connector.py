"""GitLab as a source: milestones of projects and of groups (REST v4).

Each night the list of milestones is read whole, since a deleted one leaves no trace a filter could find. A
milestone's `updated_at` does not move with its issues, so one more question a group tells which issues changed. Only
what changed is told, and only for that the issues are counted and the project's events read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from connectors.errors import BadPayload, SourceRefused
from connectors.gitlab import mapping
from connectors.gitlab.changes import GROUP, Changes, path_of
from connectors.gitlab.comments import Comments
from connectors.gitlab.issues import PAGE, Issues
from connectors.gitlab.mapping import Detail, History
from connectors.http.budget import Sleep
from connectors.http.client import Answer, ApiKey, Http, Missing, Policy
from connectors.http.fields import BadRow, instant, text_or_none
from connectors.http.hooks import GITLAB
from connectors.http.paging import RawPage, Row, Walk, objects, settled, together, total_of
from connectors.http.probe import permitted
from connectors.http.source import Listing, Project, RestSource
from connectors.registry import ConnectorInfo, Option, checked_options, counting_rule
from models.domain.observations import Observation
from models.ports import Reachability

API = "/api/v4"
KINDS = ("project", "group")
RULES = ("confirm", "allow", "not_done")
COUNTED_MAX = 100  # `check` counts the milestones of no more projects than that
SCOPES = ("read_api", "api")


@dataclass(frozen=True, slots=True)
class GitLabOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    token: str
    milestones: tuple[str, ...] = KINDS
    progress: bool = True
    open_issues: str = "confirm"
    reconcile_days: int = 7
    per_minute: int = 600
    concurrency: int = 4
    timeout: float = 30.0


class GitLab(RestSource):
    """One GitLab, as one account sees it. A group stands beside the projects, with an id of `group:ID`."""

    def __init__(
        self,
        name: str,
        options: GitLabOptions,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.options = options
        policy = Policy(timeout=options.timeout, concurrency=options.concurrency, per_minute=options.per_minute or None)
        http = Http(
            options.base_url.rstrip("/").removesuffix(API) + API,
            ApiKey("PRIVATE-TOKEN", options.token),
            clock=clock,
            sleep=sleep,
            policy=policy,
            transport=transport,
            secrets=(options.token,),
        )
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.known: list[Project] = []  # all that the account sees, groups too
        self.changes = Changes(self.walk, (), ())

    # --- what is there ---

    async def account(self) -> str:
        """The user behind the token; a project's or group's token is a user of its own."""
        return text_or_none(await self._object("/user"), "username") or "?"

    async def projects(self) -> list[Project]:
        """The account's projects that have milestones at all, and its groups."""
        kinds = self.options.milestones
        own = await self._own_projects() if "project" in kinds else []
        groups = await self._groups() if "group" in kinds or self.options.progress else []
        self.known = own + groups
        return own + (groups if "group" in kinds else [])

    async def _wanted(self, wanted: Sequence[str]) -> list[Project]:
        read = await super()._wanted(wanted)
        self.changes = Changes(self.walk, self.known, read)
        return read

    async def _own_projects(self) -> list[Project]:
        rows = await self.all("/projects", {"membership": "true", "order_by": "id", "sort": "asc"})
        return [_project(r, "", "path_with_namespace", "name_with_namespace") for r in rows if _has_milestones(r)]

    async def _groups(self) -> list[Project]:
        rows = await self.all("/groups", {"order_by": "id", "sort": "asc"})
        return [_project(r, GROUP, "full_path", "full_name") for r in rows]

    async def _checked(self) -> Reachability:
        """The account, what it sees, and whether the token may read it."""
        account, missing = await self.account(), await self._missing()
        projects = await self.projects()
        counted = projects if len(projects) <= COUNTED_MAX else []
        counts = await together([self._count(p) for p in counted])
        milestones = None if None in counts or not counted else sum(c or 0 for c in counts)
        _, refused = await permitted(lambda: self._try_below(projects))
        missing += refused
        return Reachability(account, len(projects), milestones, self.http.rate_left, missing)

    async def _try_below(self, projects: Sequence[Project]) -> None:
        """May what stands below milestones be read? Asked of one project."""
        own = [p for p in projects if not p.id.startswith(GROUP)][:1]
        counted = self.options.progress and all(p.row.get("issues_enabled") is not False for p in own)
        for path in [path_of(p) for p in own]:
            for below in ("events", *(("issues",) if counted else ())):
                await self.http.ask("GET", f"{path}/{below}", params={"per_page": 1})

    async def _missing(self) -> tuple[str, ...]:
        """The scope that the token should have and has not; an older GitLab or an OAuth token does not say."""
        try:
            scopes = (await self._object("/personal_access_tokens/self")).get("scopes")
        except SourceRefused:
            return ()
        enough = not isinstance(scopes, list) or any(s in scopes for s in SCOPES)
        return () if enough else (SCOPES[0],)

    async def _count(self, project: Project) -> int | None:
        path = f"{path_of(project)}/milestones"
        try:
            answer = await self.http.ask("GET", path, params={"page": 1, "per_page": 1})
        except Missing:
            return 0
        return _page(answer, path).total

    async def _object(self, path: str) -> Row:
        body = await self.http.get(path)
        if not isinstance(body, dict):
            raise BadPayload("no_object", where=path)
        return body

    # --- lists ---

    def walk(self, path: str, params: Mapping[str, Any]) -> Walk:
        """One walk over a list; the headers say how many rows and pages there are."""

        async def fetch(number: int, size: int) -> RawPage:
            answer = await self.http.ask("GET", path, params={**params, "page": number + 1, "per_page": size})
            return _page(answer, path)

        return Walk(fetch, PAGE, "id", self.options.concurrency)

    async def all(self, path: str, params: Mapping[str, Any]) -> list[Row]:
        """A list of which no row may be missing. Raises BadPayload where it does not come to rest."""
        rows, whole = await settled(lambda: self.walk(path, params))
        if not whole:
            raise BadPayload("moving_list", where=path)
        return rows

    def listings(self, project: Project) -> Sequence[Listing]:
        """One list: a project's own milestones, or a group's."""
        reading = _Reading(self, project, self._last(project))
        return [
            Listing(
                lambda _: reading.walk(), reading.observed, mapping.KIND, details=reading.details, tells_all=False
            )
        ]  # fmt: skip

    def _last(self, project: Project) -> datetime | None:
        """From when on changes are news; None: everything is."""
        if not self.before.since or project.id not in self.before.projects:
            return None
        return datetime.fromtimestamp(self.before.since, UTC) - self.overlap


class _Reading:
    """One project or group in one pull: what changed in it, and what its milestones' rows do not say."""

    def __init__(self, source: GitLab, project: Project, since: datetime | None) -> None:
        self._source, self._project, self._since = source, project, since
        self._group = project.id.startswith(GROUP)
        path = f"{path_of(project)}/issues"
        self._issues = Issues(source.walk, path)
        self._counts = source.options.progress and project.row.get("issues_enabled") is not False
        self._moved: frozenset[str] | None = None  # milestones of changed issues; "": an issue has none (any more)
        self._asked = False
        self._histories: Mapping[str, History] | None = None

    def walk(self) -> Walk:
        """All milestones; those of a project that went away meanwhile cannot be read, and nothing is claimed."""
        path = f"{path_of(self._project)}/milestones"
        walk = self._source.walk(path, {})
        fetch = walk.fetch

        async def there(number: int, size: int) -> RawPage:
            try:
                return await fetch(number, size)
            except Missing:
                return RawPage([], None, more=True)  # cut short: not read whole

        walk.fetch = there
        return walk

    def observed(self, row: Row, detail: Detail | None) -> Observation | None:
        """The milestone; None where nothing changed since the last pull."""
        if detail is None:
            return None
        source = self._source
        seen = mapping.milestone(
            source.name, self._project, row, detail, source.options.open_issues, group=self._group
        )  # fmt: skip
        if seen.extra.get("open_issues"):
            source.after.kept[str(row["id"])] = "open"
        return seen

    async def details(self, rows: Sequence[Row]) -> Mapping[str, Detail]:
        """Histories and issues of the rows that are news; the others get none."""
        if not rows:
            return {}  # a project without milestones costs no more questions
        if not self._asked:
            self._asked, self._moved = True, await self._changed()
        fresh = {str(r.get("id")): r for r in rows if self._is_news(r)}
        self._remember({str(r.get("id")) for r in rows} - set(fresh))
        if fresh and self._histories is None:
            self._histories = await self._events()
        issues = await self._counted(fresh.values())
        found = self._histories or {}
        counting = self._source.options.progress
        return {
            key: Detail(found.get(key, ()), own, counting and own is None)
            for key, own in zip(fresh, issues, strict=True)
        }

    async def _counted(self, rows: Iterable[Row]) -> list[Sequence[Row] | None]:
        """The issues of each; None where nobody counts. Where all are news, a project's are read at once."""
        if not self._counts:
            return [None for _ in rows]
        if self._moved is None and not self._group:
            await self._issues.read_whole()
        return await together([self._issues.of(r) for r in rows])

    def _remember(self, untold: set[str]) -> None:
        """Of what is not told again: which milestones were closed with open issues."""
        source = self._source
        source.after.kept |= {i: source.before.kept[i] for i in untold if i in source.before.kept}

    def _is_news(self, row: Row) -> bool:
        """Did the milestone change, or may its issues have? An issue that left it does not say where it was."""
        if self._since is None or self._moved is None:
            return True
        try:
            updated = instant(row, "updated_at")
        except BadRow:
            return True
        if updated is None or updated >= self._since or str(row.get("id")) in self._moved:
            return True
        waits = row.get("state") == "active" or str(row.get("id")) in self._source.before.kept
        return waits and bool(self._moved)

    async def _changed(self) -> frozenset[str] | None:
        """The milestones whose issues changed since the last pull; None: too many, or all are news anyway."""
        if self._since is None:
            return None
        return await self._source.changes.of(self._project, self._since) if self._counts else frozenset()

    async def _events(self) -> Mapping[str, History]:
        """Closings and reopenings of the project's milestones; a group keeps none."""
        if self._group:
            return {}
        asked = {"target_type": "milestone", "sort": "desc"}
        rows, _ = await settled(lambda: self._source.walk(f"{path_of(self._project)}/events", asked))
        return mapping.histories(rows)


def _page(answer: Answer, path: str) -> RawPage:
    """Rows, and from the headers how many there are; above 10,000 rows GitLab does not count."""
    rows = objects(answer.body, path)
    following = answer.headers.get("x-next-page")
    return RawPage(rows, total_of(answer.headers.get("x-total")), None if following is None else bool(following))


def _project(row: Row, kind: str, path: str, title: str) -> Project:
    if not isinstance(row.get("id"), int):
        raise BadPayload("project_without_id", where="/groups" if kind else "/projects")
    key = text_or_none(row, path) or f"{kind}{row['id']}"
    return Project(f"{kind}{row['id']}", key, text_or_none(row, title) or key, row)


def _has_milestones(row: Row) -> bool:
    """Milestones belong to issues and merge requests: with both switched off the list is refused."""
    return row.get("issues_enabled") is not False or row.get("merge_requests_enabled") is not False


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> GitLab:
    """A GitLab source from checked options."""
    found = GitLabOptions(**checked_options(name, CONNECTOR, options))
    counting_rule(name, found.open_issues, counts=found.progress)
    return GitLab(name, found, clock, transport, sleep)


def _fake() -> object:
    from connectors.gitlab.fake import GitLabFake

    return GitLabFake()


CONNECTOR = ConnectorInfo(
    system="gitlab",
    title="GitLab",
    options=(
        Option("base_url", required=True, help="before /api/v4: https://gitlab.com, or your own host"),
        Option("token", required=True, secret=True, help="personal, group or project access token, scope read_api"),
        Option("milestones", default=KINDS, choices=KINDS, help="whose milestones: project, group"),
        Option("progress", default=True, help="count each milestone's issues (percentage, open ones)"),
        Option(
            "open_issues",
            default="confirm",
            choices=RULES,
            help="a milestone closed with open issues: confirm (by a person), allow (it is done), not_done",
        ),
        Option("reconcile_days", default=7, help="every so many days count everything anew, not only what changed"),
        Option("per_minute", default=600, help="our own limit of requests a minute (gitlab.com has 2000); 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=GITLAB,
    commenter=lambda source: Comments(source.http),
)
