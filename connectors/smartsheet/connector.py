"""Smartsheet as a source (API 2.0): rows of sheets.

One question lists all sheets with their versions; a sheet whose version is the one of the last night is not read. One
that changed is read whole, only so a deleted row is noticed; its rows are told where they changed, and the history of
the done cell, which is dear, is asked for done rows only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b

import httpx
import orjson

from connectors.errors import BadPayload, SourceError, SourceRefused, SourceUnavailable
from connectors.http.budget import Budget, Sleep
from connectors.http.client import ApiKey, Http, Json, Policy
from connectors.http.fields import BadRow, instant, text_or_none
from connectors.http.hooks import SMARTSHEET
from connectors.http.paging import RawPage, Row, Walk, objects, settled, together, total_of
from connectors.http.source import Listing, Project
from connectors.http.sparing import SparingSource
from connectors.http.waiting import asked_wait
from connectors.registry import ConnectorInfo, Option, checked_options, one_of
from connectors.smartsheet import mapping
from connectors.smartsheet.comments import Comments
from connectors.smartsheet.mapping import Columns, Rules
from models.domain.observations import Observation
from models.ports import Reachability

PAGE = 500
HISTORY_COST = (
    10  # requests that one question for a cell's history counts for [general knowledge, not in the description]
)
FULL_AGAIN = 60.0  # seconds after which the budget of a minute is full; a 429 does not say
#: Error codes that pass by themselves: server, rate, conflicting save [general knowledge].
PASSING = (4001, 4002, 4003, 4004)
BY_COLUMN = "column:TITLE=VALUE"  # the shape of a rule
DONE = ("Complete", "Completed", "Done", "已完成", "完成")


@dataclass(frozen=True, slots=True)
class SmartsheetOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    token: str
    base_url: str = "https://api.smartsheet.com/2.0"
    milestones: tuple[str, ...] = (mapping.ZERO_DURATION,)
    done_column: str = ""
    done_values: tuple[str, ...] = DONE
    planned_column: str = ""
    history: bool = True
    reconcile_days: int = 7
    per_minute: int = 250
    concurrency: int = 4
    timeout: float = 30.0

    @property
    def rules(self) -> Rules:
        """What matters to a row."""
        return Rules(self.milestones, self.done_column, self.done_values, self.planned_column)


class Smartsheet(SparingSource):
    """The sheets that one account sees. A sheet has no key: people know it by its name."""

    def __init__(self, name: str, options: SmartsheetOptions, http: Http, histories: Budget | None) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options = options
        self._histories = histories

    # --- what is there ---

    async def account(self) -> str:
        """Whose token it is."""
        who = await self.http.get("/users/me")
        if not isinstance(who, dict):
            raise BadPayload("no_object", where="GET /users/me")
        return text_or_none(who, "email") or str(who.get("id") or "?")

    async def projects(self) -> list[Project]:
        """All sheets, with their versions."""
        body = await self.http.get("/sheets", {"includeAll": True, "include": "sheetVersion"})
        rows = objects(body.get("data") if isinstance(body, dict) else None, "GET /sheets")
        if any(type(r.get("id")) is not int for r in rows):
            raise BadPayload("project_without_id", where="GET /sheets")
        return [Project(str(r["id"]), text_or_none(r, "name") or str(r["id"]), text_or_none(r, "name") or "", r) for r in rows]  # fmt: skip

    async def _checked(self) -> Reachability:
        """The account and its sheets, and whether the token may read them."""
        account = await self.account()
        try:
            projects = await self.projects()
            milestones = await self.probe(projects)
        except SourceRefused as problem:
            if problem.trouble.code != "no_permission":
                raise
            return Reachability(account, 0, missing=("READ_SHEETS",))
        return Reachability(account, len(projects), milestones, self.http.rate_left)

    # --- the rows of a sheet ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """Its rows."""
        sheet = _Sheet(self, project)
        return [Listing(sheet.walk, sheet.observe, mapping.KIND, details=sheet.details, unchanged=sheet.unchanged)]

    async def history(self, project: Project, row: Row, column: Row) -> list[Row]:
        """What the cell of a row held, since when and by whom."""
        path = f"/sheets/{project.id}/rows/{row['id']}/columns/{column['id']}/history"

        async def fetch(number: int, size: int) -> RawPage:
            if self._histories:
                await self._histories.acquire()
            body = await self.http.get(path, {"page": number + 1, "pageSize": size})
            if not isinstance(body, dict):
                raise BadPayload("no_object", where=f"GET {path}")
            rows = objects(body.get("data"), f"GET {path}")
            named = [{**r, "id": f"{number}/{n}"} for n, r in enumerate(rows)]
            return RawPage(named, total_of(body.get("totalCount")), len(rows) == size)

        rows, whole = await settled(lambda: Walk(fetch, 100, "id", 1))
        if not whole:
            raise BadPayload("moving_list", where=f"GET {path}")
        return rows


class _Sheet:
    """One sheet in one pull: its columns, and which of its rows were told before."""

    def __init__(self, source: Smartsheet, project: Project) -> None:
        self._source, self._project = source, project
        rules = orjson.dumps([project.name, project.row.get("permalink"), source.options.rules, source.options.history])
        self._key = f"{project.id}:{blake2b(rules, digest_size=8).hexdigest()}"
        self._columns = Columns.of((), source.options.rules)
        self._before = _loaded(source.before.kept.get(f"rows:{self._key}", ""))
        self._told: dict[str, str] = {}
        self._version: object = None
        self._settled = True  # nothing moved just now, nothing waits in quarantine

    async def unchanged(self) -> bool:
        """Is the sheet's version the one that was read the last time?"""
        key, rows = f"version:{self._key}", f"rows:{self._key}"
        before, now = self._source.before.kept.get(key), self._project.row.get("version")
        if not before:
            return False
        if now is None:
            body = await self._source.http.get(f"/sheets/{self._project.id}/version")
            now = body.get("version") if isinstance(body, dict) else None
        if str(now) != before:
            return False
        self._source.after.kept |= {
            k: self._source.before.kept[k] for k in (key, rows) if k in self._source.before.kept
        }
        return True

    def walk(self, _since: datetime | None) -> Walk:
        """All rows; read again where the sheet's version moved meanwhile."""
        self._version, self._settled, self._told = None, True, {}
        walk = _Whole(self._fetch, PAGE, "id", self._source.options.concurrency)
        walk.told = self._remember
        walk.moved = lambda: self._version is None
        return walk

    async def _fetch(self, number: int, size: int) -> RawPage:
        where = f"/sheets/{self._project.id}"
        body = await self._source.http.get(where, {"page": number + 1, "pageSize": size, "include": "rowPermalink"})
        total = total_of(body.get("totalRowCount")) if isinstance(body, dict) else None
        if total is None or type(body.get("version")) is not int:
            raise BadPayload("no_object", where=f"GET {where}")
        if number == 0:
            self._version = body["version"]
            self._columns = Columns.of(objects(body.get("columns"), f"GET {where}"), self._source.options.rules)
            self._settled = self._settled and self._at_rest(body)
            if self._columns.any_decides:
                self._source.saw(self._project, mapping.KIND)
        elif self._version != body["version"]:
            self._version = None
        return RawPage(objects(body.get("rows", []), f"GET {where}"), total)

    def _at_rest(self, row: Row) -> bool:
        """Did it change some time before this pull began? What is dated after that waits, and is told again."""
        try:
            moment = instant(row, "modifiedAt")
        except BadRow:
            return False
        return (
            moment is not None and moment < datetime.fromtimestamp(self._source.after.since, UTC) - self._source.overlap
        )

    def _remember(self) -> None:
        kept = self._source.after.kept
        kept[f"rows:{self._key}"] = orjson.dumps(self._told).decode()
        if self._settled:
            kept[f"version:{self._key}"] = str(self._version)

    def observe(self, row: Row, history: list[Row] | None) -> Observation | None:
        """The milestone; None for another row, and for one that is as it was told."""
        source = self._source
        try:
            if not self._columns.is_milestone(row):
                return None
            source.saw(self._project, mapping.KIND, row.get("id"))
            if self._as_told(row):
                self._told[str(row["id"])] = self._sign(row)
                return None
            seen = mapping.milestone(source.name, row, self._project, self._columns, history or ())
        except BadRow:
            source.saw(self._project, mapping.KIND, row.get("id"))
            self._settled = False
            raise
        if self._at_rest(row):
            self._told[str(row["id"])] = self._sign(row)
        return seen

    def _sign(self, row: Row) -> str:
        columns = [c and c.get("id") for c in (self._columns.done, self._columns.planned, self._columns.percent)]
        return blake2b(orjson.dumps([row, columns]), digest_size=8).hexdigest()

    def _as_told(self, row: Row) -> bool:
        return self._before.get(str(row.get("id"))) == self._sign(row)

    async def details(self, rows: Sequence[Row]) -> Mapping[str, list[Row]]:
        """The histories of the rows that are done, and were not told so before."""
        column = self._columns.done
        if column is None or not self._source.options.history:
            return {}
        fresh = [r for r in rows if self._is_news(r)]
        found = await together([self._source.history(self._project, r, column) for r in fresh])
        return {str(r["id"]): history for r, history in zip(fresh, found, strict=True)}

    def _is_news(self, row: Row) -> bool:
        try:
            wanted = self._columns.is_milestone(row) and mapping.done(row, self._columns)
        except BadRow:
            return False  # the row goes to quarantine: its past does not matter
        return wanted and type(row.get("id")) is int and not self._as_told(row)


