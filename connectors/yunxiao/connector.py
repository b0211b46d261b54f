"""Aliyun Yunxiao as a source (projex, OpenAPI v1): the milestones of an organisation's projects.

Each project's milestones are read whole, a hundred a request. Lists are pages that may say how many rows there are; one
that does not is read until a page is empty, and its pages are believed when two walks agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import httpx

from connectors.errors import BadPayload, SourceRefused
from connectors.http.agreement import Agreed, Agreements
from connectors.http.budget import Sleep
from connectors.http.client import Answer, ApiKey, Http, Policy
from connectors.http.fields import text_or_none
from connectors.http.paging import Chain, Row, objects, settled
from connectors.http.source import Listing, Project, RestSource
from connectors.registry import ConnectorInfo, Option, checked_options
from connectors.yunxiao import mapping
from models.domain.observations import Observation
from models.ports import Reachability

PAGE = 100
API = "/oapi/v1"


@dataclass(frozen=True, slots=True)
class YunxiaoOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    token: str
    organization_id: str = ""
    base_url: str = "https://openapi-rdc.aliyuncs.com"
    done_states: tuple[str, ...] = ("已完成",)
    per_minute: int = 300
    concurrency: int = 4
    timeout: float = 30.0


class Yunxiao(RestSource):
    """One organisation; the dedicated edition has only one, which is not named."""

    def __init__(self, name: str, options: YunxiaoOptions, http: Http) -> None:
        super().__init__(name, http)
        self.options = options
        inside = f"/organizations/{options.organization_id}" if options.organization_id else ""
        self._root = f"{API}/projex{inside}"
        self._agreements = Agreements()

    async def account(self) -> str:
        """Whose token it is."""
        who = await self.http.get(f"{API}/platform/user")
        if not isinstance(who, dict) or not who.get("id"):
            raise BadPayload("no_object", where=f"GET {API}/platform/user")
        return text_or_none(who, "name") or text_or_none(who, "username") or str(who["id"])

    async def projects(self) -> list[Project]:
        """All projects that the account sees."""
        path = f"{self._root}/projects:search"

        def page(number: int) -> Awaitable[Answer]:
            return self.http.ask(
                "POST", path, body={"page": number, "perPage": PAGE, "orderBy": "gmtCreate", "sort": "asc"}
            )

        rows, _ = await settled(lambda: Chain(_Told(page, path).page, "id"))
        return [_project(r) for r in rows]

    async def _checked(self) -> Reachability:
        """The account and its projects, and whether the token may read milestones."""
        account, projects = await self.account(), await self.projects()
        milestones, missing = None, tuple[str, ...]()
        try:
            milestones = await self.probe(projects)
        except SourceRefused as problem:
            if problem.trouble.code != "no_permission":
                raise
            missing = ("项目协作 / 里程碑: 只读",)
        return Reachability(account, len(projects), milestones, self.http.rate_left, missing)

    def listings(self, project: Project) -> Sequence[Listing]:
        """Its milestones."""

        def start(_since: datetime | None) -> Chain:
            walk = _Told(partial(self._fetch, project), self._path(project))
            walk.inner = self._agreements.chain(project.id, walk.page, "id", self.before.kept, self.after.kept)
            return walk

        def observe(row: Row, _: object) -> Observation:
            return mapping.milestone(self.name, row, project, self.options.done_states)

        return [Listing(start, observe, mapping.KIND)]

    async def _fetch(self, project: Project, number: int) -> Answer:
        return await self.http.ask("GET", self._path(project), params={"page": number, "perPage": PAGE})

    def _path(self, project: Project) -> str:
        return f"{self._root}/projects/{project.id}/milestones"


class _Told(Chain):
    """A walk that is believed where the source said, each time alike, how many rows there are, and so many came;
    where it does not say, as `Agreed` believes.

    The source may give fewer rows a page than were asked for, so only its total or an empty page is an end.
    """

    inner: Agreed

    def __init__(self, ask: Callable[[int], Awaitable[Answer]], path: str) -> None:
        super().__init__(self.page, "id")
        self._ask, self._path, self._totals = ask, path, set[int | None]()

    @property
    def complete(self) -> bool:
        """Was nothing missed?"""
        walk = self.inner
        return walk.complete or (walk.ended and walk.rows == len(walk.seen) and self._totals == {walk.rows})

    async def page(self, token: str | None) -> tuple[list[Row], str | None]:
        """One page; the token holds the number of the next, and how many rows came so far."""
        number, before = (int(part) for part in (token or "1:0").split(":"))
        answer = await self._ask(number)
        rows = objects(answer.body, self._path)
        seen, told = before + len(rows), answer.headers.get("x-total", "")
        total = int(told) if told.isascii() and told.isdecimal() else None
        self._totals.add(total)
        if total is not None and not rows and seen < total:
            raise BadPayload("moving_list", where=self._path)
        more = bool(rows) if total is None else seen < total
        return rows, f"{number + 1}:{seen}" if more else None

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows of each page."""
        async for rows in self.inner.pages():
            yield rows


def _project(row: Row) -> Project:
    identity = row.get("id")
    if not isinstance(identity, str) or not identity.replace("-", "").isalnum():
        raise BadPayload("project_without_id")
    key = text_or_none(row, "customCode") or identity
    return Project(identity, key, text_or_none(row, "name") or key, row)


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Yunxiao:
    """A Yunxiao source from checked options."""
    values = YunxiaoOptions(**checked_options(name, CONNECTOR, options))
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    http = Http(
        values.base_url, ApiKey("x-yunxiao-token", values.token), clock=clock, sleep=sleep, policy=policy,
        transport=transport, secrets=(values.token,),
    )  # fmt: skip
    return Yunxiao(name, values, http)


def _fake() -> object:
    from connectors.yunxiao.fake import YunxiaoFake

    return YunxiaoFake()


CONNECTOR = ConnectorInfo(
    system="yunxiao",
    title="Aliyun Yunxiao",
    options=(
        Option(
            "token",
            required=True,
            secret=True,
            help="personal access token (pt-…) that may read projects and milestones",
        ),
        Option(
            "organization_id", default="", help="id of the organisation; none: the dedicated edition, which has one"
        ),
        Option("base_url", default="https://openapi-rdc.aliyuncs.com", help="the access point, before /oapi"),
        Option("done_states", default=("已完成",), help="names or ids of statuses that mean done"),
        Option(
            "per_minute", default=300, help="our own limit of requests a minute (the vendor publishes none); 0: none"
        ),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
)
