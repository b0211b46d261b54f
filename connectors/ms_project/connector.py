"""Project for the web (Planner premium) as a source: tasks in Dataverse, over its OData interface.

The milestones of a project are one request; each project is read whole, so what is gone from it is known.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import httpx

from connectors.errors import BadPayload, SourceError, SourceRefused, SourceUnavailable
from connectors.http import entra
from connectors.http.agreement import Agreed, Agreements
from connectors.http.budget import Sleep
from connectors.http.client import Http, Json, Policy
from connectors.http.paging import Chain, Row, objects, settled
from connectors.http.source import Listing, Project, RestSource
from connectors.http.waiting import asked_wait
from connectors.ms_project import mapping
from connectors.registry import ConnectorInfo, Option, checked_options

ROOT = "/api/data/v9.2"
PREFER = {"Prefer": "odata.maxpagesize=5000", "OData-MaxVersion": "4.0", "OData-Version": "4.0"}
KINDS = ("milestone", "task")
#: Service protection: too many requests, too much time, too many at once.
_THROTTLED = ("0x80072322", "0x80072321", "0x80072326")


@dataclass(frozen=True, slots=True)
class ProjectOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    tenant_id: str
    client_id: str
    client_secret: str
    milestones: str = "milestone"
    login_url: str = entra.LOGIN
    per_minute: int = 900
    concurrency: int = 4
    timeout: float = 30.0


class MsProject(RestSource):
    """The projects of one environment."""

    def __init__(self, name: str, options: ProjectOptions, http: Http) -> None:
        super().__init__(name, http)
        self.options, self._url = options, options.base_url.rstrip("/")
        self._agreements = Agreements()

    async def account(self) -> str:
        """The application's user in the environment."""
        body = (await self.http.ask("GET", f"{ROOT}/WhoAmI", headers=PREFER)).body
        user = body.get("UserId") if isinstance(body, dict) else None
        if not isinstance(user, str):
            raise BadPayload("no_object", where=f"GET {ROOT}/WhoAmI")
        return user

    async def projects(self) -> list[Project]:
        """All projects that the application's role may read."""
        asked = {"$select": "msdyn_projectid,msdyn_subject"}
        rows, _ = await settled(lambda: Chain(partial(self._page, f"{ROOT}/msdyn_projects", asked), "msdyn_projectid"))
        names = Counter(str(r.get("msdyn_subject")) for r in rows)
        return [_project(r, unique=names[str(r.get("msdyn_subject"))] == 1) for r in rows]

    def listings(self, project: Project) -> Sequence[Listing]:
        """The project's milestones, or all its tasks."""
        only = " and msdyn_ismilestone eq true" if self.options.milestones == "milestone" else ""
        asked = {"$select": ",".join(mapping.COLUMNS), "$filter": f"_msdyn_project_value eq {project.id}{only}"}
        fetch = partial(self._page, f"{ROOT}/msdyn_projecttasks", asked)

        def start(_: datetime | None) -> Agreed:
            kept = (self.before.kept, self.after.kept)
            return self._agreements.chain(project.id, fetch, "msdyn_projecttaskid", *kept)

        return [
            Listing(start, lambda row, _: mapping.task(self.name, row, project, self._url), key="msdyn_projecttaskid")
        ]

    async def _page(self, path: str, asked: Mapping[str, str], link: str | None) -> tuple[list[Row], str | None]:
        """One page of a collection and the link to the next, which must be on the same host."""
        answer = await self.http.ask("GET", link or path, params=None if link else asked, headers=PREFER)
        if not isinstance(answer.body, dict):
            raise BadPayload("no_object", where=f"GET {path}")
        following = answer.body.get("@odata.nextLink")
        return objects(answer.body.get("value"), f"GET {path}"), following if isinstance(following, str) else None


def _project(row: Row, *, unique: bool) -> Project:
    """A project; its id goes into filters and must be the GUID it claims to be."""
    try:
        identity = str(UUID(str(row.get("msdyn_projectid"))))
    except ValueError:
        raise BadPayload("project_without_id") from None
    name = str(row.get("msdyn_subject") or identity)
    return Project(identity, name if unique else identity, name)


def _judge(clock: Callable[[], datetime]) -> Callable[[int, Json, Mapping[str, str]], SourceError | None]:
    """Throttling by Dataverse's codes; a column of ours that this environment lacks, by its name."""

    def judge(status: int, body: Json, headers: Mapping[str, str]) -> SourceError | None:
        error = body.get("error") if isinstance(body, dict) else None
        if not 400 <= status < 500 or not isinstance(error, dict):
            return None
        code, message = str(error.get("code")), str(error.get("message"))
        if code.lower() in _THROTTLED:
            return SourceUnavailable("too_many_requests", status=status, wait=asked_wait(headers, clock()))
        absent = next((c for c in mapping.COLUMNS if f"'{c}'" in message), None) if status == 400 else None
        if absent is not None:
            return SourceRefused("dataverse_column", column=absent)
        return SourceRefused("vendor_refused", status=status, code=code[:40]) if status == 400 else None

    return judge


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> MsProject:
    """A source on Project for the web from checked options."""
    values = ProjectOptions(**checked_options(name, CONNECTOR, options))
    root = values.base_url.rstrip("/")
    credentials = entra.application(
        values.login_url, values.tenant_id, values.client_id, values.client_secret, root, clock
    )
    http = Http(
        root,
        credentials,
        clock=clock,
        sleep=sleep,
        policy=Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None),
        judge=_judge(clock),
        transport=transport,
        secrets=(values.client_secret,),
    )
    return MsProject(name, values, http)


def _fake() -> object:
    from connectors.ms_project.fake import ProjectFake

    return ProjectFake()


CONNECTOR = ConnectorInfo(
    system="ms_project",
    title="Microsoft Project for the web, Planner premium",
    options=(
        Option("base_url", required=True, help="the environment's root: https://NAME.crm.dynamics.com"),
        Option("tenant_id", required=True, help="id of the directory in Entra ID"),
        Option("client_id", required=True, help="id of the application"),
        Option(
            "client_secret",
            required=True,
            secret=True,
            help="of the application, which is an application user of the environment with a reading role",
        ),
        Option(
            "milestones", default="milestone", choices=KINDS, help="milestone: tasks flagged as one; task: every task"
        ),
        Option(
            "login_url", default=entra.LOGIN, help="where tokens come from; for China https://login.chinacloudapi.cn"
        ),
        Option("per_minute", default=900, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
)
