"""ClickUp as a source (API v2): the milestones of lists.

Each list is read whole each night, in one request up to 100 milestones: only so a deleted one is noticed. Archived tasks
are in no list unless they are asked for, and an archived milestone was reached all the same: they are asked for at first,
where there were some, and where the list does not hold what it held the last night. A project is a list, not a folder or
a space: of those an archived list would go missing, and its milestones with it.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import httpx
import orjson

from connectors.clickup import mapping
from connectors.clickup.comments import Comments
from connectors.errors import BadPayload, SourceConfig
from connectors.http.agreement import Agreements
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Policy
from connectors.http.fields import text_or_none
from connectors.http.hooks import CLICKUP
from connectors.http.named import Named, Place
from connectors.http.paging import Chain, Row, objects, together
from connectors.http.source import Listing, Project, RestSource
from connectors.registry import ConnectorInfo, Option, checked_options, one_of
from models.domain.observations import Observation
from models.ports import Reachability

COUNTED_MAX = 20  # `check` counts the milestones of no more projects than that
KINDS = ("milestone", "type:", "list:")
DROPPED = ("cancelled", "canceled", "rejected", "won't do", "abandoned", "已取消", "已拒绝", "已放弃")


@dataclass(frozen=True, slots=True)
class ClickUpOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    token: str
    base_url: str = "https://api.clickup.com/api"
    workspaces: tuple[str, ...] = ()
    milestones: tuple[str, ...] = ("milestone",)
    dropped_states: tuple[str, ...] = DROPPED
    per_minute: int = 90
    concurrency: int = 4
    timeout: float = 30.0

    def named(self, kind: str) -> tuple[str, ...]:
        """What stands behind `kind:` in `milestones`."""
        return tuple(m.partition(":")[2] for m in self.milestones if m.startswith(f"{kind}:"))


class ClickUp(RestSource):
    """The workspaces ("teams" in the interface) that one account sees."""

    def __init__(self, name: str, options: ClickUpOptions, http: Http) -> None:
        super().__init__(name, http)
        self.options = options
        self.named = Named(name, "milestones", options.named("list"))
        self.dropped = frozenset(s.casefold() for s in options.dropped_states)
        self.archives: set[str] = set()  # projects whose archived tasks are asked for in this pull
        self._teams: list[Row] = []
        self._types: dict[str, frozenset[int]] = {}  # by team: the types that are milestones
        self._agreements = Agreements()

    # --- what is there ---

    async def account(self) -> str:
        """Whose token it is."""
        who = (await self._object("/v2/user")).get("user")
        if not isinstance(who, dict):
            raise BadPayload("no_object", where="GET /v2/user")
        return text_or_none(who, "username") or text_or_none(who, "email") or str(who.get("id"))

    async def prepare(self) -> None:
        """The workspaces, and the numbers of the types that are named. Raises SourceConfig for one that none has."""
        teams = await self._list("/v2/team", "teams")
        wanted = self.options.workspaces
        self._teams = [t for t in teams if not wanted or t["id"] in wanted or t.get("name") in wanted]
        own = {mapping.MILESTONE} if "milestone" in self.options.milestones else set()
        named = self.options.named("type")
        known: set[str] = set()
        for team in self._teams:
            types = await self._items(team) if named else {}
            known |= set(types)
            self._types[team["id"]] = frozenset(own | {types[n] for n in named if n in types})
        absent = [n for n in named if n not in known]
        if absent:
            near = [m for a in absent for m in difflib.get_close_matches(a, known, cutoff=0.3)] or sorted(known)
            raise SourceConfig("type_absent", connection=self.name, key="milestones", absent=", ".join(absent), near=", ".join(near) or "-")  # fmt: skip

    async def _items(self, team: Row) -> dict[str, int]:
        path = f"/v2/team/{team['id']}/custom_item"
        rows = objects((await self._object(path)).get("custom_items"), f"GET {path}")
        return {str(r.get("name")): number for r in rows if isinstance(number := r.get("id"), int)}

    async def projects(self) -> list[Project]:
        """All lists that are not archived; people know them by their path of names."""
        spaces = await together([self._list(f"/v2/team/{t['id']}/space", "spaces") for t in self._teams])
        pairs = [(t["id"], s) for t, own in zip(self._teams, spaces, strict=True) for s in own]
        found = await together([self._inside(team, space) for team, space in pairs])
        return [p for own in found for p in own]

    async def _inside(self, team: str, space: Row) -> list[Project]:
        """The projects of a space."""
        root = f"/v2/space/{space['id']}"
        folders, loose = await together([self._list(f"{root}/folder", "folders"), self._list(f"{root}/list", "lists")])
        lists = [(f, one) for f in folders for one in _identified(f.get("lists"), f"{root}/folder")]
        name = str(space.get("name"))
        return [
            *(_project(team, one, [name, str(f.get("name")), str(one.get("name"))]) for f, one in lists),
            *(_project(team, one, [name, str(one.get("name"))]) for one in loose),
        ]

    async def _checked(self) -> Reachability:
        """The account and what it sees."""
        account = await self.account()
        await self.prepare()
        projects = await self.projects()
        await self.look_for_names(projects)
        counted = projects if len(projects) <= COUNTED_MAX else []
        pages = await together([self.page(p, 0, archived=False) for p in counted if self._may_hold(p)])
        whole = bool(counted) and all(last for _, last in pages)
        count = sum(len(rows) for rows, _ in pages)
        return Reachability(account, len(projects), count if whole else None, self.http.rate_left)

    async def places(self, projects: Sequence[Project]) -> Sequence[Place]:
        """The lists themselves, which are the projects."""
        return [Place(p.id, p.key, frozenset((p.name,))) for p in projects]

    async def _object(self, path: str, params: Mapping[str, Any] | None = None) -> Row:
        body = await self.http.get(path, params)
        if not isinstance(body, dict):
            raise BadPayload("no_object", where=f"GET {path}")
        return body

    async def _list(self, path: str, name: str) -> list[Row]:
        """A list that comes in one answer."""
        return _identified((await self._object(path)).get(name), f"GET {path}")

    # --- the tasks of a list ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """The list, where it may hold milestones by the configuration."""

        def start(_since: datetime | None) -> Chain:
            walk = _Walk(self, project) if self._may_hold(project) else None
            fetch = walk.fetch if walk else _nothing
            return self._agreements.chain(project.id, fetch, "id", self.before.kept, self.after.kept)

        return [Listing(start, lambda row, _detail: self._seen(project, row), mapping.KIND)]

    def _types_of(self, project: Project) -> frozenset[int]:
        return self._types[project.row["team"]]

    def _may_hold(self, project: Project) -> bool:
        return bool(self._types_of(project)) or self._all_count(project)

    def _all_count(self, project: Project) -> bool:
        """Is it a list all of whose tasks are milestones?"""
        return project.name in self.options.named("list")

    def _seen(self, project: Project, row: Row) -> Observation | None:
        if not self._all_count(project) and mapping.type_of(row) not in self._types_of(project):
            return None
        return mapping.task(self.name, row, project, self.dropped)

    async def page(self, project: Project, number: int, *, archived: bool) -> tuple[list[Row], bool]:
        """A page of a list's tasks, closed ones and subtasks too, and whether it is the last."""
        path = f"/v2/list/{project.id}/task"
        asked: dict[str, Any] = {
            "page": number, "order_by": "created", "include_closed": True, "subtasks": True, "archived": archived,
        }  # fmt: skip
        if not self._all_count(project):
            asked["custom_items[]"] = sorted(self._types_of(project))
        body = await self._object(path, asked)
        rows, last = objects(body.get("tasks"), f"GET {path}"), body.get("last_page")
        if not isinstance(last, bool):
            raise BadPayload("no_object", where=f"GET {path}")
        return [{**r, "archived": True} for r in rows] if archived else rows, last or not rows


