"""Worktile as a source.

Errors come inside HTTP 200 (`ok: false`), throttling as an HTML page with status 429, and there is no
"updated since": each pull walks the projects and the store finds the difference. State type 3 only
means an end state, which includes scrapped ones: name the states that count in `done_states`.

The list of a project's tasks announces no total, so a walk over several pages cannot know whether a row
slipped from one page to the other. A milestone that is missing is believed to be gone only when two
walks in a row found the same milestones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Self

import httpx
import orjson

from connectors.errors import BadPayload, SourceError, SourceRefused
from connectors.http.budget import Sleep
from connectors.http.client import Bearer, Http, Policy, Send, Token, TokenRefused, token_answer, token_end
from connectors.http.fields import BadRow, flag, need_mapping, need_text, rejected, seconds, unknown_fields, wrong_type
from connectors.http.paging import WALKS_MAX, RawPage, Row, Walk, objects, settled, together, total_of
from connectors.http.probe import LISTS_MAX, is_all, permitted
from connectors.http.shape import as_agreed
from connectors.registry import ConnectorInfo, Option, checked_options, missing_projects, none_left
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Page, Provenance, Rejected
from models.ports import PullRequest, Reachability

PAGE = 100
ROOT = "/open-api"
FINISHED = 3  # an end state: done, closed or scrapped
KNOWN = frozenset(
    "_id identifier title project_id created_by created_at updated_at updated_by is_archived is_deleted completed_at state_type "
    "task_state task_type parent_id parent_ids derived_ids properties assignee start due participant tag priority desc attachment".split()
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
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name, self.options, self._clock = name, options, clock
        policy = Policy(timeout=options.timeout, concurrency=options.concurrency, per_minute=options.per_minute or None)
        credentials = Bearer(self._token, clock)
        self._http = Http(
            options.base_url,
            credentials,
            clock=clock,
            sleep=sleep,
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
        found = token_answer(answer, self._clock, "tenant_access_token")
        return Token(str(found["tenant_access_token"]), token_end(found, self._clock))

    async def _projects(self, wanted: Sequence[str]) -> list[Row]:
        path = f"{ROOT}/mission/get-projects-by-page"
        rows, _ = await settled(lambda: self._walk(path))
        if any(not isinstance(r.get("_id"), str) for r in rows):
            raise BadPayload("project_without_id", where=path)
        if not wanted:
            return rows
        missing_projects(self.name, wanted, [(str(r.get("identifier") or r["_id"]), r["_id"]) for r in rows])
        return [r for r in rows if r.get("identifier") in wanted or r["_id"] in wanted]

    def _walk(self, path: str) -> Walk:
        async def fetch(number: int, size: int) -> RawPage:
            body = await self._http.get(path, {"page_index": number, "page_size": size})
            return _raw_page(body, path)

        return Walk(fetch, PAGE, "_id", self.options.concurrency)

    async def check(self) -> Reachability:
        """The team behind the credentials is not named by the interface; the projects it sees are."""
        with as_agreed(self._http):
            return await self._checked()

    async def _checked(self) -> Reachability:
        projects = await self._projects(())
        count, missing = await permitted(lambda: self._probe(projects))
        return Reachability("tenant", len(projects), count, self._http.rate_left, missing)

    async def _probe(self, projects: Sequence[Row]) -> int | None:
        """How many milestones there are, where the lists are few and short; of many lists one is tried."""
        some = projects if len(projects) <= LISTS_MAX else projects[:1]
        pages = await together([self._walk(f"{ROOT}/mission/projects/{p['_id']}/tasks").fetch(0, PAGE) for p in some])
        found = sum(len(self._observed(page.rows, p).observations) for page, p in zip(pages, some, strict=True))
        return found if len(some) == len(projects) and all(is_all(page) for page in pages) else None

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """All milestones of the wanted projects; each project is a snapshot when its walk can be trusted."""
        with as_agreed(self._http):
            async for page in self._pulled(request):
                yield page

    async def _pulled(self, request: PullRequest) -> AsyncIterator[Page]:
        before = _remembered(request)
        marks: dict[str, str] = {}
        projects = await self._projects(request.projects)
        if not request.projects:
            none_left(self.name, before, projects)
        for start in range(0, len(projects), self.options.concurrency or 1):
            some = projects[start : start + (self.options.concurrency or 1)]
            for project, (pages, mark) in zip(
                some, await together([self._project(p, before.get(p["_id"])) for p in some]), strict=True
            ):
                marks[project["_id"]] = mark
                for page in pages:
                    yield page
        seen = tuple(p["_id"] for p in projects)
        yield Page((), cursor=orjson.dumps(marks).decode(), last=True, projects=seen)

    async def _project(self, project: Row, mark: str | None) -> tuple[list[Page], str]:
        """The milestones of a project, walked until two walks agree; `mark` stands for those of the last pull."""
        identity = project["_id"]
        pages: list[Page] = []
        for _ in range(WALKS_MAX):
            walk, found = self._walk(f"{ROOT}/mission/projects/{identity}/tasks"), set[str]()
            pages = []
            async for rows in walk.pages():
                page = self._observed(rows, project)
                found |= {o.milestone_id for o in page.observations} | {str(r.milestone_id) for r in page.rejected}
                pages.append(page)
            agreed, mark = _mark(found) == mark or walk.numbers == 1, _mark(found)
            if walk.complete and agreed:
                pages.append(Page((), snapshot_of=(identity,)))
                break
        else:
            pages.append(Page((), torn=(identity,)))
        return pages, mark or ""

    def _observed(self, rows: Sequence[Row], project: Row) -> Page:
        if rows and not any("task_type" in r for r in rows):
            raise BadPayload("worktile_no_type")
        good: list[Observation] = []
        bad: list[Rejected] = []
        for row in rows:
            try:
                if self._kind(row) is not None:
                    good.append(self._milestone(row, project))
            except BadRow as problem:
                bad.append(rejected(self.name, row, "_id", problem))
        return Page(tuple(good), tuple(bad), project_id=project["_id"], seen=len(rows))

    def _kind(self, row: Row) -> str | None:
        """The type's name where it is that of a milestone. Raises BadRow where the row does not say."""
        kind = need_mapping(row, "task_type")
        name = need_text(kind, "name", "task_type.name")
        return name if name in self.options.type_names or kind.get("_id") in self.options.type_names else None

    def _done(self, state: Mapping[str, Any], row: Row) -> tuple[bool, bool]:
        """Done and accepted, by the configured names or ids; without any, every end state is done."""
        kind = state.get("type", row.get("state_type"))
        if kind is None:
            raise BadRow("PROOF_FIELD_MISSING", field="task_state.type")
        if isinstance(kind, bool) or not isinstance(kind, int):
            raise wrong_type("task_state.type", kind, "a number")
        names = {n for n in (state.get("name"), state.get("_id")) if isinstance(n, str)}
        accepted = bool(names & set(self.options.accepted_states))
        wanted = self.options.done_states
        return accepted or (bool(names & set(wanted)) if wanted else kind == FINISHED), accepted

    def _milestone(self, row: Row, project: Row) -> Observation:
        """A task of a milestone type. Raises BadRow where a proof field is missing or of another type."""
        state = need_mapping(row, "task_state")
        name = need_text(state, "name", "task_state.name")
        done, accepted = self._done(state, row)
        completed, updated = seconds(row, "completed_at"), seconds(row, "updated_at")
        return Observation(
            connection=self.name,
            project_id=project["_id"],
            project_key=str(project.get("identifier") or project["_id"]),
            project_name=str(project.get("name", "")),
            milestone_id=need_text(row, "_id"),
            kind="milestone",
            name=need_text(row, "title"),
            state=name,
            done=done,
            accepted=accepted,
            done_at=(completed or updated) if done else None,
            planned_at=_due(row),
            updated_at=updated,
            archived=flag(row, "is_archived"),
            deleted=flag(row, "is_deleted"),
            grade=EvidenceGrade.STATE,
            date_provenance=Provenance.ABSENT
            if not done
            else Provenance.NATIVE
            if completed
            else Provenance.FIRST_OBSERVED,
            extra=unknown_fields(row, KNOWN),
        )


