"""ZenTao as a source: stages flagged as milestones, or every execution; interface v1.

The list of executions shows unfinished ones unless asked for all, and leaves out what proves a closing unless asked for
it by name. There is no filter by change: each project is read whole. The log-in gives a session; a wrong password is
never tried twice, ZenTao locks accounts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import httpx
import orjson

from connectors.errors import BadPayload
from connectors.http.agreement import Agreed, Agreements
from connectors.http.budget import Sleep
from connectors.http.client import Bearer, Http, Policy, Send, Token, checked_base, token_answer
from connectors.http.headers import Dressed
from connectors.http.paging import Chain, Row, objects, settled
from connectors.http.source import Listing, Project, RestSource
from connectors.registry import ConnectorInfo, Option, checked_options
from connectors.zentao import mapping
from models.domain.observations import Observation

ROOT = "/api.php/v1"
PAGE = 100
SESSION = timedelta(minutes=20)  # PHP's default is 24 minutes; a session that ends sooner is refused and renewed
KINDS, DATES = ("stage", "execution"), ("closed", "real_end")


@dataclass(frozen=True, slots=True)
class ZentaoOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    account: str
    password: str
    milestones: str = "stage"
    date_from: str = "closed"
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0


class Zentao(RestSource):
    """One ZenTao."""

    def __init__(self, name: str, options: ZentaoOptions, http: Http) -> None:
        super().__init__(name, http)
        self.options, self._url = options, options.base_url.rstrip("/")
        self._agreements = Agreements()

    async def account(self) -> str:
        """The account's own name."""
        body = await self.http.get(f"{ROOT}/user")
        profile = body.get("profile") if isinstance(body, dict) else None
        if not isinstance(profile, dict):
            raise BadPayload("no_object", where=f"GET {ROOT}/user")
        return str(profile.get("account") or self.options.account)

    async def projects(self) -> list[Project]:
        """All projects that the account sees, closed ones too."""
        fetch = partial(self._page, f"{ROOT}/projects", "projects", {"status": "all", "order": "id_asc"})
        rows, _ = await settled(lambda: Chain(fetch, "id"))
        codes = Counter(str(r.get("code")) for r in rows)
        return [_project(r, unique=codes[str(r.get("code"))] == 1) for r in rows]

    def listings(self, project: Project) -> Sequence[Listing]:
        """The executions of a project."""
        asked = {"status": "all", "order": "id_asc", "fields": ",".join(mapping.WISHED)}
        path = f"{ROOT}/projects/{project.id}/executions"

        def start(_: datetime | None) -> Agreed:
            fetch = partial(self._page, path, "executions", asked)
            return self._agreements.chain(project.id, fetch, "id", self.before.kept, self.after.kept)

        return [Listing(start, lambda row, _: self._observed(project, row))]

    def _observed(self, project: Project, row: Row) -> Observation | None:
        if self.options.milestones == "stage" and not mapping.is_milestone(row):
            return None
        return mapping.execution(self.name, row, project, self._url, self.options.date_from)

    async def _page(
        self, path: str, name: str, asked: Mapping[str, str], token: str | None
    ) -> tuple[list[Row], str | None]:
        """One numbered page; what lies below a row comes after it. A full page has another after it."""
        number = int(token or 1)
        body = await self.http.get(path, {**asked, "limit": PAGE, "page": number})
        rows = _listed(body.get(name) if isinstance(body, dict) else None, f"GET {path}")
        # A page beyond the last is the last one again: ZenTao's pager corrects the number silently.
        more = len(rows) >= PAGE and number * PAGE < _total(body, f"GET {path}")
        return list(mapping.flat(rows)), str(number + 1) if more else None


def _listed(rows: object, where: str) -> list[Row]:
    """The rows of a list, which is an object by id where PHP lost the order of its keys."""
    return objects(list(rows.values()) if isinstance(rows, dict) else rows, where)


def _total(body: Mapping[str, object], where: str) -> int:
    """How many rows there are. Raises BadPayload where the answer does not say: the walk would have no end."""
    try:
        return int(str(body.get("total")))
    except ValueError:
        raise BadPayload("no_object", where=where) from None


def _project(row: Row, *, unique: bool) -> Project:
    identity = row.get("id")
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise BadPayload("project_without_id")
    code = row.get("code")
    key = str(code) if code and unique else str(identity)
    return Project(str(identity), key, str(row.get("name") or identity))


async def _session(values: ZentaoOptions, clock: Callable[[], datetime], send: Send) -> Token:
    """A session's token; the answer does not say how long it lives."""
    body = orjson.dumps({"account": values.account, "password": values.password})
    url = f"{checked_base(values.base_url)}{ROOT}/tokens"
    answer = await send(httpx.Request("POST", url, content=body, headers={"content-type": "application/json"}))
    return Token(str(token_answer(answer, clock, "token")["token"]), (clock() + SESSION).timestamp())


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Zentao:
    """A ZenTao source from checked options."""
    values = ZentaoOptions(**checked_options(name, CONNECTOR, options))
    session = Bearer(partial(_session, values, clock), clock)
    http = Http(
        values.base_url,
        Dressed(session, {}, token_header="Token"),  # noqa: S106 - the header's name
        clock=clock,
        sleep=sleep,
        policy=Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None),
        transport=transport,
        secrets=(values.password,),
    )
    return Zentao(name, values, http)


def _fake() -> object:
    from connectors.zentao.fake import ZentaoFake

    return ZentaoFake()


CONNECTOR = ConnectorInfo(
    system="zentao",
    title="ZenTao",
    options=(
        Option("base_url", required=True, help="ZenTao's root, before /api.php"),
        Option("account", required=True, help="an account that may browse the projects"),
        Option("password", required=True, secret=True, help="of the account"),
        Option(
            "milestones",
            choices=KINDS,
            default="stage",
            help="stage: stages flagged as milestones; execution: every stage, sprint and kanban",
        ),
        Option(
            "date_from",
            default="closed",
            choices=DATES,
            help="closed: when it was closed; real_end: the actual end that people type",
        ),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
)