class _Walk:
    """One walk over a list: its tasks page by page, and its archived ones where they are asked for."""

    def __init__(self, source: ClickUp, project: Project) -> None:
        self._source, self._project = source, project
        self._live: set[str] = set()
        self._stored = False  # are there archived milestones
        self._before = source.before.kept.get(f"live:{project.id}", "")
        if not self._before or self._before.endswith("+"):
            source.archives.add(project.id)

    async def fetch(self, token: str | None) -> tuple[list[Row], str | None]:
        """A page of each part that has one more; the token says which, and the page's number."""
        number, parts = orjson.loads(token) if token else (0, self._parts())
        rows, more = await self._pages(number, parts)
        if not more and self._moved() and self._project.id not in self._source.archives:
            self._source.archives.add(self._project.id)
            archived, more = await self._pages(number := 0, [True])
            rows += archived
            self._moved()
        return rows, orjson.dumps([number + 1, more]).decode() if more else None

    async def _pages(self, number: int, parts: list[bool]) -> tuple[list[Row], list[bool]]:
        """The rows of a page of each part, and the parts that have one more."""
        pages = await together([self._source.page(self._project, number, archived=p) for p in parts])
        rows = [r for part, (found, _) in zip(parts, pages, strict=True) for r in self._taken(found, archived=part)]
        return rows, [part for part, (_, last) in zip(parts, pages, strict=True) if not last]

    def _parts(self) -> list[bool]:
        return [False, True] if self._project.id in self._source.archives else [False]

    def _taken(self, rows: list[Row], *, archived: bool) -> list[Row]:
        """The rows; what is in the list already is not archived, whatever the filter gives."""
        if archived:
            rows = [r for r in rows if str(r.get("id")) not in self._live]
            self._stored = self._stored or bool(rows)
        else:
            self._live |= {str(r.get("id")) for r in rows}
        return rows

    def _moved(self) -> bool:
        """Does the list not hold what it held the last night? Keeps its sign for the next."""
        sign = blake2b("\n".join(sorted(self._live)).encode(), digest_size=8).hexdigest()
        self._source.after.kept[f"live:{self._project.id}"] = sign + ("+" if self._stored else "-")
        return sign != self._before[:-1]