class _Whole(Walk):
    """A walk that is not believed where the sheet moved; `told` hears of one that is."""

    told: Callable[[], None]
    moved: Callable[[], bool]

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows of each page."""
        async for rows in super().pages():
            yield rows
        self.cut_short = self.cut_short or self.moved()
        if self.complete:
            self.told()


def _loaded(text: str) -> dict[str, str]:
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _judge(clock: Callable[[], datetime], status: int, body: Json, headers: Mapping[str, str]) -> SourceError | None:
    """What passes by itself, by its own error code; a throttled minute is waited for where nobody says how long."""
    code = body.get("errorCode") if isinstance(body, dict) else None
    if status < 400 or (code not in PASSING and status != 429):
        return None
    wait = asked_wait(headers, clock())
    if status == 429 or code == 4003:
        return SourceUnavailable("too_many_requests", wait=FULL_AGAIN if wait is None else wait, status=status)
    return SourceUnavailable("system_failed", wait=wait, status=status)


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Smartsheet:
    """A Smartsheet source from checked options."""
    values = SmartsheetOptions(**checked_options(name, CONNECTOR, options))
    for rule in values.milestones:
        shape = BY_COLUMN if rule.startswith(mapping.BY_COLUMN) and "=" in rule else rule
        one_of(name, "milestones", shape, (mapping.ZERO_DURATION, BY_COLUMN))
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    http = Http(
        values.base_url, ApiKey("Authorization", f"Bearer {values.token}"), clock=clock, sleep=sleep, policy=policy,
        judge=partial(_judge, clock), transport=transport, secrets=(values.token,),
    )  # fmt: skip
    histories = Budget(max(1, values.per_minute // HISTORY_COST), clock, sleep) if values.per_minute else None
    return Smartsheet(name, values, http, histories)


def _fake() -> object:
    from connectors.smartsheet.fake import SmartsheetFake

    return SmartsheetFake()


CONNECTOR = ConnectorInfo(
    system="smartsheet",
    title="Smartsheet",
    options=(
        Option(
            "token",
            required=True,
            secret=True,
            help="access token of an account that is a viewer of the sheets; an application needs READ_SHEETS",
        ),
        Option(
            "base_url",
            default="https://api.smartsheet.com/2.0",
            help="by region: https://api.smartsheet.eu/2.0, https://api.smartsheetgov.com/2.0",
        ),
        Option(
            "milestones",
            default=(mapping.ZERO_DURATION,),
            help='zero_duration (rows of a project sheet that take no time), "column:TITLE=VALUE" (by a column; a ticked box is true)',
        ),
        Option("done_column", default="", help="title or id of the column that says done; none: % Complete of a project sheet"),
        Option("done_values", default=DONE, help="what its cells say when done, where they are neither boxes nor percentages"),
        Option("planned_column", default="", help="title or id of the column of planned dates; none: the end of a project sheet"),
        Option("history", default=True, help="ask for the history of done cells: who and when (each counts as ten requests)"),
        Option("reconcile_days", default=7, help="every so many days read every sheet, not only those with another version"),
        Option("per_minute", default=250, help="our own limit of requests a minute (the vendor's is 300); 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=SMARTSHEET,
    commenter=lambda source: Comments(source.http),
)  # fmt: skip
