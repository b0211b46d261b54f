"""Jira as a source: versions of projects, and issues of chosen types.

Each project's milestones are read whole, a hundred or more in one request: only so a deleted one is noticed.
Changelogs are asked for those that changed since the last pull, in bulk. Where a project has more milestones than
a page, two small questions (which ids there are, which changed) spare the reading of a list that is as it was.
"""

from __future__ import annotations

import asyncio
import difflib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, ClassVar

import httpx
import orjson

from connectors.errors import BadPayload, SourceConfig, SourceRefused
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Missing, Policy, checked_base
from connectors.http.fields import BadRow, instant, text_or_none
from connectors.http.hooks import JIRA
from connectors.http.named import Named, Place
from connectors.http.paging import Row, objects, together
from connectors.http.source import Listing, Project
from connectors.http.sparing import SparingSource
from connectors.jira import mapping
from connectors.jira.comments import Comments
from connectors.jira.editions import Cloud, DataCenter, Edition, is_cloud
from connectors.jira.mapping import Counts, Rules, States
from connectors.registry import ConnectorInfo, Option, checked_options, counting_rule, one_of
from models.domain.observations import Observation, Page
from models.ports import Reachability

EDITIONS = ("auto", "cloud", "data_center")
OPEN_ISSUES = ("confirm", "allow", "not_done")
RELEASE_DATES = ("planned", "done")
COUNTED_MAX = 100  # `check` counts the versions of no more projects than that
#: Given up, in the words of Jira's own templates, English and Chinese.
DROPPED = ("Won't Do", "Won't Fix", "Duplicate", "Declined", "Cannot Reproduce", "Incomplete", "Known Error",
           "不做", "不会修复", "重复", "已拒绝", "无法重现", "不完整")  # fmt: skip


@dataclass(frozen=True, slots=True)
class JiraOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    token: str
    email: str = ""
    deployment: str = "auto"
    milestones: tuple[str, ...] = ("version",)
    open_issues: str = "confirm"
    release_date: str = "planned"
    progress: bool = True
    done_states: tuple[str, ...] = ()
    dropped_states: tuple[str, ...] = ()
    dropped_resolutions: tuple[str, ...] = DROPPED
    accepted_states: tuple[str, ...] = ()
    planned_field: str = "duedate"
    percent_field: str = ""
    reconcile_days: int = 7
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0

    @property
    def types(self) -> tuple[str, ...]:
        """The issue types, by name, whose issues are milestones."""
        return tuple(m.partition(":")[2] for m in self.milestones if m.startswith("type:"))

    @property
    def cloud(self) -> bool:
        """Is it Jira Cloud?"""
        return is_cloud(self.base_url) if self.deployment == "auto" else self.deployment == "cloud"

    @property
    def credentials(self) -> str:
        """The header: e-mail and token (Cloud), else the token alone (a personal access token, OAuth)."""
        if not self.email:
            return f"Bearer {self.token}"
        return f"Basic {b64encode(f'{self.email}:{self.token}'.encode()).decode()}"


