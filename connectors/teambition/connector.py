"""Teambition as a source: sprints, and the tasks that a query picks.

Every answer is HTTP 200, errors stand in `code`. Lists are chains of tokens that say neither how many rows there are nor
keep still: each is read whole, and one of several pages is believed when two walks agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import httpx
import orjson

from connectors.errors import BadPayload, SourceConfig, SourceError, SourceRefused, SourceUnavailable
from connectors.http.agreement import Agreed, Agreements
from connectors.http.budget import Sleep
from connectors.http.client import (
    Bearer,
    Http,
    Json,
    Policy,
    Send,
    Token,
    TokenRefused,
    checked_base,
    token_answer,
    token_end,
)
from connectors.http.headers import Dressed
from connectors.http.paging import Chain, Row, objects, settled
from connectors.http.source import Listing, Project, RestSource
from connectors.registry import ConnectorInfo, Option, checked_options
from connectors.teambition import mapping
from models.domain.observations import Observation
from models.domain.trouble import Words

PAGE = 100
KINDS = ("sprint", "task")


@dataclass(frozen=True, slots=True)
class TeambitionOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    app_id: str
    app_secret: str
    organization_id: str
    operator_id: str = ""
    base_url: str = "https://open.teambition.com/api"
    milestones: tuple[str, ...] = ("sprint",)
    tasks: str = ""
    per_minute: int = 600
    concurrency: int = 4
    timeout: float = 30.0


class Teambition(RestSource):
    """The projects of one organisation."""

    def __init__(self, name: str, options: TeambitionOptions, http: Http) -> None:
        super().__init__(name, http)
        self.options = options
        self._agreements = Agreements()

    async def account(self) -> str:
        """The application; a single project shows whether it is let in."""
        await self._page("/v3/project/query", {"pageSize": "1"}, None)
        return self.options.operator_id or self.options.app_id

    async def projects(self) -> list[Project]:
        """All projects that the application sees; templates are none."""
        fetch = partial(self._page, "/v3/project/query", {"pageSize": str(PAGE)})
        rows, _ = await settled(lambda: Chain(fetch, "id"))
        return [_project(r) for r in rows if r.get("isTemplate") is not True]

    def listings(self, project: Project) -> Sequence[Listing]:
        """Sprints and tasks, as configured."""
        root = f"/v3/project/{project.id}"
        where = f"({self.options.tasks}) AND isArchived = false ORDER BY created ASC"
        lists = (
            ("sprint", f"{root}/sprint/search", {"pageSize": str(PAGE)}, mapping.sprint),
            ("task", f"{root}/task/query", {"pageSize": str(PAGE), "q": where}, mapping.task),
        )
        return [
            Listing(
                partial(self._walk, f"{kind}:{project.id}", path, asked), partial(self._seen, make, project), kind=kind
            )
            for kind, path, asked, make in lists
            if kind in self.options.milestones
        ]

    def _seen(
        self, make: Callable[[str, Row, Project], Observation], project: Project, row: Row, _: object
    ) -> Observation:
        return make(self.name, row, project)

    def _walk(self, name: str, path: str, asked: Mapping[str, str], _: datetime | None) -> Agreed:
        fetch = partial(self._page, path, asked)
        return self._agreements.chain(name, fetch, "id", self.before.kept, self.after.kept)

    async def _page(self, path: str, asked: Mapping[str, str], token: str | None) -> tuple[list[Row], str | None]:
        """One page and the token of the next; the last one's is empty or absent."""
        body = await self.http.get(path, {**asked, **({"pageToken": token} if token else {})})
        if not isinstance(body, dict):
            raise BadPayload("no_object", where=f"GET {path}")
        following = body.get("nextPageToken")
        return objects(body.get("result"), f"GET {path}"), str(following) if following else None


def _project(row: Row) -> Project:
    identity = row.get("id")
    if not isinstance(identity, str) or not identity.isalnum():
        raise BadPayload("project_without_id")
    return Project(identity, str(row.get("uniqueIdPrefix") or identity), str(row.get("name") or identity))


def _judge(status: int, body: Json, headers: Mapping[str, str]) -> SourceError | None:
    """Errors inside HTTP 200, by `code`: an HTTP status of Teambition's own."""
    del headers
    code = body.get("code", 200) if isinstance(body, dict) else 200
    if status != 200 or code in (0, 200, 201, 204):
        return None
    if code == 401:
        return TokenRefused("not_authorised")
    if code == 429 or (isinstance(code, int) and 500 <= code < 600):
        return SourceUnavailable("too_many_requests" if code == 429 else "system_failed", status=code)
    if code == 403:
        return SourceRefused("no_permission", status=code)
    return SourceRefused("vendor_refused", status=status, code=str(code)[:40])


async def _token(values: TeambitionOptions, clock: Callable[[], datetime], send: Send) -> Token:
    """The application's token; `expire` is a number of seconds."""
    body = orjson.dumps({"appId": values.app_id, "appSecret": values.app_secret})
    url = f"{checked_base(values.base_url)}/appToken"
    answer = await send(httpx.Request("POST", url, content=body, headers={"content-type": "application/json"}))
    found = token_answer(answer, clock, "appToken")
    return Token(str(found["appToken"]), token_end({"expires_in": found.get("expire")}, clock))


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Teambition:
    """A Teambition source from checked options."""
    values = TeambitionOptions(**checked_options(name, CONNECTOR, options))
    if "task" in values.milestones and not values.tasks.strip():
        # Without a query every task of the organisation would count as a milestone.
        help_ = Words("connector_option.teambition.tasks", "which tasks are milestones")
        raise SourceConfig("key_missing", connection=name, keys="tasks", key="tasks", help=help_)
    fixed = {"X-Tenant-Id": values.organization_id, "X-Tenant-Type": "organization"}
    if values.operator_id:
        fixed["X-Operator-Id"] = values.operator_id
    http = Http(
        values.base_url,
        Dressed(Bearer(partial(_token, values, clock), clock), fixed),
        clock=clock,
        sleep=sleep,
        policy=Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None),
        judge=_judge,
        transport=transport,
        secrets=(values.app_secret,),
    )
    return Teambition(name, values, http)


def _fake() -> object:
    from connectors.teambition.fake import TeambitionFake

    return TeambitionFake()


CONNECTOR = ConnectorInfo(
    system="teambition",
    title="Teambition",
    options=(
        Option("app_id", required=True, help="of the organisation's application"),
        Option(
            "app_secret",
            required=True,
            secret=True,
            help="of the application; reading projects, sprints and tasks is enough",
        ),
        Option("organization_id", required=True, help="id of the organisation"),
        Option("operator_id", default="", help="the member in whose name it reads, where one is demanded"),
        Option("base_url", default="https://open.teambition.com/api", help="root of the interface"),
        Option("milestones", default=("sprint",), choices=KINDS, help="sprint, task"),
        Option("tasks", default="", help="which tasks are milestones, in TQL: scenarioId = …"),
        Option("per_minute", default=600, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
)
