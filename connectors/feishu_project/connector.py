"""Feishu Project (Meegle) as a source: work items of named types, or the milestone nodes of their flows.

Every call is a POST; errors stand in `err_code`, and the status may mislead: a missing permission comes as 401, a token
that ended as 403. The list of a space tells how many items there are. A flow is one request an item: flows are asked for
only when an item of the space changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from connectors.errors import BadPayload, SourceError, SourceRefused, SourceUnavailable
from connectors.feishu_project import mapping
from connectors.http.agreement import Agreed, Agreements
from connectors.http.budget import Sleep
from connectors.http.client import (
    Bearer,
    Http,
    Json,
    Missing,
    Policy,
    Send,
    Token,
    TokenRefused,
    checked_base,
    token_answer,
    token_end,
)
from connectors.http.headers import Dressed
from connectors.http.paging import RawPage, Row, Walk, objects, together, total_of
from connectors.http.probe import LISTS_MAX
from connectors.http.source import Listing, Project, RestSource
from connectors.http.waiting import asked_wait
from connectors.http.wrapped import unwrapped
from connectors.registry import ConnectorInfo, Option, checked_options
from models.domain.observations import Observation

ROOT = "/open_api"
PAGE, SPACES = 200, 100  # the most that a list gives, and that one call takes
NODE_FLOW = 0
KINDS = ("item", "node")
# The developer manual's list of errors.
_TOKEN = (10_021, 10_022, 10_211)
_FORBIDDEN = (10_001, 10_301, 10_302, 10_404, 20_042, 30_006, 30_014)
_THROTTLED, _PASSING = (10_429,), (50_005, 50_006)
_NO_ITEM = 30_005


@dataclass(frozen=True, slots=True)
class FeishuOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    plugin_id: str
    plugin_secret: str
    user_key: str
    type_keys: tuple[str, ...]
    base_url: str = "https://project.feishu.cn"
    milestones: tuple[str, ...] = ("item",)
    nodes: tuple[str, ...] = ()
    done_states: tuple[str, ...] = ()
    planned_field: str = ""
    reconcile_days: int = 7
    per_minute: int = 600
    concurrency: int = 4
    timeout: float = 30.0


class FeishuProject(RestSource):
    """The spaces of one tenant in which the plugin is installed."""

    def __init__(self, name: str, options: FeishuOptions, http: Http) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options, self._url = options, options.base_url.rstrip("/")
        self._agreements = Agreements()

    async def account(self) -> str:
        """In whose name it reads; a space or none, the call says whether token and person are good."""
        await self._spaces()
        return self.options.user_key

    async def _spaces(self) -> list[str]:
        found = _data(await self.http.post(f"{ROOT}/projects", {"user_key": self.options.user_key}))
        if not isinstance(found, list):
            raise BadPayload("no_list", where=f"POST {ROOT}/projects")
        return [str(key) for key in found]

    async def projects(self) -> list[Project]:
        """All spaces of the person."""
        keys = await self._spaces()
        parts = [keys[n : n + SPACES] for n in range(0, len(keys), SPACES)]
        return [p for found in await together([self._named(part) for part in parts]) for p in found]

    async def _named(self, keys: Sequence[str]) -> list[Project]:
        asked = {"user_key": self.options.user_key, "project_keys": list(keys)}
        found = _data(await self.http.post(f"{ROOT}/projects/detail", asked))
        rows = objects(list(found.values()) if isinstance(found, dict) else found, f"POST {ROOT}/projects/detail")
        return [_space(r) for r in rows]

    async def probe(self, projects: Sequence[Project]) -> int | None:
        """The items of each space; nodes are not counted: they cost a request for each item."""
        some = projects if len(projects) <= LISTS_MAX else projects[:1]
        totals = [total for _, total in await together([self._filtered(p, 1, 1, {}) for p in some])]
        if self.options.milestones != ("item",) or len(some) < len(projects) or None in totals:
            return None
        return sum(t or 0 for t in totals)

    def listings(self, project: Project) -> Sequence[Listing]:
        """Work items and nodes, as configured."""
        items = Listing(partial(self._items, project), lambda row, _: self._item(project, row), kind="item")
        nodes = Listing(
            partial(self._nodes, project),
            lambda row, _: self._node(project, row),
            kind="node",
            unchanged=partial(self._unchanged, project),
        )
        return [listing for listing in (items, nodes) if listing.kind in self.options.milestones]

    def _item(self, space: Project, row: Row) -> Observation:
        return mapping.item(self.name, row, space, self._url, self.options.done_states, self.options.planned_field)

    def _node(self, space: Project, row: Row) -> Observation | None:
        node = {k: v for k, v in row.items() if k != "item"}
        if not mapping.is_milestone(node, self.options.nodes):
            return None
        return mapping.node(self.name, node, row["item"], space, self._url)

    # --- lists ---

    def _items(self, space: Project, _: datetime | None) -> Walk:
        async def fetch(number: int, size: int) -> RawPage:
            return RawPage(*await self._filtered(space, number + 1, size, {}))

        return Walk(fetch, PAGE, "id", self.at_once)

    async def _filtered(
        self, space: Project, number: int, size: int, more: Mapping[str, Any]
    ) -> tuple[list[Row], int | None]:
        """One page of a space's items, and how many there are."""
        path = f"{ROOT}/{quote(space.id, safe='')}/work_item/filter"
        asked = {"work_item_type_keys": list(self.options.type_keys), "page_num": number, "page_size": size}
        body = await self.http.post(path, {**asked, "expand": {"need_user_detail": True}, **more})
        pagination = body.get("pagination") if isinstance(body, dict) else None
        total = total_of(pagination.get("total")) if isinstance(pagination, dict) else None
        return objects(_data(body), f"POST {path}"), total

    def _nodes(self, space: Project, _: datetime | None) -> Agreed:
        name = f"node:{space.id}"
        return self._agreements.chain(name, partial(self._flows, space), "id", self.before.kept, self.after.kept)

    async def _flows(self, space: Project, token: str | None) -> tuple[list[Row], str | None]:
        """The nodes of a page of items, each with its item beside it."""
        number = int(token or 1)
        items, total = await self._filtered(space, number, PAGE, {})
        self.after.kept[f"total:{space.id}"] = str(total)
        found = await together([self._flow(space, i) for i in items if i.get("pattern") != "State"])
        more = total is not None and len(items) > 0 and number * PAGE < total
        return [row for rows in found for row in rows], str(number + 1) if more else None

    async def _flow(self, space: Project, item: Row) -> list[Row]:
        parts = (space.id, "work_item", str(item.get("work_item_type_key")), str(item.get("id")))
        path = "/".join((ROOT, *(quote(p, safe="") for p in parts), "workflow/query"))
        try:
            flow = _data(await self.http.post(path, {"flow_type": NODE_FLOW}))
        except Missing:
            return []  # removed since the list was read; the next reading will not have it
        nodes = objects((flow.get("workflow_nodes") if isinstance(flow, dict) else None) or [], f"POST {path}")
        return [{**n, "id": f"{item.get('id')}/{n.get('state_key')}", "item": item} for n in nodes]

    async def _unchanged(self, space: Project) -> bool:
        """No item changed since the last pull, and there are as many: no flow is worth a request."""
        before = self.before.kept
        if not self.before.since or f"node:{space.id}" not in before:
            return False
        since = datetime.fromtimestamp(self.before.since, UTC) - self.overlap
        window = {"updated_at": {"start": int(since.timestamp() * 1000)}}
        changed, all_ = await together([self._filtered(space, 1, 1, window), self._filtered(space, 1, 1, {})])
        if changed[1] != 0 or str(all_[1]) != before.get(f"total:{space.id}"):
            return False
        self.after.kept |= {k: before[k] for k in (f"node:{space.id}", f"total:{space.id}")}
        return True