class Jira(SparingSource):
    """One Jira, as one account sees it."""

    overlap: ClassVar[timedelta] = timedelta(hours=1)  # Cloud's search may be late with what changed

    def __init__(self, name: str, options: JiraOptions, http: Http) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options = options
        self.named = Named(name, "milestones", options.types)
        self.edition: Edition = (Cloud if options.cloud else DataCenter)(http, options.concurrency)
        released_then = options.release_date == "done"
        self._rules = Rules(
            options.planned_field, options.percent_field, options.open_issues, released_then, options.progress
        )
        self._states = States({}, frozenset())
        self._site = options.base_url.rstrip("/")

    # --- what is there ---

    async def account(self) -> str:
        """Whose token it is. Without this question a bad token looks like a Jira without issues: reading may be anonymous."""
        who = await self.edition.object("/myself")
        return text_or_none(who, "displayName") or text_or_none(who, "name") or text_or_none(who, "accountId") or "?"

    async def prepare(self) -> None:
        """The statuses. Raises SourceConfig for names that this Jira does not have."""
        if httpx.URL(self._site).host == "api.atlassian.com":  # no page for a reader is there
            info = await self.edition.object("/serverInfo")
            self._site = (text_or_none(info, "baseUrl") or self._site).rstrip("/")
        if self.options.types:
            path = f"{self.edition.api}/status"
            self._states = self._sorted_states(objects(await self.http.get(path), path))

    async def projects(self) -> list[Project]:
        """All projects the account may browse. Raises SourceConfig for an issue type that none of them has."""
        rows = await self.edition.projects(types=bool(self.options.types))
        found = [
            Project(str(r["id"]), text_or_none(r, "key") or str(r["id"]), text_or_none(r, "name") or "", r)
            for r in rows
        ]
        known = {str(t.get("name")) for r in rows for t in _types(r)}
        absent = [t for t in self.options.types if t not in known]
        if absent and found:
            raise self._absent("type_absent", "milestones", absent, sorted(known))
        return found

    async def places(self, projects: Sequence[Project]) -> Sequence[Place]:
        """The issue types of each project: a team-managed one of Cloud has its own."""
        return [Place(p.id, p.key, frozenset(str(t.get("name")) for t in _types(p.row))) for p in projects]

    async def _checked(self) -> Reachability:
        """The account, what it sees, and the permission that is missing where projects or issues are not shown."""
        account = await self.account()
        await self.prepare()
        projects = await self.projects()
        try:
            count = await self._counted(projects)
        except Missing:
            count = None
        except SourceRefused as problem:
            if problem.trouble.code != "no_permission":
                raise
            return Reachability(account, len(projects), missing=("Browse projects",))
        missing = () if projects else ("Browse projects",)
        return Reachability(account, len(projects), count, self.http.rate_left, missing)

    async def _counted(self, projects: Sequence[Project]) -> int | None:
        """How many milestones there are, where that can be had cheaply."""
        found: list[int | None] = []
        typed = sorted({t for p in projects for t in self._type_ids(p)})
        if typed:
            wanted = f"issuetype in ({', '.join(typed)})"
            found.append(await self.edition.count(wanted))
            await self.edition.tried(f"project = {projects[0].id} AND {wanted}")
        if "version" in self.options.milestones and len(projects) <= COUNTED_MAX:
            found += await together([self._versions_of(p) for p in projects])
        elif "version" in self.options.milestones:
            return None
        return None if None in found else sum(n or 0 for n in found)

    async def _versions_of(self, project: Project) -> int:
        page = await self.edition.versions(project.id).fetch(0, 1)
        return len(page.rows) if page.total is None else page.total

    def _sorted_states(self, rows: Sequence[Row]) -> States:
        """Done are the statuses of the category `done`, without those of given-up work, or the ones that are named."""
        names = {str(r.get("id")): str(r.get("name")) for r in rows}
        closed = {str(r.get("id")) for r in rows if _category(r) == "done"}
        accepted = self._named("accepted_states", names)
        done = self._named("done_states", names) or closed - self._named("dropped_states", names)
        return States(
            names, frozenset(done | accepted), frozenset(accepted), frozenset(self.options.dropped_resolutions)
        )

    def _named(self, key: str, names: Mapping[str, str]) -> set[str]:
        """The ids of configured statuses. Raises SourceConfig, with the closest, for what is not there."""
        wanted = getattr(self.options, key)
        absent = [w for w in wanted if w not in names and w not in names.values()]
        if absent:
            raise self._absent("state_absent", key, absent, sorted(set(names.values())))
        return {i for i, name in names.items() if name in wanted or i in wanted}

    def _absent(self, code: str, key: str, absent: Sequence[str], known: Sequence[str]) -> SourceConfig:
        near = [m for a in absent for m in difflib.get_close_matches(a, known, cutoff=0.3)] or known[:10]
        return SourceConfig(code, connection=self.name, key=key, absent=", ".join(absent), near=", ".join(near) or "-")

    def _type_ids(self, project: Project) -> list[str]:
        return sorted({str(t.get("id")) for t in _types(project.row) if t.get("name") in self.options.types})

    # --- the lists of a project ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """Its issues of the types that count, and its versions, as configured."""
        self.after.kept[f"rules:{project.id}"] = self._marks(project)
        found = []
        if self.options.types:
            self.saw(project, "issue")
            types = self._type_ids(project)  # a project without these types costs no question
            found += [self._issues(project, f"project = {project.id} AND issuetype in ({', '.join(types)})")] if types else []  # fmt: skip
        if "version" in self.options.milestones:
            self.saw(project, "version")
            found.append(self._versions(project))
        return found

    def _issues(self, project: Project, jql: str) -> Listing:
        since = self._told_until(project)
        changed: set[str] = set()

        def observe(row: Row, log: Sequence[Row] | None) -> Observation | None:
            self.saw(project, "issue", row.get("id"))
            if log is None and str(row.get("id")) not in changed:
                return None
            return mapping.issue(self.name, row, project, self._states, log or (), self._rules, self._site)

        async def details(rows: Sequence[Row]) -> Mapping[str, Any]:
            fresh = [r for r in rows if _changed(r, since)]
            changed.update(str(r.get("id")) for r in fresh)
            return await self.edition.changelogs(fresh) if fresh else {}

        return Listing(
            start=lambda _since: self.edition.issues(f"{jql} ORDER BY key ASC", self._rules.fields, logs=since is None),
            observe=observe,
            kind="issue",
            details=details,
            unchanged=lambda: self._unchanged(project, jql, since),
        )

    async def _project(self, project: Project) -> AsyncIterator[Page]:
        """As the base reads it; of a list of more than a page it is kept which ids it had."""
        async for page in super()._project(project):
            yield page
        key, ids = f"ids:{project.id}", {a for a in self._alive[project.id] if a.startswith("issue:")}
        if len(ids) > self.edition.page:
            self.after.kept.setdefault(key, _sign(sorted(ids)))

    async def _unchanged(self, project: Project, jql: str, since: datetime | None) -> bool:
        """Is a list of more than a page as it was: the same ids as before, and none that changed since?"""
        key = f"ids:{project.id}"
        before = self.before.kept.get(key)
        if since is None or before is None:
            return False  # a list of one page is as cheap to read as to ask about
        ids, changed = await together([self.edition.ids(jql), self.edition.ids(f"{jql} AND {self._recent(since)}")])
        if changed or _sign(sorted({"issue:", *(f"issue:{i}" for i in ids)})) != before:
            return False
        self.after.kept[key] = before
        return True

    def _recent(self, since: datetime) -> str:
        """In minutes from now: a moment in JQL would be one in the time zone of the account."""
        return f"updated >= -{int((self.after.since - since.timestamp()) // 60) + 1}m"

    def _versions(self, project: Project) -> Listing:
        reading = _Versions(self, project, self._told_until(project))
        return Listing(
            start=lambda _since: self.edition.versions(project.id),
            observe=reading.observed,
            kind="version",
            details=reading.details,
        )

    def version(self, project: Project, row: Row, counts: Counts | None) -> Observation:
        """A version's row as an observation."""
        return mapping.version(self.name, row, project, counts, self._rules, self._site)

    async def changed_issues(self, project: Project, since: datetime) -> int | None:
        """How many issues of a project changed since."""
        return await self.edition.count(f"project = {project.id} AND {self._recent(since)}")

    # --- what changed ---

    def _marks(self, project: Project) -> str:
        """A sign for all that decides what a project's rows mean: where it changes, everything is told again."""
        o, states = self.options, self._states
        means = [sorted(states.done), sorted(states.accepted), sorted(states.names.items()), o.dropped_resolutions]
        told = [project.key, project.name, project.row.get("archived"), o.milestones, o.planned_field, o.percent_field]
        return _sign([means, told, o.open_issues, o.release_date, o.progress])

    def _told_until(self, project: Project) -> datetime | None:
        """What did not change since then was told before; None: tell everything."""
        before = self.before
        if not before.since or before.kept.get(f"rules:{project.id}") != self._marks(project):
            return None
        return datetime.fromtimestamp(before.since, UTC) - self.overlap


