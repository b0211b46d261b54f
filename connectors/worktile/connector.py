"""Worktile as a source.

Errors come inside HTTP 200 (`ok: false`), throttling as an HTML page with status 429, and there is no
"updated since": each pull walks the projects and the store finds the difference. State type 3 only
means an end state, which includes scrapped ones: name the states that count in `done_states`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import httpx
import orjson

from connectors.errors import BadPayload, SourceError, SourceRefused, SourceUnavailable
from connectors.http.client import Bearer, Http, Policy, Send, Token, TokenRefused
from connectors.http.fields import BadRow, need_mapping, need_text, rejected, seconds
from connectors.http.paging import RawPage, Row, Walk
from connectors.registry import ConnectorInfo, Option, checked_options, missing_projects
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Page, Provenance, Rejected
from models.ports import PullRequest, Reachability

PAGE = 100
ROOT = "/open-api"
FINISHED = 3  # an end state: done, closed or scrapped
KNOWN = frozenset(
    "_id identifier title project_id created_by created_at updated_at is_archived is_deleted completed_at state_type task_state "
    "task_type parent_id parent_ids derived_ids properties assignee start due".split()
)


@dataclass(frozen=True, slots=True)
class WorktileOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    client_id: str
    client_secret: str
    type_names: tuple[str, ...] = ("里程碑", "Milestone")
    done_states: tuple[str, ...] = ()
    accepted_states: tuple[str, ...] = ("已验收",)
    per_minute: int = 120
    concurrency: int = 3
    timeout: float = 30.0


class Worktile:
    """One Worktile team."""

    def __init__(
        self,
        name: str,
        options: WorktileOptions,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name, self.options, self._clock = name, options, clock
        policy = Policy(timeout=options.timeout, concurrency=options.concurrency, per_minute=options.per_minute or None)
        credentials = Bearer(self._token, clock)
        self._http = Http(
            options.base_url,
            credentials,
            clock=clock,
            policy=policy,
            judge=_judge,
            transport=transport,
            secrets=(options.client_secret,),
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(*exc)

    async def _token(self, send: Send) -> Token:
        """The team's token; `expires_in` is a duration."""
        body = orjson.dumps({"client_id": self.options.client_id, "client_secret": self.options.client_secret})
        url = f"{self.options.base_url.rstrip('/')}{ROOT}/tenant-access-token"
        answer = await send(httpx.Request("POST", url, content=body, headers={"content-type": "application/json"}))
        if answer.status_code == 429 or answer.status_code >= 500:
            raise SourceUnavailable(f"POST {ROOT}/tenant-access-token: the system failed ({answer.status_code})")
        try:
            found = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            found = {}
        if not isinstance(found, dict) or "tenant_access_token" not in found:
            raise SourceRefused(
                f"POST {ROOT}/tenant-access-token: refused ({answer.status_code})",
                advice="check client_id and client_secret of this connection, and that base_url stands before /open-api",
            )
        return Token(
            str(found["tenant_access_token"]), self._clock().timestamp() + float(found.get("expires_in", 3600))
        )

    async def _projects(self, wanted: Sequence[str]) -> list[Row]:
        walk = Walk(
            lambda n: self._page(f"{ROOT}/mission/get-projects-by-page", n), PAGE, "_id", self.options.concurrency
        )
        rows = [row async for page in walk.pages() for row in page]
        if not wanted:
            return rows
        missing_projects(self.name, wanted, [(str(r.get("identifier") or r["_id"]), str(r["_id"])) for r in rows])
        return [r for r in rows if r.get("identifier") in wanted or r["_id"] in wanted]

    async def _page(self, path: str, number: int) -> RawPage:
        body = await self._http.get(path, {"page_index": number, "page_size": PAGE})
        if not isinstance(body, dict):
            raise BadPayload(f"{path}: not an object", advice="base_url may not be Worktile's")
        rows = body.get("value", body.get("items", body.get("values")))
        if not isinstance(rows, list):
            raise BadPayload(f"{path}: no list in the answer", advice="base_url may not be Worktile's")
        inner = body.get("meta")
        meta = inner if isinstance(inner, dict) else body
        total, more = meta.get("total"), meta.get("has_more")
        return RawPage(
            [_unwrapped(r) for r in rows if isinstance(r, dict)],
            total if isinstance(total, int) else None,
            more,
        )

    async def check(self) -> Reachability:
        """The team behind the credentials is not named by the interface; the projects it sees are."""
        return Reachability("tenant", len(await self._projects(())))

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """All milestones of the wanted projects; each project is a snapshot when its walk was complete."""
        for project in await self._projects(request.projects):
            identity = str(project["_id"])
            walk = Walk(
                lambda n, p=identity: self._page(f"{ROOT}/mission/projects/{p}/tasks", n),  # type: ignore[misc]
                PAGE, "_id", self.options.concurrency,
            )  # fmt: skip
            async for rows in walk.pages():
                yield self._observed(rows, project)
            if walk.complete:
                yield Page((), snapshot_of=(identity,))
        yield Page((), cursor=str(int(request.now.timestamp())), last=True)

    def _observed(self, rows: Sequence[Row], project: Row) -> Page:
        good: list[Observation] = []
        bad: list[Rejected] = []
        for row in rows:
            try:
                if _type_name(row) in self.options.type_names:
                    good.append(self._milestone(row, project))
            except BadRow as problem:
                bad.append(rejected(self.name, row, "_id", problem))
        return Page(tuple(good), tuple(bad), project_id=str(project["_id"]), seen=len(rows))

    def _milestone(self, row: Row, project: Row) -> Observation:
        """A task of a milestone type. Raises BadRow where a proof field is missing or of another type."""
        state = need_mapping(row, "task_state")
        name, kind = need_text(state, "name"), state.get("type", row.get("state_type"))
        if isinstance(kind, bool) or not isinstance(kind, int):
            raise BadRow("PROOF_FIELD_TYPE", field="task_state.type", found=repr(kind)[:40], expected="a number")
        wanted = self.options.done_states
        done = name in wanted if wanted else kind == FINISHED
        completed = seconds(row, "completed_at")
        due = (row.get("properties") or {}).get("due") or row.get("due")
        due = due.get("value", due) if isinstance(due, dict) else None
        return Observation(
            connection=self.name,
            project_id=str(project["_id"]),
            project_key=str(project.get("identifier") or project["_id"]),
            project_name=str(project.get("name", "")),
            milestone_id=need_text(row, "_id"),
            kind=_type_name(row),
            name=need_text(row, "title"),
            state=name,
            done=done,
            accepted=name in self.options.accepted_states,
            done_at=(completed or seconds(row, "updated_at")) if done else None,
            planned_at=seconds(due, "date") if isinstance(due, dict) else None,
            updated_at=seconds(row, "updated_at"),
            archived=bool(row.get("is_archived")),
            deleted=bool(row.get("is_deleted")),
            grade=EvidenceGrade.STATE,
            date_provenance=Provenance.ABSENT
            if not done
            else Provenance.NATIVE
            if completed
            else Provenance.FIRST_OBSERVED,
            extra={k: v for k, v in row.items() if k not in KNOWN and k != "_people"},
        )


