"""Linear as a source (GraphQL).

One query a project reads its milestones whole: Linear has no event for them and a deletion shows by absence only.
A milestone that was told as done is asked about again when it, or the issue below it that changed last, moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, TypeVar

import httpx
import orjson

from connectors.errors import BadPayload
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Policy
from connectors.http.fields import BadRow, instant
from connectors.http.graphql import Dialect, GraphQL, connection, judge
from connectors.http.hooks import LINEAR
from connectors.http.named import Named, Place
from connectors.http.paging import PAGES_MAX, Chain, RawPage, Row, Walk, settled, together
from connectors.http.source import Listing, Project
from connectors.http.sparing import SparingSource
from connectors.linear import mapping, queries
from connectors.linear.comments import Comments
from connectors.linear.mapping import Completion
from connectors.registry import ConnectorInfo, Option, checked_options, one_of
from models.domain.observations import Observation, StateChange
from models.ports import Reachability

PAGE = 50  # each object costs complexity, a query may cost 10,000 points [3p]
WHERE = "POST /graphql"
T = TypeVar("T")
#: Codes as the vendor's documentation and its SDK name them; which of two an answer carries varies.
DIALECT = Dialect(
    throttled=("RATELIMITED",),
    passing=("INTERNAL_SERVER_ERROR", "INTERNAL_ERROR", "LOCK_TIMEOUT", "NETWORK_ERROR"),
    login=("AUTHENTICATION_ERROR", "UNAUTHENTICATED"),
    forbidden=("FORBIDDEN", "FEATURE_NOT_ACCESSIBLE"),
)


@dataclass(frozen=True, slots=True)
class LinearOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    api_key: str
    base_url: str = "https://api.linear.app"
    milestones: tuple[str, ...] = ("milestone",)
    reconcile_days: int = 7
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels whose issues are milestones."""
        return tuple(m.partition(":")[2] for m in self.milestones if m.startswith("issue:"))


class Linear(SparingSource):
    """One Linear workspace."""

    def __init__(self, name: str, options: LinearOptions, http: Http) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options = options
        self.named = Named(name, "milestones", options.labels)
        self.graph = GraphQL(http, "/graphql")

    # --- what is there ---

    async def account(self) -> str:
        """Whose key it is, and of which workspace."""
        viewer = (await self.graph.ask(queries.VIEWER)).get("viewer")
        if not isinstance(viewer, dict) or not viewer.get("id"):
            raise BadPayload("no_object", where=WHERE)
        workspace = viewer.get("organization")
        named = workspace.get("name") if isinstance(workspace, dict) else None
        who = str(viewer.get("name") or viewer["id"])
        return f"{who} ({named})" if named else who

    async def _checked(self) -> Reachability:
        """With the requests that are left in this hour."""
        found = await super()._checked()
        left = self.graph.last_headers.get("x-ratelimit-requests-remaining")
        return replace(found, rate_left=left or found.rate_left)

    async def projects(self) -> list[Project]:
        """All projects that are not archived. People know them by name: a name that two have names no milestone."""
        rows, _ = await settled(lambda: self._chain("projects", queries.PROJECTS))
        if any("id" not in r for r in rows):
            raise BadPayload("project_without_id", where=WHERE)
        return [Project(str(r["id"]), str(r.get("name") or r["id"]), str(r.get("name", "")), r) for r in rows]

    async def places(self, projects: Sequence[Project]) -> Sequence[Place]:
        """The teams, and the workspace: labels are theirs, not the projects'. One that had a label has none any more."""
        del projects
        rows, whole = await settled(lambda: self._chain("issueLabels", queries.LABELS))
        if not whole or self.named is None:
            raise BadPayload("moving_list", where=WHERE)
        names: dict[str, set[str]] = {i: set() for i in self.named.ids_of(self.remembered.kept)}
        titles = {i: i for i in names}
        for row in rows:
            identity, title = _owner(row)
            titles[identity] = title
            names.setdefault(identity, set()).add(str(row.get("name")))
        return [Place(i, titles[i], frozenset(found)) for i, found in names.items()]

    def _chain(self, field: str, query: str, **variables: object) -> Chain:
        async def fetch(token: str | None) -> tuple[list[Row], str | None]:
            data = await self.graph.ask(query, first=PAGE, after=token, **variables)
            return connection(data.get(field), WHERE)

        return Chain(fetch, "id")

    # --- the lists of a project ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """Its milestones, itself, its labelled issues, as configured."""
        found = []
        if "milestone" in self.options.milestones:
            found.append(self._milestones(project))
        if "project" in self.options.milestones:
            found.append(self._itself(project))
        if self.options.labels:
            found.append(self._issues(project))
        return found

    def _milestones(self, project: Project) -> Listing:
        self.saw(project, "milestone")

        def observe(row: Row, completion: Completion | BadRow | None) -> Observation | None:
            self.saw(project, "milestone", row.get("id"))
            if self._told(project, "milestone", row):
                return None
            return mapping.milestone(self.name, row, project, _good(completion) or Completion())

        async def details(rows: Sequence[Row]) -> Mapping[str, Any]:
            done = [
                str(r.get("id")) for r in rows if r.get("status") == "done" and not self._told(project, "milestone", r)
            ]
            return dict(zip(done, await together([_or_bad(self._completion(i)) for i in done]), strict=True))

        def start(_since: datetime | None) -> Chain:
            return self._chain("projectMilestones", queries.MILESTONES, project=project.id)

        return Listing(start, observe, "milestone", details=details)

    def _itself(self, project: Project) -> Listing:
        self.saw(project, "project")

        async def row(_number: int, _size: int) -> RawPage:
            return RawPage([project.row], 1)

        def observe(row: Row, _detail: object) -> Observation:
            self.saw(project, "project", row.get("id"))
            return mapping.whole_project(self.name, row, project)

        return Listing(lambda _since: Walk(row, 1, "id"), observe, "project")

    def _issues(self, project: Project) -> Listing:
        self.saw(project, "issue")

        def observe(row: Row, history: tuple[StateChange, ...] | BadRow | None) -> Observation | None:
            self.saw(project, "issue", row.get("id"))
            if self._told(project, "issue", row):
                return None
            return mapping.issue(self.name, row, project, _good(history) or ())

        async def details(rows: Sequence[Row]) -> Mapping[str, Any]:
            done = [str(r.get("id")) for r in rows if r.get("completedAt") and not self._told(project, "issue", r)]
            return dict(zip(done, await together([_or_bad(self._history(i)) for i in done]), strict=True))

        def start(_since: datetime | None) -> Chain:
            return self._chain("issues", queries.LABELLED_ISSUES, project=project.id, labels=self.options.labels)

        return Listing(start, observe, "issue", details=details)

    # --- what was told ---

    def _told(self, project: Project, kind: str, row: Row) -> bool:
        """Was a done row told as it is? Open ones cost no further question.

        What moved only just now is not remembered as told: it may be dated after the pull began, and then it
        waits in quarantine for the next one.
        """
        if not (row.get("status") == "done" or row.get("completedAt")):
            return False
        key = f"{kind}:{row.get('id')}"
        sign = _sign([project.id, project.name, project.row.get("url"), row])
        if mapping.at_rest(row, datetime.fromtimestamp(self.after.since, UTC) - self.overlap):
            self.after.kept[key] = sign
        return self.before.kept.get(key) == sign

    # --- the proof below ---

    async def _completion(self, milestone: str) -> Completion:
        """The issue of a milestone that was completed last."""
        last = await self._last_completed(milestone)
        if last is None:
            return Completion()
        reached = mapping.last_done(await self._history(str(last.get("id"))))
        return Completion(instant(last, "completedAt"), reached.by if reached else None)

    async def _last_completed(self, milestone: str) -> Row | None:
        """Page by page, until no later page can have a later one."""
        rows: list[Row] = []
        chain = self._chain("issues", queries.COMPLETED_ISSUES, milestone=milestone)
        async for page in chain.pages():
            rows += page
            last, certain = mapping.latest(rows)
            if certain:
                return last
        return mapping.latest(rows)[0]

    async def _history(self, issue: str) -> tuple[StateChange, ...]:
        entries: list[Row] = []
        token: str | None = None
        for _ in range(PAGES_MAX):
            found = (await self.graph.ask(queries.HISTORY, issue=issue, first=PAGE, after=token)).get("issue")
            if not isinstance(found, dict):
                raise BadPayload("no_object", where=WHERE)
            rows, token = connection(found.get("history"), WHERE)
            entries += rows
            if token is None:
                break
        return mapping.changes(entries)


