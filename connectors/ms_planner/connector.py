"""Microsoft Planner's basic plans as a source, over Graph.

Graph v1.0 has no filter by change for tasks and gives no number of rows: each plan is read whole, and one of several
pages is believed when two walks agree.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx

from connectors.errors import BadPayload
from connectors.http import entra
from connectors.http.agreement import Agreed, Agreements
from connectors.http.budget import Sleep
from connectors.http.client import Http, Policy
from connectors.http.named import Named, Place
from connectors.http.paging import Chain, Row, objects, settled, together
from connectors.http.source import Listing, Project, RestSource
from connectors.ms_planner import mapping
from connectors.registry import ConnectorInfo, Option, checked_options
from models.domain.observations import Observation

ROOT = "/v1.0"


@dataclass(frozen=True, slots=True)
class PlannerOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    tenant_id: str
    client_id: str
    client_secret: str
    groups: tuple[str, ...]
    buckets: tuple[str, ...] = ()
    base_url: str = "https://graph.microsoft.com"
    login_url: str = entra.LOGIN
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0


class Planner(RestSource):
    """The plans of some groups of one tenant."""

    def __init__(self, name: str, options: PlannerOptions, http: Http) -> None:
        super().__init__(name, http)
        self.options = options
        self.named = Named(name, "buckets", options.buckets)
        self._buckets: dict[str, frozenset[str]] = {}  # plan -> buckets whose tasks are milestones
        self._agreements = Agreements()

    async def account(self) -> str:
        """The application; the plans of the first group show whether it is let in."""
        await self._pages(f"{ROOT}/groups/{quote(self.options.groups[0], safe='')}/planner/plans", None)
        return self.options.client_id

    async def projects(self) -> list[Project]:
        """All plans of the groups."""
        paths = [f"{ROOT}/groups/{quote(g, safe='')}/planner/plans" for g in self.options.groups]
        found = await together([settled(lambda p=p: Chain(partial(self._pages, p), "id")) for p in paths])  # type: ignore[misc]
        rows = {str(r.get("id")): r for plans, _ in found for r in plans}
        titles = Counter(str(r.get("title")) for r in rows.values())
        return [_plan(r, unique=titles[str(r.get("title"))] == 1) for r in rows.values()]

    async def places(self, projects: Sequence[Project]) -> Sequence[Place]:
        """The buckets of each plan; which of them are named is kept for its tasks."""
        found = await together([self._buckets_of(p) for p in projects])
        named = {p.id: buckets for p, buckets in zip(projects, found, strict=True)}
        wanted = self.options.buckets
        self._buckets = {p: frozenset(i for i, n in own.items() if n in wanted) for p, own in named.items()}
        return [Place(p.id, p.name, frozenset(named[p.id].values())) for p in projects]

    async def _buckets_of(self, plan: Project) -> dict[str, str]:
        """The names of a plan's buckets by their ids."""
        path = f"{ROOT}/planner/plans/{quote(plan.id, safe='')}/buckets"
        rows, whole = await settled(lambda: Chain(partial(self._pages, path), "id"))
        if not whole:
            raise BadPayload("moving_list", where=f"GET {path}")
        return {str(r.get("id")): str(r.get("name")) for r in rows}

    def listings(self, project: Project) -> Sequence[Listing]:
        """The plan's tasks; of named buckets only those."""
        path = f"{ROOT}/planner/plans/{quote(project.id, safe='')}/tasks"

        def start(_: datetime | None) -> Agreed:
            fetch = partial(self._pages, path)
            return self._agreements.chain(project.id, fetch, "id", self.before.kept, self.after.kept)

        return [Listing(start, lambda row, _: self._observed(project, row))]

    def _observed(self, plan: Project, row: Row) -> Observation | None:
        if self.options.buckets and row.get("bucketId") not in self._buckets[plan.id]:
            return None
        return mapping.task(self.name, row, plan, self.options.tenant_id)

    async def _pages(self, path: str, link: str | None) -> tuple[list[Row], str | None]:
        """One page of a collection and the link to the next, which must be on the same host."""
        body = (await self.http.ask("GET", link or path)).body
        if not isinstance(body, dict):
            raise BadPayload("no_object", where=f"GET {path}")
        following = body.get("@odata.nextLink")
        return objects(body.get("value"), f"GET {path}"), following if isinstance(following, str) else None


def _plan(row: Mapping[str, Any], *, unique: bool) -> Project:
    identity = row.get("id")
    if not isinstance(identity, str):
        raise BadPayload("project_without_id")
    title = str(row.get("title") or identity)
    return Project(identity, title if unique else identity, title)


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Planner:
    """A Planner source from checked options."""
    values = PlannerOptions(**checked_options(name, CONNECTOR, options))
    root = values.base_url.rstrip("/")
    credentials = entra.application(
        values.login_url, values.tenant_id, values.client_id, values.client_secret, root, clock
    )
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    secrets = (values.client_secret,)
    http = Http(root, credentials, clock=clock, sleep=sleep, policy=policy, transport=transport, secrets=secrets)
    return Planner(name, values, http)


def _fake() -> object:
    from connectors.ms_planner.fake import PlannerFake

    return PlannerFake()


CONNECTOR = ConnectorInfo(
    system="ms_planner",
    title="Microsoft Planner",
    options=(
        Option("tenant_id", required=True, help="id of the directory in Entra ID"),
        Option("client_id", required=True, help="id of the application"),
        Option(
            "client_secret",
            required=True,
            secret=True,
            help="of the application; the permission Tasks.Read.All is enough",
        ),
        Option("groups", required=True, default=(), help="ids of the Microsoft 365 groups whose plans are read"),
        Option("buckets", default=(), help="names of the buckets whose tasks are milestones; none: every task"),
        Option(
            "base_url",
            default="https://graph.microsoft.com",
            help="Microsoft Graph; for China https://microsoftgraph.chinacloudapi.cn",
        ),
        Option(
            "login_url", default=entra.LOGIN, help="where tokens come from; for China https://login.chinacloudapi.cn"
        ),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
)