def _due(row: Row) -> datetime | None:
    """The planned date: {date, with_time}, in some answers wrapped as {value: {...}}."""
    properties = row.get("properties")
    due = (properties.get("due") if isinstance(properties, dict) else None) or row.get("due")
    inner = due.get("value", due) if isinstance(due, dict) else None
    return seconds(inner, "date", "due.date") if isinstance(inner, dict) else None


def _raw_page(body: object, path: str) -> RawPage:
    """Both envelopes: {items|value, total, has_more} and {value, meta: {has_more}}."""
    if not isinstance(body, dict):
        raise BadPayload("no_object", where=path)
    rows = objects(body.get("value", body.get("items", body.get("values"))), path)
    inner = body.get("meta")
    meta = inner if isinstance(inner, dict) else body
    more = meta.get("has_more")
    return RawPage([_unwrapped(r) for r in rows], total_of(meta.get("total")), more if isinstance(more, bool) else None)


def _remembered(request: PullRequest) -> Mapping[str, str]:
    """Project id -> the milestones it had, from the cursor; an unreadable one is none."""
    try:
        kept = {} if request.full else orjson.loads(request.cursor or "{}")
    except orjson.JSONDecodeError:
        return {}
    return kept if isinstance(kept, dict) else {}


def _mark(ids: set[str]) -> str:
    """A short sign for a set of milestones."""
    return blake2b("\n".join(sorted(ids)).encode(), digest_size=8).hexdigest()


def _unwrapped(row: Row) -> Row:
    """Some answers wrap a row as {value: {...}}."""
    inner = row.get("value")
    return inner if isinstance(inner, dict) and "_id" in inner else row


def _judge(status: int, body: Any, headers: Mapping[str, str]) -> SourceError | None:
    """Errors inside HTTP 200: 1102 and 1103 are token trouble."""
    del headers
    if status == 401:
        return TokenRefused("not_authorised")
    if isinstance(body, dict) and body.get("ok") is False:
        code = body.get("error_code")
        if code in (1102, 1103):
            return TokenRefused("client_wrong", code=code)
        return SourceRefused("vendor_refused", status=status, code=code)
    return None


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Worktile:
    """A Worktile source from checked options."""
    return Worktile(name, WorktileOptions(**checked_options(name, CONNECTOR, options)), clock, transport, sleep)


def _fake() -> object:
    from connectors.worktile.fake import WorktileFake

    return WorktileFake()


CONNECTOR = ConnectorInfo(
    system="worktile",
    title="Worktile",
    options=(
        Option("base_url", required=True, help="before /open-api: https://dev.worktile.com, or your own host"),
        Option("client_id", required=True, help="of the application"),
        Option("client_secret", required=True, secret=True, help="of the application"),
        Option(
            "type_names", default=("里程碑", "Milestone"), help="names or ids of the task types that are milestones"
        ),
        Option(
            "done_states",
            default=(),
            help="names or ids of states that mean done; none: every end state (scrapped too!)",
        ),
        Option("accepted_states", default=("已验收",), help="names or ids of states that mean the customer accepted"),
        Option("per_minute", default=120, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=3, help="requests at once (8 were seen to be throttled)"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
)
