"""monday.com as a source (GraphQL).

Requests are few on small plans (1,000 a day), so one request asks for many boards whether anything happened
since the last pull; a board with an event is read whole, and the log is asked for its done items by the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import httpx
import orjson

from connectors.errors import BadPayload, SourceConfig
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Policy
from connectors.http.fields import BadRow
from connectors.http.graphql import Dialect, GraphQL, judge
from connectors.http.hooks import MONDAY
from connectors.http.named import Named, Place
from connectors.http.paging import Chain, RawPage, Row, Walk, objects, settled
from connectors.http.source import Listing, Project, RestSource
from connectors.monday import mapping, queries
from connectors.monday.comments import Comments
from connectors.monday.mapping import Change, Columns, Labels
from connectors.registry import ConnectorInfo, Option, checked_options, one_of
from models.domain.observations import Observation
from models.ports import Reachability

BOARDS_PAGE = 50
PAGE = 100  # 500 is the limit; every item costs complexity
LOG_PAGE = 1000
LOG_MAX = 10_000  # the vendor tells no more events than these
WHERE = "POST /v2"
#: Codes of the vendor's pages on limits and errors, older spellings too.
DIALECT = Dialect(
    throttled=(
        "COMPLEXITY_BUDGET_EXHAUSTED", "ComplexityException", "maxConcurrencyExceeded", "CONCURRENCY_LIMIT_EXCEEDED",
        "IP_RATE_LIMIT_EXCEEDED", "RATE_LIMIT_EXCEEDED", "MINUTE_LIMIT_EXCEEDED", "FIELD_MINUTE_RATE_LIMIT_EXCEEDED",
    ),
    spent=("DAILY_LIMIT_EXCEEDED",),
    passing=("INTERNAL_SERVER_ERROR", "API_TEMPORARILY_BLOCKED"),
    login=("NOT_AUTHENTICATED", "UNAUTHENTICATED"),
    forbidden=("UserUnauthorizedException", "USER_UNAUTHORIZED", "USER_ACCESS_DENIED", "missingRequiredPermissions", "FORBIDDEN"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MondayOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    api_key: str
    base_url: str = "https://api.monday.com"
    api_version: str = "2026-07"
    milestones: tuple[str, ...] = ("item",)
    status_column: str = ""
    planned_column: str = ""
    done_labels: tuple[str, ...] = ()
    accepted_labels: tuple[str, ...] = ()
    reconcile_days: int = 7
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 60.0

    @property
    def groups(self) -> frozenset[str]:
        """The groups, by title or id, whose items are milestones."""
        return frozenset(m.partition(":")[2] for m in self.milestones if m.startswith("group:"))


class Monday(RestSource):
    """One monday.com account."""

    def __init__(self, name: str, options: MondayOptions, http: Http) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options = options
        self.named = Named(name, "milestones", options.groups)
        self.graph = GraphQL(http, "/v2", {"API-Version": options.api_version})
        self._labels = Labels(frozenset(options.done_labels), frozenset(options.accepted_labels))
        self._quiet: set[str] = set()  # boards without an event since the last pull
        self._people: dict[str, str] = {}
        self._budget: str | None = None

    # --- what is there ---

    async def account(self) -> str:
        """Whose key it is; with it comes the complexity budget that is left in this minute."""
        data = await self.graph.ask(queries.ME)
        me, budget = data.get("me"), data.get("complexity")
        if not isinstance(me, dict) or not me.get("id"):
            raise BadPayload("no_object", where=WHERE)
        if isinstance(budget, dict):
            self._budget = str(budget.get("after"))
        company = me.get("account")
        named = company.get("name") if isinstance(company, dict) else None
        who = str(me.get("name") or me["id"])
        return f"{who} ({named})" if named else who

    async def _checked(self) -> Reachability:
        """With the complexity left; `notes` are the boards that hold no milestones for want of a clear status column."""
        account = await self.account()
        boards = await self.projects()
        await self.look_for_names([b for b in boards if self._columns(b) is not None])
        without = tuple(b.name for b in boards if self._columns(b) is None)
        return Reachability(account, len(boards), self._counted(boards), self._budget, notes=without)

    async def places(self, projects: Sequence[Project]) -> Sequence[Place]:
        """The groups of each board, under their titles and their ids."""
        return [Place(b.id, b.name, frozenset(_group_names(b))) for b in projects]

    def _counted(self, boards: Sequence[Project]) -> int | None:
        """How many milestones there are, where every item is one: the boards tell their number."""
        if self.options.milestones != ("item",):
            return None
        counts = [b.row.get("items_count") for b in boards if self._columns(b) is not None]
        return sum(c for c in counts if isinstance(c, int))

    async def projects(self) -> list[Project]:
        """All active boards. People know them by name: a name that two have names no milestone."""

        async def fetch(number: int, size: int) -> RawPage:
            data = await self.graph.ask(queries.BOARDS, limit=size, page=number + 1)
            rows = _list(data, "boards")
            return RawPage(rows, None, more=len(rows) >= size)

        rows, _ = await settled(lambda: Walk(fetch, BOARDS_PAGE, "id"))
        if any("id" not in r for r in rows):
            raise BadPayload("project_without_id", where=WHERE)
        boards = [r for r in rows if r.get("type") in (None, "board")]
        return [Project(str(r["id"]), str(r.get("name") or r["id"]), str(r.get("name", "")), r) for r in boards]

    async def _wanted(self, wanted: Sequence[str]) -> list[Project]:
        """The boards to read: those with a status column. One that was asked for, or had one before, must have it."""
        found = await super()._wanted(wanted)
        fit = [p for p in found if self._columns(p) is not None]
        unclear = [p for p in found if self._columns(p) is None and (wanted or p.id in self.before.projects)]
        if unclear:
            raise self._unclear(unclear[0])
        self._people = {}
        self._quiet = await self._without_events(fit)
        return fit

    def _unclear(self, board: Project) -> SourceConfig:
        """The board has no such status column, or more than one could be meant."""
        titles = [str(c.get("title")) for c in _columns(board) if c.get("type") == "status"]
        wanted, listed = self.options.status_column or "status", ", ".join(titles) or "-"
        return SourceConfig("status_column", connection=self.name, project=board.name, wanted=wanted, columns=listed)

    def _columns(self, board: Project) -> Columns | None:
        """What the board's columns mean; None: there is no status column, or it is not clear which."""
        status = _pick(_columns(board), self.options.status_column, ("status",), "status")
        if not status:
            return None
        planned = _pick(_columns(board), self.options.planned_column, ("date", "timeline"), "")
        wanted = "milestone_timeline" in self.options.milestones
        return Columns(status, planned, _pick(_columns(board), "", ("timeline",), "") if wanted else "")

    # --- what changed ---

    async def _without_events(self, boards: Sequence[Project]) -> set[str]:
        """The boards on which nothing happened since the last pull, fifty at a time."""
        before = self.before
        asked = [b.id for b in boards if before.since and before.kept.get(b.id) == self._rules(b)]
        since = datetime.fromtimestamp(before.since, UTC) - self.overlap
        quiet: set[str] = set()
        for start in range(0, len(asked), BOARDS_PAGE):
            some = asked[start : start + BOARDS_PAGE]
            moment = since.strftime("%Y-%m-%dT%H:%M:%SZ")
            data = await self.graph.ask(queries.EVENTS, boards=some, since=moment, limit=len(some))
            quiet |= {str(r.get("id")) for r in _list(data, "boards") if r.get("activity_logs") == []}
        return quiet

    def _rules(self, board: Project) -> str:
        """A sign for all that decides what a board's items mean, and for how many there are."""
        told = [board.name, board.row.get("items_count"), board.row.get("columns"), self.options.milestones,
                self.options.status_column, self.options.planned_column, self.options.done_labels, self.options.accepted_labels]  # fmt: skip
        return blake2b(orjson.dumps(told), digest_size=6).hexdigest()

    # --- a board ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """The board's items."""
        columns = self._columns(project)
        if columns is None:
            raise AssertionError(project.id)
        self.after.kept[project.id] = self._rules(project)

        async def quiet() -> bool:
            return project.id in self._quiet

        def observe(row: Row, log: Sequence[Change] | None) -> Observation | None:
            if not mapping.is_milestone(row, self.options.groups, columns):
                return None
            return mapping.item(self.name, row, project, columns, self._labels, log or ())

        async def details(rows: Sequence[Row]) -> Mapping[str, Any]:
            done = [str(r.get("id")) for r in rows if self._is_done(r, columns)]
            return await self._log(project, done, columns.status) if done else {}

        return [
            Listing(lambda _since: self._items(project, columns), observe, "item", details=details, unchanged=quiet)
        ]

    def _items(self, board: Project, columns: Columns) -> Chain:
        async def fetch(token: str | None) -> tuple[list[Row], str | None]:
            if token is None:
                data = await self.graph.ask(queries.ITEMS, board=board.id, columns=columns.ids, limit=PAGE)
                page = _the_board(data).get("items_page")
            else:
                data = await self.graph.ask(queries.NEXT_ITEMS, cursor=token, columns=columns.ids, limit=PAGE)
                page = data.get("next_items_page")
            if not isinstance(page, dict):
                raise BadPayload("no_object", where=WHERE)
            return objects(page.get("items"), WHERE), page.get("cursor") or None

        return Chain(fetch, "id")

    def _is_done(self, row: Row, columns: Columns) -> bool:
        try:
            if not mapping.is_milestone(row, self.options.groups, columns):
                return False
            cell = mapping.status_cell(mapping.cells_of(row), columns)
            return self._labels.is_done(cell["label"], cell["is_done"])
        except BadRow:
            return False  # the row goes to quarantine: its past does not matter

    async def _log(self, board: Project, items: Sequence[str], column: str) -> Mapping[str, list[Change]]:
        """The changes of the items' status as the board's log has them; how far it reaches depends on the plan."""
        entries: list[Row] = []
        for page in range(1, LOG_MAX // LOG_PAGE + 1):
            data = await self.graph.ask(
                queries.HISTORY, board=board.id, items=items, columns=[column], limit=LOG_PAGE, page=page
            )
            some = _list(_the_board(data), "activity_logs")
            entries += some
            if len(some) < LOG_PAGE:
                break
        await self._learn({str(e.get("user_id")) for e in entries})
        try:
            return mapping.log_of(entries, self._people, self._labels)
        except BadRow:
            return {}  # a log of another form proves nothing; the items have dates of their own

    async def _learn(self, users: set[str]) -> None:
        """The names of people, once a pull; automations have none."""
        new = sorted(users - self._people.keys())
        if new:
            rows = _list(await self.graph.ask(queries.USERS, ids=new, limit=len(new)), "users")
            names = {str(r.get("id")): str(r.get("name")) for r in rows}
            self._people |= {u: names.get(u) or f"users/{u}" for u in new}


def _columns(board: Project) -> list[Row]:
    found = board.row.get("columns")
    return [c for c in found if isinstance(c, dict) and not c.get("archived")] if isinstance(found, list) else []


def _group_names(board: Project) -> list[str]:
    found = board.row.get("groups")
    groups = [g for g in found if isinstance(g, dict)] if isinstance(found, list) else []
    return [str(g[name]) for g in groups for name in ("title", "id") if g.get(name)]


def _pick(columns: Sequence[Row], wanted: str, types: Sequence[str], usual: str) -> str:
    """The id of the column that is meant: by id or title; else the usual one, or the only one of its types."""
    fit = [c for c in columns if c.get("type") in types]
    if wanted:
        named = [c for c in fit if wanted == c.get("id")] or [c for c in fit if wanted == c.get("title")]
        return str(named[0]["id"]) if len(named) == 1 else ""
    by_habit = [c for c in fit if usual and c.get("id") == usual] or fit
    return str(by_habit[0]["id"]) if len(by_habit) == 1 else ""


def _list(data: Mapping[str, Any], name: str) -> list[Row]:
    """A list of the answer; monday.com puts null for what the account may not see."""
    found = data.get(name)
    return objects([r for r in found if r is not None] if isinstance(found, list) else found, WHERE)


def _the_board(data: Row) -> Row:
    boards = _list(data, "boards")
    if len(boards) != 1:
        raise BadPayload("no_object", where=WHERE)
    return boards[0]


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Monday:
    """A monday.com source from checked options."""
    values = MondayOptions(**checked_options(name, CONNECTOR, options))
    for kind in values.milestones:
        known = ("item", "group:", "milestone_timeline")
        one_of(name, "milestones", kind.partition(":")[0] + (":" if ":" in kind else ""), known)
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    http = Http(
        values.base_url, ApiKey("Authorization", values.api_key), clock=clock, sleep=sleep, policy=policy,
        judge=judge(DIALECT, clock), transport=transport, secrets=(values.api_key,),
    )  # fmt: skip
    return Monday(name, values, http)


def _fake() -> object:
    from connectors.monday.fake import MondayFake

    return MondayFake()


CONNECTOR = ConnectorInfo(
    system="monday",
    title="monday.com",
    options=(
        Option("api_key", required=True, secret=True, help="a personal token, or an application's with boards:read, users:read, me:read, account:read"),
        Option("base_url", default="https://api.monday.com", help="before /v2"),
        Option("api_version", default="2026-07", help="the version of the API that is asked for (YYYY-MM)"),
        Option("milestones", default=("item",), help='item (all of a board), "group:NAME" (those of a group), milestone_timeline (marked as milestone on the timeline)'),
        Option("status_column", default="", help="id or title of the status column; none: the one called status, or the only one"),
        Option("planned_column", default="", help="id or title of the date or timeline column; none: the only one"),
        Option("done_labels", default=(), help="labels that mean done; none: those the board marks as done"),
        Option("accepted_labels", default=(), help="labels that mean the customer accepted"),
        Option("reconcile_days", default=7, help="every so many days read every board, not only those with events"),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=60.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=MONDAY,
    commenter=lambda source: Comments(source.graph),
)  # fmt: skip