async def _or_bad(asked: Awaitable[T]) -> T | BadRow:
    """What is wrong below one milestone puts that milestone aside, not the pull."""
    try:
        return await asked
    except BadRow as problem:
        return problem


def _good(found: T | BadRow | None) -> T | None:
    if isinstance(found, BadRow):
        raise found
    return found


def _owner(label: Row) -> tuple[str, str]:
    """Whose label it is: a team's, by id and name, or the workspace's."""
    team = label.get("team")
    return (str(team.get("id")), str(team.get("name"))) if isinstance(team, dict) else ("workspace", "workspace")


def _sign(what: object) -> str:
    return blake2b(orjson.dumps(what), digest_size=6).hexdigest()


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Linear:
    """A Linear source from checked options."""
    values = LinearOptions(**checked_options(name, CONNECTOR, options))
    for kind in values.milestones:
        one_of(
            name,
            "milestones",
            kind.partition(":")[0] + (":" if ":" in kind else ""),
            ("milestone", "project", "issue:"),
        )
    # A personal key goes as it is, a token of an OAuth application as Bearer.
    sent = values.api_key if values.api_key.startswith("lin_api_") else f"Bearer {values.api_key}"
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    http = Http(
        values.base_url, ApiKey("Authorization", sent), clock=clock, sleep=sleep, policy=policy,
        judge=judge(DIALECT, clock), transport=transport, secrets=(values.api_key,),
    )  # fmt: skip
    return Linear(name, values, http)


def _fake() -> object:
    from connectors.linear.fake import LinearFake

    return LinearFake()


CONNECTOR = ConnectorInfo(
    system="linear",
    title="Linear",
    options=(
        Option("api_key", required=True, secret=True, help="a personal key (read), or a token of an OAuth application with the scope read"),
        Option("base_url", default="https://api.linear.app", help="before /graphql"),
        Option("milestones", default=("milestone",), help='milestone (of a project), project, "issue:LABEL" for issues with a label'),
        Option("reconcile_days", default=7, help="every so many days ask about every done milestone again"),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=LINEAR,
    commenter=lambda source: Comments(source.graph),
)  # fmt: skip
