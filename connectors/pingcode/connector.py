"""PingCode as a source.

Two generations of paths are served: `project` (/v1/project, plural filters, updated_between to the
second) and `pjm` (/v1/pjm, search by whole days); `auto` finds out. Milestones and phases are work
items whose type belongs to the group `plan`; the type ids differ from tenant to tenant. The vendor
ignores unknown filters silently, so every row is held against the bound that was asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import httpx
import orjson

from connectors.errors import BadPayload, SourceConfig, SourceError, SourceRefused, SourceUnavailable
from connectors.http.client import Bearer, Http, Policy, Send, Token, TokenRefused
from connectors.http.fields import BadRow, rejected
from connectors.http.paging import RawPage, Row, Walk
from connectors.pingcode import mapping
from connectors.registry import ConnectorInfo, Option, checked_options, missing_projects
from models.domain.observations import Observation, Page, Rejected
from models.ports import PullRequest, Reachability

PAGE = 100
PROJECTS_AT_ONCE = 20  # the plural filters take up to 20 ids
GONE = {"100317", "100300", "100304", "100308"}
#: The vendor compares search bounds by whole days, and clocks differ: look back this far.
OVERLAP = {"project": timedelta(minutes=10), "pjm": timedelta(hours=48)}


@dataclass(frozen=True, slots=True)
class PingCodeOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    client_id: str
    client_secret: str
    api_flavour: str = "auto"
    milestones: tuple[str, ...] = ("milestone", "phase")
    type_names: tuple[str, ...] = ("里程碑", "阶段", "Milestone", "Phase")
    done_states: tuple[str, ...] = ()
    accepted_states: tuple[str, ...] = ()
    progress: bool = False
    per_minute: int = 180
    concurrency: int = 8
    timeout: float = 30.0


@dataclass(slots=True)
class _Memory:
    """What the cursor remembers between two nights."""

    watermark: int = 0
    flavour: str = ""
    types: dict[str, dict[str, str]] = field(default_factory=dict)  # project id -> type id -> name

    def dump(self) -> str:
        return orjson.dumps({"watermark": self.watermark, "flavour": self.flavour, "types": self.types}).decode()

    @classmethod
    def load(cls, cursor: str | None) -> _Memory:
        if not cursor:
            return cls()
        kept = orjson.loads(cursor)
        return cls(int(kept["watermark"]), str(kept["flavour"]), dict(kept["types"]))


class PingCode:
    """One PingCode tenant."""

    def __init__(
        self,
        name: str,
        options: PingCodeOptions,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name, self.options = name, options
        credentials = Bearer(self._token, clock)
        policy = Policy(timeout=options.timeout, concurrency=options.concurrency, per_minute=options.per_minute or None)
        self._http = Http(
            options.base_url,
            credentials,
            clock=clock,
            policy=policy,
            judge=_judge,
            transport=transport,
            secrets=(options.client_secret,),
        )
        self._flavour = "" if options.api_flavour == "auto" else options.api_flavour

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(*exc)

    async def _token(self, send: Send) -> Token:
        """Client credentials, by GET as the vendor wants it; `expires_in` is the moment of expiry."""
        parameters = {
            "grant_type": "client_credentials",
            "client_id": self.options.client_id,
            "client_secret": self.options.client_secret,
        }
        answer = await send(
            httpx.Request("GET", f"{self.options.base_url.rstrip('/')}/v1/auth/token", params=parameters)
        )
        try:
            body = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            body = {}
        if answer.status_code == 429 or answer.status_code >= 500:
            raise SourceUnavailable(
                f"GET /v1/auth/token: the system failed ({answer.status_code})", where="GET /v1/auth/token"
            )
        if not isinstance(body, dict) or "access_token" not in body:
            raise SourceRefused(
                f"GET /v1/auth/token: refused ({answer.status_code})",
                advice="check client_id and client_secret of this connection, and that base_url is the API root before /v1",
                where="GET /v1/auth/token",
            )
        ends = float(body.get("expires_in", 0))
        return Token(str(body["access_token"]), ends)

    # --- what is there ---

    async def _area(self) -> str:
        """`/v1/pjm` or `/v1/project`, found out once."""
        if not self._flavour:
            self._flavour = "pjm"
            try:
                await self._http.get("/v1/pjm/projects", {"page_size": 1})
            except SourceRefused as problem:
                if "(404)" not in str(problem):
                    raise
                self._flavour = "project"
        return f"/v1/{self._flavour}"

    async def _list(self, path: str, params: Mapping[str, Any]) -> tuple[Walk, list[Row]]:
        walk = Walk(lambda number: self._page(path, params, number), PAGE, "id", self.options.concurrency)
        rows = [row async for page in walk.pages() for row in page]
        return walk, rows

    async def _page(self, path: str, params: Mapping[str, Any], number: int) -> RawPage:
        body = await self._http.get(path, {**params, "page_index": number, "page_size": PAGE})
        return _raw_page(body, path, number)

    async def _search_page(self, path: str, payload: Mapping[str, Any], number: int) -> RawPage:
        body = await self._http.post(
            path, {"mode": "query", "payload": {**payload, "page_index": number, "page_size": PAGE}}
        )
        return _raw_page(body, path, number)

    async def _projects(self, wanted: Sequence[str]) -> list[Row]:
        area = await self._area()
        _, rows = await self._list(f"{area}/projects", {"include_archived": "true", "include_deleted": "true"})
        if not wanted:
            return [r for r in rows if not r.get("is_deleted")]
        chosen = [r for r in rows if r.get("identifier") in wanted or r.get("id") in wanted]
        missing_projects(self.name, wanted, [(str(r.get("identifier")), str(r.get("id"))) for r in rows])
        return chosen

    async def check(self) -> Reachability:
        """Who we are: the team that the application belongs to."""
        projects = await self._projects(())
        try:
            team = await self._http.get("/v1/directory/team")
            account = str(team.get("name", "?"))
            missing: tuple[str, ...] = ()
        except SourceRefused:
            account, missing = "?", ("pcp:read:global:team",)
        return Reachability(account, len(projects), missing=missing, facts={"api": self._flavour})

    # --- the pull ---

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """Changed milestones of the wanted projects; everything on the first pull and on a full one."""
        memory = _Memory() if request.full else _Memory.load(request.cursor)
        self._flavour = self._flavour or memory.flavour
        projects = await self._projects(request.projects)
        since = None if memory.watermark == 0 else datetime.fromtimestamp(memory.watermark, request.now.tzinfo)
        if since is not None and since > request.now:
            since = request.now  # a cursor from the future finds nothing old
        await self._learn_types(projects, memory)
        async for page in self._work_items(projects, memory, since):
            yield page
        async for page in self._plans(projects, since):
            yield page
        memory.watermark, memory.flavour = int(request.now.timestamp()), self._flavour
        yield Page((), cursor=memory.dump(), last=True)

    async def _learn_types(self, projects: Sequence[Row], memory: _Memory) -> None:
        """The ids of milestone and phase types, by project; remembered in the cursor."""
        if not {"milestone", "phase"} & set(self.options.milestones):
            return
        area = await self._area()
        for project in projects:
            if project["id"] in memory.types or project.get("type") not in ("waterfall", "hybrid"):
                continue
            _, rows = await self._list(f"{area}/work_item/types", {"project_id": project["id"]})
            plans = {
                str(r["id"]): str(r["name"])
                for r in rows
                if r.get("group") == "plan" and r.get("name") in self.options.type_names
            }
            memory.types[str(project["id"])] = plans

    async def _work_items(
        self, projects: Sequence[Row], memory: _Memory, since: datetime | None
    ) -> AsyncIterator[Page]:
        planned = [p for p in projects if memory.types.get(str(p["id"]))]
        by_id = {str(p["id"]): p for p in planned}
        for start in range(0, len(planned), PROJECTS_AT_ONCE):
            some = planned[start : start + PROJECTS_AT_ONCE]
            kinds = {t: n for p in some for t, n in memory.types[str(p["id"])].items()}
            for walks, ids in self._walks(some, kinds, since):
                for walk in walks:
                    async for rows in walk.pages():
                        mine = [r for r in rows if str(r.get("type")) in kinds and not _older(r, since, self._flavour)]
                        yield await self._observed(mine, kinds, by_id, len(rows))
                if since is None and all(w.complete for w in walks):
                    yield Page((), snapshot_of=tuple(ids))

    def _walks(
        self, projects: Sequence[Row], kinds: Mapping[str, str], since: datetime | None
    ) -> list[tuple[list[Walk], list[str]]]:
        """Lists to walk, with the projects they cover: one for many projects in the older generation, one for
        each project and type, or a search, in the newer."""
        ids = [str(p["id"]) for p in projects]
        area, ahead = f"/v1/{self._flavour}/work_items", self.options.concurrency
        both = {"include_deleted": "true", "include_archived": "true"}
        if self._flavour == "project":
            query: dict[str, Any] = {"project_ids": ",".join(ids), "type_ids": ",".join(kinds), **both}
            if since is not None:
                query["updated_between"] = (
                    f"{int((since - OVERLAP['project']).timestamp())},{int(since.timestamp()) + 10 * 366 * 86400}"
                )
            return [([Walk(lambda n: self._page(area, query, n), PAGE, "id", ahead)], ids)]
        if since is not None:
            bound = int((since - OVERLAP["pjm"]).timestamp())
            filters = {"project.id": {"in": ids}, "updated_at": {"gte": bound}}
            payload = {"filter": filters, "include_deleted": True, "include_archived": True}
            return [([Walk(lambda n: self._search_page(f"{area}/search", payload, n), PAGE, "id", ahead)], ids)]
        return [([self._by_type(area, {"project_id": p, "type_id": t, **both}) for t in kinds], [p]) for p in ids]

    def _by_type(self, area: str, query: Mapping[str, Any]) -> Walk:
        return Walk(lambda number: self._page(area, query, number), PAGE, "id", self.options.concurrency)

    async def _observed(
        self, rows: Sequence[Row], kinds: Mapping[str, str], projects: Mapping[str, Row], seen: int
    ) -> Page:
        good: list[Observation] = []
        bad: list[Rejected] = []
        for row in rows:
            try:
                history = await self._history(row)
                good.append(
                    mapping.work_item(
                        self.name, row, kinds, projects, history, self.options.done_states, self.options.accepted_states
                    )
                )
            except BadRow as problem:
                bad.append(rejected(self.name, row, "id", problem))
        return Page(tuple(good), tuple(bad), seen=seen)

    async def _history(self, row: Row) -> list[Row]:
        """State changes of a done item: who and when. Open items are asked too once they had been done."""
        state = row.get("state")
        done = isinstance(state, dict) and state.get("type") in ("completed", "closed")
        if not done or row.get("is_deleted"):
            return []
        try:
            _, rows = await self._list(f"/v1/{self._flavour}/work_items/{row['id']}/transition_histories", {})
        except SourceRefused:
            return []  # gone meanwhile, or no history for this kind: the grade says so
        return rows

    async def _plans(self, projects: Sequence[Row], since: datetime | None) -> AsyncIterator[Page]:
        """Sprints, releases and project progress, where wanted."""
        lists = {"sprint": ("sprints", mapping.sprint), "release": ("versions", mapping.release)}
        bound = {} if since is None else {"updated_between": f"{int((since - OVERLAP['pjm']).timestamp())},"}
        for project in projects:
            for kind, (path, build) in lists.items():
                if kind in self.options.milestones:
                    yield await self._plan(project, path, bound, build)
            if self.options.progress:
                counts = await self._http.get(f"/v1/{self._flavour}/projects/{project['id']}/progress")
                yield self._measured(project, counts)

    async def _plan(self, project: Row, path: str, bound: Mapping[str, str], build: mapping.Build) -> Page:
        _, rows = await self._list(f"/v1/{self._flavour}/projects/{project['id']}/{path}", bound)
        good: list[Observation] = []
        bad: list[Rejected] = []
        for row in rows:
            try:
                good.append(build(self.name, row, project))
            except BadRow as problem:
                bad.append(rejected(self.name, row, "id", problem))
        return Page(tuple(good), tuple(bad), seen=len(rows))

    def _measured(self, project: Row, counts: Any) -> Page:
        try:
            return Page((mapping.progress(self.name, project, counts),), seen=1)
        except BadRow as problem:
            return Page((), (rejected(self.name, project, "id", problem),), seen=1)


def _raw_page(body: object, path: str, number: int) -> RawPage:
    if not isinstance(body, dict) or not isinstance(body.get("values"), list):
        raise BadPayload(f"{path}: no list of values in the answer", advice="base_url may not be PingCode's API root")
    if body.get("page_index", number) != number:
        raise BadPayload(
            f"{path}: asked for page {number}, got {body.get('page_index')}",
            advice="tell the vendor; the walk stops rather than loop",
        )
    total = body.get("total")
    return RawPage([r for r in body["values"] if isinstance(r, dict)], total if isinstance(total, int) else None)


def _older(row: Row, since: datetime | None, flavour: str) -> bool:
    """A row before the bound that was asked for: the filter was ignored, the row is old news."""
    updated = row.get("updated_at")
    return (
        since is not None
        and isinstance(updated, int)
        and updated < int((since - OVERLAP[flavour] - timedelta(days=1)).timestamp())
    )


def _judge(status: int, body: Any, headers: Mapping[str, str]) -> SourceError | None:
    """The vendor says 400 where others say 401 or 404; the code tells."""
    del headers
    code = str(body.get("code", "")) if isinstance(body, dict) else ""
    if status == 401:
        return TokenRefused("not authorised (401)", advice="check client_id and client_secret of this connection")
    if code == "100024":
        return SourceRefused(
            "client_id or client_secret is wrong (100024)", advice="check the credentials of this connection"
        )
    if status == 400 and code in GONE:
        return SourceRefused(f"it is gone (code {code})", advice="the object was deleted or moved")
    if status == 400 and code:
        return SourceRefused(
            f"refused (400, code {code})",
            advice="this version of PingCode wants something else; tell the connector's author",
        )
    return None


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
) -> PingCode:
    """A PingCode source from checked options."""
    values = checked_options(name, CONNECTOR, options)
    if values.get("api_flavour", "auto") not in ("auto", "project", "pjm"):
        raise SourceConfig(
            f"[connections.{name}] api_flavour is {values['api_flavour']!r}", advice="auto, project or pjm"
        )
    return PingCode(name, PingCodeOptions(**values), clock, transport)


CONNECTOR = ConnectorInfo(
    system="pingcode",
    title="PingCode",
    options=(
        Option("base_url", required=True, help="API root before /v1: https://open.pingcode.com, or https://HOST/open"),
        Option("client_id", required=True, help="of the application in the admin console"),
        Option("client_secret", required=True, secret=True, help="of the application; read scopes are enough"),
        Option("api_flavour", default="auto", help="auto, project (older, private installations) or pjm"),
        Option("milestones", default=("milestone", "phase"), help="milestone, phase, sprint, release"),
        Option(
            "type_names",
            default=("里程碑", "阶段", "Milestone", "Phase"),
            help="names of the work-item types of group plan that count",
        ),
        Option("done_states", default=(), help="names of states that mean done; none: states of type completed"),
        Option("accepted_states", default=(), help="names of states that mean the customer accepted"),
        Option("progress", default=False, help="also read each project's percentage"),
        Option("per_minute", default=180, help="our own limit of requests a minute (the vendor's is 200); 0: none"),
        Option("concurrency", default=8, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
)
