"""Odoo as a source: `project.milestone`.

Which projects have news is asked once for the whole database: milestones written since, milestones with a task written
since, and the ids of all. A project where nothing was written and whose ids are the same is not read again; any other is
read whole, so what is gone from it is known.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import httpx

from connectors.errors import BadPayload, SourceConfig
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Policy
from connectors.http.fields import BadRow
from connectors.http.headers import Dressed, NoCredentials
from connectors.http.paging import Chain, Row, settled
from connectors.http.source import Listing, Project, RestSource
from connectors.odoo import mapping
from connectors.odoo.client import Caller, judge
from connectors.odoo.comments import Comments
from connectors.registry import ConnectorInfo, Option, checked_options
from models.domain.observations import Observation
from models.domain.trouble import Words

PAGE, LIGHT_PAGE = 200, 5000  # rows with all fields; rows of ids
MODEL = "project.milestone"
PROTOCOLS = ("json2", "jsonrpc")
EVERYTHING = {"active_test": False}  # archived projects too


@dataclass(frozen=True, slots=True)
class OdooOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    api_key: str
    database: str = ""
    protocol: str = "json2"
    login: str = ""
    reconcile_days: int = 7
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0


class Odoo(RestSource):
    """One database."""

    def __init__(self, name: str, options: OdooOptions, http: Http) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self._url = options.base_url.rstrip("/")
        login = options.login if options.protocol == "jsonrpc" else ""
        self.caller = Caller(http, database=options.database, login=login, key=options.api_key)
        self._fields: list[str] = []
        self._signs: Mapping[str, str] = {}  # project -> a sign for the ids of its milestones
        self._touched: frozenset[str] | None = None  # projects with news; None: not known

    async def account(self) -> str:
        """The login behind the key."""
        context = await self.caller.call("res.users", "context_get")
        uid = context.get("uid") if isinstance(context, dict) else None
        if uid is None:
            raise BadPayload("no_object", where="res.users.context_get")
        rows = await self.caller.rows("res.users", domain=[["id", "=", uid]], fields=["login"])
        return str(rows[0].get("login") or uid) if rows else str(uid)

    async def prepare(self) -> None:
        """Which fields this version has and this user may see, and which projects have news."""
        known = await self.caller.call(MODEL, "fields_get", attributes=["type"])
        if not isinstance(known, dict) or not all(f in known for f in mapping.NEEDED):
            raise BadPayload("no_object", where=f"{MODEL}.fields_get")
        self._fields = [f for f in (*mapping.NEEDED, *mapping.WISHED) if f in known]
        self._touched, self._signs = None, {}
        if self.before.since:
            since = datetime.fromtimestamp(self.before.since, UTC) - self.overlap
            self._touched, self._signs = await self._news(since.strftime("%Y-%m-%d %H:%M:%S"))

    async def _news(self, since: str) -> tuple[frozenset[str], Mapping[str, str]]:
        written = ["|", ["write_date", ">=", since], ["task_ids.write_date", ">=", since]]
        touched, _ = await settled(lambda: self._walk(written, ["project_id"], LIGHT_PAGE))
        listed, whole = await settled(lambda: self._walk([], ["project_id"], LIGHT_PAGE))
        ids = defaultdict[str, list[str]](list)
        for row in listed if whole else []:
            ids[_home(row)].append(str(row.get("id")))
        return frozenset(_home(r) for r in touched), {p: _sign(found) for p, found in ids.items()}

    async def projects(self) -> list[Project]:
        """All projects, archived ones too. A name that two share cannot serve as a key."""
        rows, _ = await settled(lambda: self._walk([], ["name", "active"], LIGHT_PAGE, "project.project"))
        names = Counter(str(r.get("name")) for r in rows)
        return [_project(r, unique=names[str(r.get("name"))] == 1) for r in rows]

    def listings(self, project: Project) -> Sequence[Listing]:
        """The project's milestones."""

        def observe(row: Row, _: Any) -> Observation:
            return mapping.milestone(self.name, row, project, self._url)

        ids: list[str] = []
        domain = [["project_id", "=", int(project.id)]]

        def start(_: datetime | None) -> Chain:
            ids.clear()
            return self._walk(domain, self._fields, PAGE, told=lambda rows: self._remember(project, ids, rows))

        return [Listing(start, observe, kind="milestone", unchanged=lambda: self._unchanged(project))]

    async def _unchanged(self, project: Project) -> bool:
        """Nothing written since the last pull, and the same ids."""
        before = self.before.kept.get(project.id)
        if self._touched is None or before is None or project.id in self._touched:
            return False
        self.after.kept[project.id] = before
        return self._signs.get(project.id, _sign([])) == before

    def _remember(self, project: Project, ids: list[str], rows: Sequence[Row]) -> None:
        ids += [str(r.get("id")) for r in rows]
        self.after.kept[project.id] = _sign(ids)

    def _walk(
        self,
        domain: list[Any],
        fields: Sequence[str],
        size: int,
        model: str = MODEL,
        told: Callable[[Sequence[Row]], None] | None = None,
    ) -> Chain:
        """Rows by id, each page from the last id of the one before: no row can slip while the list is read."""

        async def fetch(after: str | None) -> tuple[list[Row], str | None]:
            beyond = [["id", ">", int(after)]] if after else []
            found = {"domain": [*beyond, *domain], "fields": list(fields), "context": EVERYTHING}
            rows = await self.caller.rows(model, **found, limit=size, order="id")
            if told is not None:
                told(rows)
            return rows, str(rows[-1].get("id")) if len(rows) == size else None

        return Chain(fetch, "id")