def _data(body: Json) -> Json:
    if not isinstance(body, dict) or "data" not in body:
        raise BadPayload("no_object")
    return body["data"]


def _space(row: Row) -> Project:
    identity = row.get("project_key")
    if not isinstance(identity, str) or not identity:
        raise BadPayload("project_without_id")
    return Project(identity, str(row.get("simple_name") or identity), str(row.get("name") or identity))


def _judge(clock: Callable[[], datetime]) -> Callable[[int, Json, Mapping[str, str]], SourceError | None]:
    """Errors by `err_code`: the status alone would take a missing permission for a token that ended."""

    def judge(status: int, body: Json, headers: Mapping[str, str]) -> SourceError | None:
        code = body.get("err_code") if isinstance(body, dict) else None
        if code in (None, 0):
            return None
        if code == _NO_ITEM:
            return Missing("object_gone", status=status, code=code)
        if code in _TOKEN:
            return TokenRefused("not_authorised")
        if code in _FORBIDDEN:
            return SourceRefused("no_permission", status=f"{status}, {code}")
        if code in _THROTTLED or code in _PASSING:
            said = "too_many_requests" if code in _THROTTLED else "system_failed"
            return SourceUnavailable(said, status=f"{status}, {code}", wait=asked_wait(headers, clock()))
        return SourceRefused("vendor_refused", status=status, code=str(code)[:40]) if status < 500 else None

    return judge


