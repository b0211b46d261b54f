"""The pull that most REST sources share: projects, their lists of milestones, rows into observations.

A connector derives from `RestSource` and says four things: who the account is, which projects it sees, which
lists of a project hold milestones, and what a row means. The base keeps the cursor, looks back a little,
reads everything anew from time to time, tells what is gone, and sends rows it cannot trust to quarantine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

import orjson

from connectors.http.agreement import believed
from connectors.http.client import Http
from connectors.http.fields import BadRow, rejected
from connectors.http.named import Named, Place
from connectors.http.paging import WALKS_MAX, Chain, Row, Walk, side_by_side, together
from connectors.http.probe import LISTS_MAX, counted, permitted
from connectors.http.shape import as_agreed
from connectors.registry import missing_projects, none_left
from models.domain.observations import Observation, Page, Rejected
from models.ports import PullRequest, Reachability


@dataclass(frozen=True, slots=True)
class Project:
    """A project as the source names it: `key` is what people write in bindings."""

    id: str
    key: str
    name: str
    row: Row = field(default_factory=dict)


async def _no_details(rows: Sequence[Row]) -> Mapping[str, Any]:
    del rows
    return {}


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of a project that holds milestones.

    `start(since)` begins a walk over the rows that changed since (None: over all); `observe(row, detail)` gives
    the observation, None for a row that is no milestone, and raises BadRow for one that cannot be trusted.
    `details(rows)` fetches what a page of rows needs besides, by the row's id (as text).
    """

    start: Callable[[datetime | None], Walk | Chain]
    observe: Callable[[Row, Any], Observation | None]
    kind: str = ""  # stands before the ids, with a colon, where a source has several kinds
    key: str = "id"  # the field that identifies a row
    incremental: bool = False  # does `start` honour `since`?
    tells_all: bool = True  # False: `observe` gives None for milestones that did not change, too; needs `kind`
    details: Callable[[Sequence[Row]], Awaitable[Mapping[str, Any]]] = _no_details
    unchanged: Callable[[], Awaitable[bool]] | None = None  # asked first: is the list as it was (ETag, sync token)?


@dataclass(slots=True)
class Memory:
    """What the cursor carries from one complete pull to the next; times are unix seconds."""

    since: int = 0
    whole: int = 0  # when everything was last read
    projects: set[str] = field(default_factory=set)
    kept: dict[str, str] = field(default_factory=dict)  # the connector's own: ETags, sync tokens

    def dump(self) -> str:
        """As the cursor's text."""
        return orjson.dumps([self.since, self.whole, sorted(self.projects), self.kept]).decode()

    @classmethod
    def load(cls, request: PullRequest) -> Memory:
        """An unreadable cursor is none; one from the future counts as now."""
        try:
            since, whole, projects, kept = orjson.loads(request.cursor or "null")
            found = cls(int(since), int(whole), set(projects), dict(kept))
        except (ValueError, TypeError):
            return cls()
        now = int(request.now.timestamp())
        found.since, found.whole = min(found.since, now), min(found.whole, now)
        return cls() if request.full else found