def _project(row: Row, *, unique: bool) -> Project:
    if not isinstance(row.get("id"), int):
        raise BadPayload("project_without_id", where="project.project.search_read")
    identity, name = str(row["id"]), str(row.get("name") or row["id"])
    return Project(identity, name if unique else identity, name, row)


def _home(row: Row) -> str:
    """A milestone's project; "" where it has none, or none that can be read: then its project's ids are other ones."""
    try:
        return mapping.project_of(row)
    except BadRow:
        return ""


def _sign(ids: Sequence[str]) -> str:
    return blake2b(",".join(sorted(ids)).encode(), digest_size=8).hexdigest()


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Odoo:
    """An Odoo source from checked options."""
    values = OdooOptions(**checked_options(name, CONNECTOR, options))
    if values.protocol == "jsonrpc":
        _need(name, database=values.database, login=values.login)
    bearer = {"X-Odoo-Database": values.database} if values.database else {}
    key = Dressed(ApiKey("Authorization", f"bearer {values.api_key}"), bearer)
    policy = Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None)
    http = Http(
        values.base_url,
        key if values.protocol == "json2" else NoCredentials(),
        clock=clock,
        sleep=sleep,
        policy=policy,
        judge=judge,
        transport=transport,
        secrets=(values.api_key,),
    )
    return Odoo(name, values, http)


def _need(name: str, **wanted: str) -> None:
    missing = [k for k, v in wanted.items() if not v]
    if missing:
        help_ = Words(f"connector_option.odoo.{missing[0]}", missing[0])
        raise SourceConfig("key_missing", connection=name, keys=", ".join(missing), key=missing[0], help=help_)


def _fake() -> object:
    from connectors.odoo.fake import OdooFake

    return OdooFake()


CONNECTOR = ConnectorInfo(
    system="odoo",
    title="Odoo",
    options=(
        Option("base_url", required=True, help="Odoo's root, e.g. https://odoo.example.com"),
        Option(
            "api_key",
            required=True,
            secret=True,
            help="of a user who may read the projects; a key lives three months at most, renew it in time",
        ),
        Option("database", default="", help="its name, where the server has several (jsonrpc: always)"),
        Option(
            "protocol", default="json2", choices=PROTOCOLS, help="json2 (Odoo 19 and newer) or jsonrpc (18 and older)"
        ),
        Option("login", default="", help="the user's login; jsonrpc only"),
        Option("reconcile_days", default=7, help="every so many days read everything, not only what changed"),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    commenter=lambda source: Comments(source.caller),
)