async def _token(values: FeishuOptions, clock: Callable[[], datetime], send: Send) -> Token:
    """The plugin's token; `expire_time` is a number of seconds."""
    body = orjson.dumps({"plugin_id": values.plugin_id, "plugin_secret": values.plugin_secret, "type": 0})
    url = f"{checked_base(values.base_url)}{ROOT}/authen/plugin_token"
    answer = await send(httpx.Request("POST", url, content=body, headers={"content-type": "application/json"}))
    found = token_answer(unwrapped(answer), clock, "token")
    return Token(str(found["token"]), token_end({"expires_in": found.get("expire_time")}, clock))


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> FeishuProject:
    """A Feishu Project source from checked options."""
    values = FeishuOptions(**checked_options(name, CONNECTOR, options))
    plugin = Bearer(partial(_token, values, clock), clock)
    http = Http(
        values.base_url,
        Dressed(plugin, {"X-User-Key": values.user_key}, token_header="X-Plugin-Token"),  # noqa: S106 - a header's name
        clock=clock,
        sleep=sleep,
        policy=Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None),
        judge=_judge(clock),
        transport=transport,
        secrets=(values.plugin_secret,),
    )
    return FeishuProject(name, values, http)


def _fake() -> object:
    from connectors.feishu_project.fake import FeishuProjectFake

    return FeishuProjectFake()


CONNECTOR = ConnectorInfo(
    system="feishu_project",
    title="Feishu Project (飞书项目, Meegle)",
    options=(
        Option("plugin_id", required=True, help="of the plugin, which is installed in each space"),
        Option(
            "plugin_secret", required=True, secret=True, help="of the plugin; reading spaces and work items is enough"
        ),
        Option("user_key", required=True, help="in whose name it reads (double click on the avatar)"),
        Option("type_keys", required=True, default=(), help="keys of the work item types that hold milestones"),
        Option(
            "base_url",
            default="https://project.feishu.cn",
            help="https://project.feishu.cn, https://project.larksuite.com, or your own host",
        ),
        Option("milestones", default=("item",), choices=KINDS, help="item: the work items; node: nodes of their flow"),
        Option("nodes", default=(), help="names of nodes that count though they are not flagged as milestones"),
        Option("done_states", default=(), help="keys of states that mean done; none: archived states"),
        Option("planned_field", default="", help="key of the field with the planned date"),
        Option("reconcile_days", default=7, help="every so many days ask for every flow anew"),
        Option("per_minute", default=600, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
)