class RestSource(ABC):
    """A source made of projects with lists of milestones. Used as an async context manager."""

    overlap: ClassVar[timedelta] = timedelta(minutes=10)  # how far a changed-since filter looks back
    at_once: ClassVar[int] = 4  # projects read side by side

    def __init__(self, name: str, http: Http, *, reconcile_days: int = 7) -> None:
        self.name, self.http = name, http
        self.reconcile = timedelta(days=reconcile_days)
        self.remembered = Memory()  # what the last pull left
        self.before = Memory()  # the same, or nothing where all is to be read anew
        self.after = Memory()  # what this one will leave
        self.named: Named | None = None  # the configuration's names for parts of projects, where there are such

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.http.__aexit__(*exc)

    # --- what a connector says ---

    @abstractmethod
    async def account(self) -> str:
        """Who the credentials belong to. Asked first: many systems answer a bad key with empty lists."""

    @abstractmethod
    async def projects(self) -> list[Project]:
        """All projects that the account sees."""

    @abstractmethod
    def listings(self, project: Project) -> Sequence[Listing]:
        """The lists of a project that hold milestones."""

    async def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Fetch what all rows need (states, types) once a pull, before any list. Raises SourceConfig."""

    async def places(self, projects: Sequence[Project]) -> Sequence[Place]:
        """Where the names of `named` may stand: mostly the projects with their parts. Asked only where names are given."""
        raise NotImplementedError(
            f"{type(self).__name__} sets `named` and has no `places` for {len(projects)} projects"
        )

    # --- what the base does with it ---

    async def check(self) -> Reachability:
        """The account behind the credentials, what it sees, and whether it may read the lists.

        Beside the account and the projects that costs one request for each list, twenty at most.
        """
        with as_agreed(self.http):
            return await self._checked()

    async def _checked(self) -> Reachability:
        """What `check` says; for connectors that can say more."""
        account = await self.account()
        await self.prepare()
        projects = await self.projects()
        await self.look_for_names(projects)
        milestones, missing = await permitted(lambda: self.probe(projects))
        return Reachability(account, len(projects), milestones, self.http.rate_left, missing)

    async def probe(self, projects: Sequence[Project]) -> int | None:
        """How many milestones there are, where the lists are few and short; of many lists one is tried. Raises SourceRefused."""
        lists = [one for p in projects[: LISTS_MAX + 1] for one in self.listings(p)]
        if len(lists) > LISTS_MAX or len(projects) > LISTS_MAX:
            await together([counted(one) for one in lists[:1]])
            return None
        found = await together([counted(one) for one in lists])
        return None if None in found else sum(n or 0 for n in found)

    async def look_for_names(self, projects: Sequence[Project]) -> None:
        """Are the names of the configuration there, and where they were? Raises SourceConfig."""
        if self.named is not None and self.named.wanted:
            found = self.named.compare(await self.places(projects), self.remembered.kept)
            self.after.kept |= found

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """All milestones that changed; all of them at first, and again every `reconcile_days`."""
        now = int(request.now.timestamp())
        self.remembered = self.before = Memory.load(request)
        due = now - self.before.whole >= self.reconcile.total_seconds()
        if due:
            self.before = Memory()
        self.after = Memory(now, now if due else self.before.whole)
        with as_agreed(self.http):
            projects = await self._begun(request)
        self.after.projects = {p.id for p in projects}
        readers = [lambda p=p: self._project(p) for p in projects]
        async for page in side_by_side(readers, self.at_once):
            yield page
        yield Page((), cursor=self.after.dump(), last=True, projects=tuple(sorted(self.after.projects)))

    async def _begun(self, request: PullRequest) -> list[Project]:
        """What comes before the lists: who we are, what all rows need, and the projects to read."""
        await self.account()
        await self.prepare()
        projects = await self._wanted(request.projects)
        if not request.projects:
            none_left(self.name, self.remembered.projects, projects)
        await self.look_for_names(projects)
        return projects

    async def _wanted(self, wanted: Sequence[str]) -> list[Project]:
        found = await self.projects()
        if not wanted:
            return found
        missing_projects(self.name, wanted, [(p.key, p.id) for p in found])
        return [p for p in found if p.key in wanted or p.id in wanted]

    async def _project(self, project: Project) -> AsyncIterator[Page]:
        """The milestones of one project; what was read whole says what is left."""
        alive: set[str] = set()
        listings = self.listings(project)
        whole = 0
        for listing in listings:
            ids: set[str] = set()
            reader = _Reader(self, project, listing, ids)
            async for page in reader.pages(self._since(project, listing)):
                yield page
            if reader.whole:
                whole += 1
                alive |= {*ids, f"{listing.kind}:"} if listing.kind else set()
        if whole == len(listings) and all(one.tells_all for one in listings):
            yield Page((), project_id=project.id, snapshot_of=(project.id,))
        elif alive:
            yield Page((), project_id=project.id, alive=tuple(sorted(alive)))

    def _since(self, project: Project, listing: Listing) -> datetime | None:
        if not listing.incremental or not self.before.since or project.id not in self.before.projects:
            return None
        return datetime.fromtimestamp(self.before.since, UTC) - self.overlap


@dataclass(slots=True)
class _Reader:
    """Reads one listing; `ids` gathers the milestones seen, `whole` says that none was missed."""

    source: RestSource
    project: Project
    listing: Listing
    ids: set[str]
    whole: bool = False

    async def pages(self, since: datetime | None) -> AsyncIterator[Page]:
        """The rows of a walk as pages; walked again where rows moved meanwhile."""
        if self.listing.unchanged is not None and await self.listing.unchanged():
            return
        name, source = f"walk:{self.project.id}:{self.listing.kind}", self.source
        for _ in range(WALKS_MAX):
            walk = self.listing.start(since)
            async for rows in self._rows(walk):
                yield await self._page(rows)
            if believed(walk, name, source.before.kept, source.after.kept):
                self.whole = since is None
                return
        yield Page((), torn=(self.project.id,))

    async def _rows(self, walk: Walk | Chain) -> AsyncIterator[list[Row]]:
        with as_agreed(self.source.http):
            async for rows in walk.pages():
                yield rows

    async def _page(self, rows: Sequence[Row]) -> Page:
        listing, good, bad = self.listing, list[Observation](), list[Rejected]()
        prefix = f"{listing.kind}:" if listing.kind else ""
        with as_agreed(self.source.http):
            details = await listing.details(rows)
        for row in rows:
            identity = str(row.get(listing.key))
            self.ids.add(prefix + identity)
            try:
                seen = listing.observe(row, details.get(identity))
            except BadRow as problem:
                bad.append(rejected(self.source.name, row, listing.key, problem, prefix))
            else:
                if seen is not None:
                    good.append(seen)
        return Page(tuple(good), tuple(bad), project_id=self.project.id, seen=len(rows))