class _Versions:
    """The versions of one project in one pull. Data Center tells a version's issues one version at a time.

    So there they are counted only where a version's row or an issue of the project changed; else nothing is told.
    """

    def __init__(self, source: Jira, project: Project, since: datetime | None) -> None:
        self._source, self._project, self._since = source, project, since
        self._key = f"versions:{project.id}"
        self._untold = False

    def observed(self, row: Row, counts: Counts | BadRow | None) -> Observation | None:
        """The version; None where nothing changed since the last pull."""
        self._source.saw(self._project, "version", row.get("id"))
        if self._untold:
            return None
        if isinstance(counts, BadRow):
            raise counts
        told = mapping.counts_of(row) if self._source.options.cloud else counts
        return self._source.version(self._project, row, told if self._source.options.progress else None)

    async def details(self, rows: Sequence[Row]) -> Mapping[str, Counts | BadRow]:
        """The issues of each version, where they do not stand in its row."""
        source = self._source
        if source.options.cloud or not source.options.progress or not rows:
            return {}
        sign = _sign(rows)
        if self._since is not None and source.before.kept.get(self._key) == sign:
            self._untold = not await source.changed_issues(self._project, self._since)
        if self._untold:
            source.after.kept[self._key] = sign
            return {}
        ids = [str(r.get("id")) for r in rows]  # archived ones too: archiving closes no issue
        found = await together([self._count(i) for i in ids])
        if all(isinstance(c, Counts) for c in found):  # else they are asked for again in the next pull
            source.after.kept[self._key] = sign
        return {i: counts for i, counts in zip(ids, found, strict=True) if counts is not None}

    async def _count(self, identity: str) -> Counts | BadRow | None:
        """None where Jira does not tell them: a version that is gone meanwhile; BadRow for what are no numbers."""
        path = f"/version/{identity}/unresolvedIssueCount"
        try:
            told = await self._source.edition.object(path)
        except Missing:
            return None
        if "issuesUnresolvedCount" not in told:
            raise BadPayload("no_object", where=path)
        try:
            total = mapping.whole(told, "issuesCount") if "issuesCount" in told else None
            return Counts(mapping.whole(told, "issuesUnresolvedCount"), total)
        except BadRow as problem:
            return problem  # this version waits in quarantine, the others go on