def _type_name(row: Row) -> str:
    kind = row.get("task_type")
    return str(kind.get("name", "")) if isinstance(kind, dict) else ""


def _unwrapped(row: Row) -> Row:
    """Some answers wrap a row as {value: {...}}."""
    inner = row.get("value")
    return inner if isinstance(inner, dict) and "_id" in inner else row


def _judge(status: int, body: Any, headers: Mapping[str, str]) -> SourceError | None:
    """Errors inside HTTP 200: 1102 and 1103 are token trouble."""
    del headers
    if status == 401:
        return TokenRefused("not authorised (401)", advice="check client_id and client_secret of this connection")
    if isinstance(body, dict) and body.get("ok") is False:
        code = body.get("error_code")
        if code in (1102, 1103):
            return TokenRefused(
                f"the token is no good (error {code})", advice="check client_id and client_secret of this connection"
            )
        return SourceRefused(
            f"refused (error {code})", advice="the request is wrong for this version, or a permission is missing"
        )
    return None


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
) -> Worktile:
    """A Worktile source from checked options."""
    return Worktile(name, WorktileOptions(**checked_options(name, CONNECTOR, options)), clock, transport)


CONNECTOR = ConnectorInfo(
    system="worktile",
    title="Worktile",
    options=(
        Option("base_url", required=True, help="before /open-api: https://dev.worktile.com, or your own host"),
        Option("client_id", required=True, help="of the application"),
        Option("client_secret", required=True, secret=True, help="of the application"),
        Option("type_names", default=("里程碑", "Milestone"), help="names of the task types that are milestones"),
        Option("done_states", default=(), help="names of states that mean done; none: every end state (scrapped too!)"),
        Option("accepted_states", default=("已验收",), help="names of states that mean the customer accepted"),
        Option("per_minute", default=120, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=3, help="requests at once (8 were seen to be throttled)"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
)
