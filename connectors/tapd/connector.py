"""TAPD as a source: iterations, and release reviews on wish.

Filters know days only and nothing tells what was deleted, so lists are read whole; one of several pages is believed
when two walks agree. The history of an iteration is asked for when the iteration changed; what it said before is kept
in the cursor.
"""

from __future__ import annotations

import asyncio
import base64
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import httpx
import orjson

from connectors.errors import BadPayload, SourceConfig, SourceError, SourceRefused, SourceUnavailable
from connectors.http.agreement import Agreed, Agreements
from connectors.http.budget import Sleep
from connectors.http.client import (
    ApiKey,
    Bearer,
    Credentials,
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
from connectors.http.paging import Chain, Row, objects, settled, together
from connectors.http.source import Listing, Project, RestSource
from connectors.http.wrapped import unwrapped
from connectors.registry import ConnectorInfo, Option, checked_options
from connectors.tapd import mapping
from models.domain.observations import Observation

PAGE = 200  # the most that lists give
HISTORY_PAGE = 100
KINDS = ("iteration", "launch_form")


@dataclass(frozen=True, slots=True)
class TapdOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    company_id: str
    base_url: str = "https://api.tapd.cn"
    client_id: str = ""
    client_secret: str = ""
    api_user: str = ""
    api_password: str = ""
    access_token: str = ""
    milestones: tuple[str, ...] = ("iteration",)
    done_states: tuple[str, ...] = ("done",)
    agreed: tuple[str, ...] = ("sign_agree",)
    refused: tuple[str, ...] = ()
    timezone: str = "Asia/Shanghai"
    reconcile_days: int = 7
    per_minute: int = 150
    concurrency: int = 4
    timeout: float = 30.0


class Tapd(RestSource):
    """The projects of one company."""

    def __init__(self, name: str, options: TapdOptions, http: Http, zone: ZoneInfo) -> None:
        super().__init__(name, http, reconcile_days=options.reconcile_days)
        self.options = options
        self._zone = zone
        self._agreements = Agreements()

    async def account(self) -> str:
        """Whose credentials they are; the call only says that they are good."""
        await self.http.get("/quickstart/testauth")
        return self.options.client_id or self.options.api_user or self.options.company_id

    async def projects(self) -> list[Project]:
        """All projects of the company; the list has no pages."""
        rows = await self._rows("/workspaces/projects", "Workspace", {"company_id": self.options.company_id})
        return [_project(r) for r in rows]

    def listings(self, project: Project) -> Sequence[Listing]:
        """Iterations and release reviews, as configured."""
        iterations = Listing(
            lambda _: self._walk("/iterations", "Iteration", project),
            lambda row, history: self._iteration(project, row, history),
            kind="iteration",
            details=partial(self._histories, project),
        )
        forms = Listing(
            lambda _: self._walk("/launch_forms", "LaunchForm", project),
            lambda row, _: self._form(project, row),
            kind="launch_form",
        )
        return [listing for listing in (iterations, forms) if listing.kind in self.options.milestones]

    def _iteration(self, project: Project, row: Row, history: object) -> Observation:
        steps = mapping.changes(history if isinstance(history, list) else [], self.options.done_states, self._zone)
        return mapping.iteration(self.name, row, project, steps, self.options.done_states, self._zone)

    def _form(self, project: Project, row: Row) -> Observation:
        return mapping.launch_form(self.name, row, project, self.options.agreed, self.options.refused, self._zone)

    def _walk(self, path: str, name: str, project: Project) -> Agreed:
        asked = {"workspace_id": project.id, "order": "created asc"}
        fetch = partial(self._page, path, name, asked, PAGE)
        return self._agreements.chain(f"{name}:{project.id}", fetch, "id", self.before.kept, self.after.kept)

    async def _page(
        self, path: str, name: str, asked: Mapping[str, Any], size: int, token: str | None
    ) -> tuple[list[Row], str | None]:
        """One numbered page; a full one has another after it."""
        number = int(token or 1)
        rows = await self._rows(path, name, {**asked, "limit": size, "page": number})
        return rows, str(number + 1) if len(rows) >= size else None

    async def _rows(self, path: str, name: str, asked: Mapping[str, Any]) -> list[Row]:
        """Rows come wrapped by their class: {"Iteration": {…}}."""
        wrapped = objects(_data(await self.http.get(path, asked), path), f"GET {path}")
        return objects([w.get(name) for w in wrapped], f"GET {path}")

    async def _histories(self, project: Project, rows: Sequence[Row]) -> Mapping[str, list[Row]]:
        """The changes of status of those that are or were closed."""
        asked = [r for r in rows if r.get("status") in self.options.done_states or r.get("completed")]
        found = await together([self._history(project, r) for r in asked])
        return {str(r.get("id")): history for r, history in zip(asked, found, strict=True)}

    async def _history(self, project: Project, row: Row) -> list[Row]:
        """As kept where the row did not change since, else asked for."""
        key, sign = f"history:{row.get('id')}", orjson.dumps([row.get("modified"), row.get("status")]).decode()
        kept = orjson.loads(self.before.kept.get(key, "null"))
        if not isinstance(kept, list) or kept[0] != sign:
            kept = [sign, await self._changes(project, row)]
        self.after.kept[key] = orjson.dumps(kept).decode()
        changes: list[Row] = kept[1]
        return changes

    async def _changes(self, project: Project, row: Row) -> list[Row]:
        asked = {"workspace_id": project.id, "iteration_id": row.get("id"), "field": "status"}
        fetch = partial(self._page, "/iteration_changes", "IterationChange", asked, HISTORY_PAGE)
        rows, _ = await settled(lambda: Chain(fetch, "id"))
        return [{k: r.get(k) for k in ("field", "new_value", "author", "created")} for r in rows]


def _data(body: object, path: str) -> Json:
    if not isinstance(body, dict) or "data" not in body:
        raise BadPayload("no_object", where=f"GET {path}")
    return body["data"]


def _project(row: Row) -> Project:
    identity = row.get("id")
    if not isinstance(identity, str | int):
        raise BadPayload("project_without_id")
    name = str(row.get("name") or identity)
    return Project(str(identity), str(row.get("pretty_name") or identity), name)


def _judge(status: int, body: Json, headers: Mapping[str, str]) -> SourceError | None:
    """Errors inside HTTP 200: the answer's own `status` is not 1."""
    del headers
    told = body.get("status") if isinstance(body, dict) else None
    if status != 200 or told in (1, "1") or not isinstance(body, dict):
        return None
    code = str(told)[:40]
    if code == "401":
        return TokenRefused("not_authorised")
    if code == "429" or (len(code) == 3 and code.startswith("5")):
        return SourceUnavailable("too_many_requests" if code == "429" else "system_failed", status=code)
    return (
        SourceRefused("no_permission", status=code)
        if code == "403"
        else SourceRefused("vendor_refused", status=status, code=code)
    )


def _credentials(name: str, values: TapdOptions, clock: Callable[[], datetime]) -> Credentials:
    """One of three ways to sign in. Raises SourceConfig for none or several."""
    ways = [bool(w) for w in (values.client_id, values.api_user, values.access_token)]
    whole = (not values.client_id or values.client_secret) and (not values.api_user or values.api_password)
    if sum(ways) != 1 or not whole:
        raise SourceConfig("tapd_credentials", connection=name, found=sum(ways))
    if values.access_token:
        return ApiKey("Authorization", f"Bearer {values.access_token}")
    if values.api_user:
        return ApiKey("Authorization", _basic(values.api_user, values.api_password))
    return Bearer(partial(_token, values, clock), clock)


async def _token(values: TapdOptions, clock: Callable[[], datetime], send: Send) -> Token:
    """Of an application: the answer's `data` holds it; `expires_in` is a number of seconds."""
    headers = {
        "authorization": _basic(values.client_id, values.client_secret),
        "content-type": "application/x-www-form-urlencoded",
    }
    url = f"{checked_base(values.base_url)}/tokens/request_token"
    answer = await send(httpx.Request("POST", url, content=b"grant_type=client_credentials", headers=headers))
    found = token_answer(unwrapped(answer), clock)
    return Token(str(found["access_token"]), token_end(found, clock))


def _zone(name: str, wanted: str) -> ZoneInfo:
    """Raises SourceConfig, with the closest, for a zone that there is not."""
    try:
        return ZoneInfo(wanted)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(wanted, available_timezones(), n=5, cutoff=0.3) or ["Asia/Shanghai"]
        raise SourceConfig(
            "value_unknown", connection=name, key="timezone", found=repr(wanted), allowed=", ".join(near)
        ) from None


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Tapd:
    """A TAPD source from checked options."""
    values = TapdOptions(**checked_options(name, CONNECTOR, options))
    zone = _zone(name, values.timezone)
    http = Http(
        values.base_url,
        _credentials(name, values, clock),
        clock=clock,
        sleep=sleep,
        policy=Policy(timeout=values.timeout, concurrency=values.concurrency, per_minute=values.per_minute or None),
        judge=_judge,
        transport=transport,
        secrets=tuple(filter(None, (values.client_secret, values.api_password, values.access_token))),
    )
    return Tapd(name, values, http, zone)


def _fake() -> object:
    from connectors.tapd.fake import TapdFake

    return TapdFake()


CONNECTOR = ConnectorInfo(
    system="tapd",
    title="TAPD",
    options=(
        Option("company_id", required=True, help="the company whose projects are listed"),
        Option("base_url", default="https://api.tapd.cn", help="root of the interface"),
        Option("client_id", default="", help="of an application; or api_user, or access_token"),
        Option("client_secret", default="", secret=True, help="of the application"),
        Option("api_user", default="", help="account of the API; or client_id, or access_token"),
        Option("api_password", default="", secret=True, help="of the account of the API"),
        Option("access_token", default="", secret=True, help="a personal token; or client_id, or api_user"),
        Option("milestones", default=("iteration",), choices=KINDS, help="iteration, launch_form (release review)"),
        Option("done_states", default=("done",), help="statuses of iterations that mean done"),
        Option("agreed", default=("sign_agree",), help="verdicts that mean a review was signed with consent"),
        Option("refused", default=(), help="verdicts that mean it was not; any other waits for a person"),
        Option("timezone", default="Asia/Shanghai", help="zone of TAPD's times"),
        Option("reconcile_days", default=7, help="every so many days read every history anew"),
        Option("per_minute", default=150, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
)