async def _nothing(token: str | None) -> tuple[list[Row], str | None]:
    del token
    return [], None


def _identified(rows: object, where: str) -> list[Row]:
    """Rows with their ids, which go into paths. Raises BadPayload where one has none."""
    found = objects(rows, where)
    if not all(str(r.get("id", "")).isalnum() for r in found):
        raise BadPayload("project_without_id", where=where)
    return [{**r, "id": str(r["id"])} for r in found]


def _project(team: str, row: Row, path: Sequence[str]) -> Project:
    return Project(row["id"], "/".join(path), path[-1], {"team": team})


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> ClickUp:
    """A ClickUp source from checked options."""
    values = ClickUpOptions(**checked_options(name, CONNECTOR, options))
    for kind in values.milestones:
        one_of(name, "milestones", kind.partition(":")[0] + (":" if ":" in kind else ""), KINDS)
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    http = Http(
        values.base_url, ApiKey("Authorization", values.token), clock=clock, sleep=sleep, policy=policy,
        transport=transport, secrets=(values.token,),
    )  # fmt: skip
    return ClickUp(name, values, http)


def _fake() -> object:
    from connectors.clickup.fake import ClickUpFake

    return ClickUpFake()


CONNECTOR = ConnectorInfo(
    system="clickup",
    title="ClickUp",
    options=(
        Option(
            "token",
            required=True,
            secret=True,
            help='personal token (pk_…) of an account that may view the lists, or "Bearer …" of an OAuth application',
        ),
        Option("base_url", default="https://api.clickup.com/api", help="before /v2"),
        Option("workspaces", default=(), help="names or ids of the workspaces that are read; none: all"),
        Option(
            "milestones",
            default=("milestone",),
            help='milestone, "type:NAME" (tasks of a type of your own), "list:NAME" (all tasks of the lists of that name)',
        ),
        Option("dropped_states", default=DROPPED, help="statuses that mean given up, not done, though they end a task"),
        Option(
            "per_minute", default=90, help="our own limit of requests a minute (the smallest plans have 100); 0: none"
        ),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=CLICKUP,
    commenter=lambda source: Comments(source.http),
)