def _types(project: Row) -> list[Row]:
    found = project.get("issueTypes")
    return objects(found, "issueTypes") if found is not None else []


def _category(status: Row) -> object:
    found = status.get("statusCategory")
    return found.get("key") if isinstance(found, dict) else None


def _changed(row: Row, since: datetime | None) -> bool:
    """Did a row change since? One whose moment cannot be read counts as changed."""
    fields = row.get("fields")
    if since is None or not isinstance(fields, dict):
        return True
    try:
        moment = instant(fields, "updated")
    except BadRow:
        return True
    return moment is None or moment >= since


def _sign(told: object) -> str:
    return blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Jira:
    """A Jira source from checked options."""
    given = checked_options(name, CONNECTOR, options)
    checked_base(str(given["base_url"]))
    found = JiraOptions(**given)
    for kind in found.milestones:
        one_of(name, "milestones", kind.partition(":")[0] + (":" if ":" in kind else ""), ("version", "type:"))
    counting_rule(name, found.open_issues, counts=found.progress)
    policy = Policy(timeout=found.timeout, concurrency=found.concurrency, per_minute=found.per_minute or None)
    credentials = found.credentials
    http = Http(
        found.base_url, ApiKey("Authorization", credentials), clock=clock, sleep=sleep, policy=policy,
        transport=transport, secrets=(found.token, credentials.partition(" ")[2]),
    )  # fmt: skip
    return Jira(name, found, http)


def _fake() -> object:
    from connectors.jira.fake import JiraFake

    return JiraFake()


CONNECTOR = ConnectorInfo(
    system="jira",
    title="Jira",
    options=(
        Option(
            "base_url", required=True,
            help="the site: https://NAME.atlassian.net, or the root of your own Jira; https://api.atlassian.com/ex/jira/CLOUDID for OAuth",
        ),
        Option(
            "token", required=True, secret=True,
            help="Cloud: API token; Data Center: personal access token; of an account with Browse projects in the projects",
        ),
        Option("email", default="", help="Cloud: the account's e-mail address; empty: the token is sent as Bearer (Data Center, OAuth)"),
        Option("deployment", default="auto", choices=EDITIONS, help="cloud, data_center, or auto: by the address"),
        Option("milestones", default=("version",), help='version, "type:NAME" (issues of a type: Epic, Milestone …)'),
        Option("open_issues", default="confirm", choices=OPEN_ISSUES, help="a version released with open issues: confirm (by a person), allow (it is done), not_done"),
        Option("release_date", default="planned", choices=RELEASE_DATES, help="what a version's release date is: planned, or done (the day it was released)"),
        Option("progress", default=True, help="count each version's issues (percentage, open ones)"),
        Option("done_states", default=(), help="names or ids of statuses that mean done; none: those of the category Done"),
        Option("dropped_states", default=(), help="statuses of the category Done that mean given up (where done_states is empty)"),
        Option("dropped_resolutions", default=DROPPED, help="resolutions that mean given up: an issue with one is not done"),
        Option("accepted_states", default=(), help="names or ids of statuses that mean the customer accepted"),
        Option("planned_field", default="duedate", help="the field of an issue with its planned date, such as customfield_10023"),
        Option("percent_field", default="", help="the field of an issue with a number from 0 to 100; none: no percentage"),
        Option("reconcile_days", default=7, help="every so many days tell everything again, not only what changed"),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=JIRA,
    commenter=lambda source: Comments(source.http),
)  # fmt: skip
