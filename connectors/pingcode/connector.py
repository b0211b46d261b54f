"""PingCode as a source.

Two generations of paths are served: `project` (/v1/project, plural filters, updated_between to the
second) and `pjm` (/v1/pjm, search by whole days); `auto` finds out. Milestones and phases are work
items whose type belongs to the group `plan`; the type ids differ from tenant to tenant. The vendor
ignores unknown filters silently, so every row is held against the project, the type and the bound that
were asked for. There is no sort order: lists are walked until as many rows were seen as announced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

import httpx

from connectors.errors import BadPayload, SourceError, SourceRefused
from connectors.http.budget import Sleep
from connectors.http.client import Bearer, Http, Missing, Policy, Send, Token, TokenRefused, token_answer, token_end
from connectors.http.fields import BadRow, need_mapping, need_text, rejected, seconds
from connectors.http.paging import (
    WALKS_MAX,
    RawPage,
    Row,
    Walk,
    objects,
    settled,
    side_by_side,
    together,
    total_of,
)
from connectors.http.probe import permitted
from connectors.http.shape import as_agreed
from connectors.pingcode import mapping
from connectors.pingcode.comments import Comments
from connectors.pingcode.memory import KnownReview, Memory, known_review
from connectors.registry import ConnectorInfo, Option, checked_options, missing_projects, none_left
from models.domain.observations import Observation, Page, Rejected
from models.ports import PullRequest, Reachability

PAGE = 100
AT_ONCE = 20  # the plural filters take up to 20 ids
LISTS_AT_ONCE = 8  # the singular filters take one project and one type: so many lists are read side by side
#: The vendor says 400 for what is not there (any more); 1003108 is a transition.
GONE = frozenset({"100002", "100300", "100304", "100308", "100317", "1003108"})
#: The vendor compares search bounds by whole days, and clocks differ: look back this far.
OVERLAP = {"project": timedelta(minutes=10), "pjm": timedelta(hours=48)}
#: What is older than the bound by more than the vendor's rounding was not filtered at all.
ROUNDING = {"project": timedelta(0), "pjm": timedelta(days=1)}
PLANNED = ("waterfall", "hybrid")  # the kinds of project that have milestones and phases
PHASE_NAMES = ("阶段", "phase", "stage")
KINDS = ("milestone", "phase", "sprint", "release", "deliverable")
#: What is read whole each time: path, filter, and how a row is read.
PLANS: Mapping[str, tuple[str, Mapping[str, str], mapping.Build]] = {
    "sprint": ("projects/{}/sprints", {}, mapping.sprint),
    "release": ("projects/{}/versions", {}, mapping.release),
    "deliverable": ("deliverables", {"project_id": "{}"}, mapping.deliverable),
}
FLAVOURS = ("auto", "project", "pjm")
BOTH = {"include_deleted": "true", "include_archived": "true"}


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
    reviews: bool = False
    progress: bool = False
    reconcile_days: int = 7
    per_minute: int = 180
    concurrency: int = 8
    timeout: float = 30.0


@dataclass(slots=True)
class _Pull:
    """One pull on its way."""

    projects: dict[str, Row]
    memory: Memory
    since: datetime | None
    reviewed: Mapping[str, mapping.Review] = field(default_factory=dict)
    asked_again: set[str] = field(default_factory=set)  # items whose review changed
    whole: set[str] = field(default_factory=set)  # projects of which every work item was seen
    torn: set[str] = field(default_factory=set)  # projects whose rows moved while we walked: the watermark stays

    def place(self, row: Row) -> tuple[Row | None, str | None]:
        """The project of a row, and whether it is a milestone or a phase; None: not what was asked for.

        Raises BadRow where the row does not say.
        """
        identity = need_text(need_mapping(row, "project"), "id", "project.id")
        kind = need_text(row, "type")
        types = self.memory.types.get(identity)
        return self.projects.get(identity), None if types is None else types.get(kind)


class _DoneRow(NamedTuple):
    """A row that is done: its history is fetched before it is mapped."""

    row: Row
    kind: str
    project: Row
    state: mapping.State


class PingCode:
    """One PingCode tenant."""

    def __init__(
        self,
        name: str,
        options: PingCodeOptions,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name, self.options, self._clock = name, options, clock
        self._items = mapping.Items(name, mapping.Meaning(options.done_states, options.accepted_states))
        self.http = Http(
            options.base_url,
            Bearer(self._token, clock),
            clock=clock,
            sleep=sleep,
            policy=Policy(timeout=options.timeout, concurrency=options.concurrency, per_minute=options.per_minute or None),
            judge=_judge,
            transport=transport,
            secrets=(options.client_secret,),
        )  # fmt: skip
        self._flavour = "" if options.api_flavour == "auto" else options.api_flavour

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.http.__aexit__(*exc)

    async def _token(self, send: Send) -> Token:
        """Client credentials, by GET as the vendor wants it; `expires_in` is the moment of expiry."""
        given = {"client_id": self.options.client_id, "client_secret": self.options.client_secret}
        url = f"{self.options.base_url.rstrip('/')}/v1/auth/token"
        answer = await send(httpx.Request("GET", url, params={"grant_type": "client_credentials", **given}))
        body = token_answer(answer, self._clock)
        return Token(str(body["access_token"]), token_end(body, self._clock))

    # --- what is there ---

    async def _area(self) -> str:
        """`/v1/pjm` or `/v1/project`, found out once."""
        if not self._flavour:
            try:
                await self.http.get("/v1/pjm/projects", {"page_size": 1})
                self._flavour = "pjm"
            except Missing:
                await self.http.get("/v1/project/projects", {"page_size": 1})
                self._flavour = "project"
        return f"/v1/{self._flavour}"

    def _walk(self, path: str, params: Mapping[str, Any]) -> Walk:
        async def fetch(number: int, size: int) -> RawPage:
            body = await self.http.get(path, {**params, "page_index": number, "page_size": size})
            return _raw_page(body, path, number)

        return Walk(fetch, PAGE, "id", self.options.concurrency)

    def _search(self, path: str, payload: Mapping[str, Any]) -> Walk:
        async def fetch(number: int, size: int) -> RawPage:
            asked = {"mode": "query", "payload": {**payload, "page_index": number, "page_size": size}}
            return _raw_page(await self.http.post(path, asked), path, number)

        return Walk(fetch, PAGE, "id", self.options.concurrency)

    async def _rows(self, path: str, params: Mapping[str, Any]) -> list[Row]:
        rows, _ = await settled(lambda: self._walk(path, params))
        return rows

    async def _projects(self, wanted: Sequence[str]) -> list[Row]:
        """The wanted projects, deleted ones included."""
        path = f"{await self._area()}/projects"
        rows = await self._rows(path, BOTH)
        named = (r.get(k) for r in rows for k in ("identifier", "name"))
        if any(not isinstance(r.get("id"), str) for r in rows) or any(
            n is not None and not isinstance(n, str) for n in named
        ):
            raise BadPayload("project_without_id", where=path)
        if not wanted:
            return rows
        missing_projects(self.name, wanted, [(str(r.get("identifier") or r["id"]), r["id"]) for r in rows])
        return [r for r in rows if r.get("identifier") in wanted or r["id"] in wanted]

    async def check(self) -> Reachability:
        """Who we are: the team that the application belongs to, and what could be read."""
        with as_agreed(self.http):
            return await self._checked()

    async def _checked(self) -> Reachability:
        projects = [p for p in await self._projects(()) if not p.get("is_deleted")]
        missing: tuple[str, ...] = ()
        try:
            team = await self.http.get("/v1/directory/team")
            account = str(team.get("name", "?")) if isinstance(team, dict) else "?"
        except SourceRefused:
            account, missing = "?", ("pcp:read:global:team",)
        _, refused = await permitted(lambda: self._probe(projects))
        missing += refused
        planned = sum(p.get("type") in PLANNED for p in projects)
        notes = () if planned or not {"milestone", "phase"} & set(self.options.milestones) else ("NO_PLANNED_PROJECT",)
        return Reachability(
            account,
            len(projects),
            rate_left=self.http.rate_left,
            missing=missing,
            notes=notes,
            facts={"api": self._flavour},
        )

    async def _probe(self, projects: Sequence[Row]) -> None:
        """May the lists of a project be read? They are too many kinds to be counted."""
        work = _Pull({p["id"]: p for p in projects if p.get("type") in PLANNED}, Memory(), None)
        work.projects = dict(list(work.projects.items())[:1])
        await self._learn_types(work)
        for project, types in work.memory.types.items():
            for kind in list(types)[:1]:
                one = {"project_id": project, "type_id": kind}
                named = self._flavour == "pjm"
                await (self._walk("/v1/pjm/work_items", one) if named else self._plural([project], work)).fetch(0, 1)

    # --- the pull ---

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """Changed milestones of the wanted projects; everything on the first pull, a full one, and now and then."""
        with as_agreed(self.http):
            async for page in self._pulled(request):
                yield page

    async def _pulled(self, request: PullRequest) -> AsyncIterator[Page]:
        memory = Memory() if request.full else Memory.load(request.cursor)
        since = memory.since(request.now, timedelta(days=self.options.reconcile_days))
        found = await self._projects(request.projects)
        if not request.projects:
            none_left(self.name, memory.types, found)
        alive = {p["id"]: p for p in found if not p.get("is_deleted")}
        work = _Pull(alive, memory, since)
        await self._learn_types(work)
        await self._learn_reviews(work)
        async for page in self._work_items(work):
            yield page
        async for page in self._plans(work):
            yield page
        # Said last: only now have all kinds of milestones of these projects been seen.
        yield Page((), snapshot_of=(*sorted(work.whole), *(p["id"] for p in found if p.get("is_deleted"))))
        seen = tuple(p["id"] for p in found)
        yield Page((), cursor=_next_cursor(work, request.now), last=True, projects=seen, torn=tuple(sorted(work.torn)))

    async def _learn_types(self, work: _Pull) -> None:
        """The ids of milestone and phase types, by project; remembered in the cursor."""
        kinds = {"milestone", "phase"} & set(self.options.milestones)
        names = repr((sorted(kinds), self.options.type_names))
        if names != work.memory.names or work.since is None:
            work.memory.types, work.memory.names = {}, names
        unknown = [
            p for i, p in work.projects.items() if kinds and i not in work.memory.types and p.get("type") in PLANNED
        ]
        path = f"{await self._area()}/work_item/types"
        answers = await together([self._rows(path, {"project_id": p["id"]}) for p in unknown])
        for project, rows in zip(unknown, answers, strict=True):
            work.memory.types[project["id"]] = self._plan_types(rows, kinds)

    def _plan_types(self, rows: Sequence[Row], kinds: set[str]) -> dict[str, str]:
        """Type id -> milestone or phase. Where no name fits, all types of the group `plan`: the vendor marks them."""
        plan = [r for r in rows if r.get("group") == "plan" and isinstance(r.get("id"), str)]
        named = [r for r in plan if r.get("name") in self.options.type_names or r["id"] in self.options.type_names]
        found = {r["id"]: "phase" if str(r.get("name")).lower() in PHASE_NAMES else "milestone" for r in named or plan}
        return {i: k for i, k in found.items() if k in kinds}

    # --- work items ---

    async def _work_items(self, work: _Pull) -> AsyncIterator[Page]:
        planned = [i for i in work.projects if work.memory.types.get(i)]
        for start in range(0, len(planned), AT_ONCE):
            ids = planned[start : start + AT_ONCE]
            async for page in self._items_of(ids, work):
                yield page
        work.whole |= set(work.projects) - set(planned)
        if work.since is not None:
            work.whole.clear()
        for item in sorted(work.asked_again):
            yield await self._once_more(item, work)

    async def _items_of(self, ids: Sequence[str], work: _Pull) -> AsyncIterator[Page]:
        if self._flavour == "project":
            async for page in self._walked(ids, lambda: self._plural(ids, work), work):
                yield page
            return
        if work.since is not None:
            try:
                async for page in self._walked(ids, lambda: self._changed(ids, work), work):
                    yield page
                return
            except SourceRefused as problem:
                if not isinstance(problem, Missing) and problem.trouble.params.get("status") != 400:
                    raise  # else this version has no search, or not by date: read everything
        async for page in self._by_type(ids, work):
            yield page

    async def _walked(self, ids: Sequence[str], start: Callable[[], Walk], work: _Pull) -> AsyncIterator[Page]:
        """One list over many projects, page by page; walked again where rows moved meanwhile."""
        for _ in range(WALKS_MAX):
            walk = start()
            async for rows in walk.pages():
                yield await self._observed(rows, ids, work)
            if walk.complete:
                work.whole |= set(ids)
                return
        work.torn |= set(ids)

    def _plural(self, ids: Sequence[str], work: _Pull) -> Walk:
        types = {t for i in ids for t in work.memory.types[i]}
        query: dict[str, Any] = {"project_ids": ",".join(ids), **BOTH}
        if len(types) <= AT_ONCE:
            query["type_ids"] = ",".join(sorted(types))
        if work.since is not None:
            low = int((work.since - OVERLAP["project"]).timestamp())
            query["updated_between"] = f"{low},{low + 10 * 366 * 86_400}"
        return self._walk("/v1/project/work_items", query)

    def _changed(self, ids: Sequence[str], work: _Pull) -> Walk:
        assert work.since is not None
        bound = int((work.since - OVERLAP["pjm"]).timestamp())
        wanted = {"project.id": {"in": list(ids)}, "updated_at": {"gte": bound}}
        payload = {"filter": wanted, "include_deleted": True, "include_archived": True}
        return self._search("/v1/pjm/work_items/search", payload)

    async def _by_type(self, ids: Sequence[str], work: _Pull) -> AsyncIterator[Page]:
        """One list for each project and type, side by side, page by page."""
        torn: set[str] = set()
        readers = [lambda i=i, t=t: self._of_type(i, t, torn, work) for i in ids for t in work.memory.types[i]]
        async for page in side_by_side(readers, LISTS_AT_ONCE):
            yield page
        work.whole |= set(ids) - torn
        work.torn |= torn

    async def _of_type(self, project: str, kind: str, torn: set[str], work: _Pull) -> AsyncIterator[Page]:
        """One list, walked again where rows moved meanwhile; `torn` gathers the projects that never kept still."""
        for _ in range(WALKS_MAX):
            walk = self._walk("/v1/pjm/work_items", {"project_id": project, "type_id": kind, **BOTH})
            async for rows in walk.pages():
                yield await self._observed(rows, [project], work)
            if walk.complete:
                return
        torn.add(project)

    async def _observed(self, rows: Sequence[Row], ids: Sequence[str], work: _Pull) -> Page:
        """The rows that were asked for, with their history; the vendor may have ignored the filters."""
        good: list[Observation] = []
        bad: list[Rejected] = []
        done: list[_DoneRow] = []
        asked, items = frozenset(ids), self._items
        for row in rows:
            try:
                project, kind = work.place(row)
                if project is None or kind is None or project["id"] not in asked or self._older(row, work.since):
                    continue
                work.asked_again.discard(str(row.get("id")))
                state = items.state(row)
                if state.done:
                    done.append(_DoneRow(row, kind, project, state))
                else:
                    good.append(items.open(row, kind, project, state))
            except BadRow as problem:
                bad.append(rejected(self.name, row, "id", problem))
        histories = await together([self._history(d.row) for d in done]) if done else ()
        for found, history in zip(done, histories, strict=True):
            try:
                good.append(items.done(*found, history, work.reviewed.get(str(found.row.get("id")))))
            except BadRow as problem:
                bad.append(rejected(self.name, found.row, "id", problem))
        return Page(tuple(good), tuple(bad), seen=len(rows))

    def _older(self, row: Row, since: datetime | None) -> bool:
        """A row before the bound that was asked for: the filter was ignored, the row is old news."""
        if since is None:
            return False
        updated = seconds(row, "updated_at")
        return updated is not None and updated < since - OVERLAP[self._flavour] - ROUNDING[self._flavour]

    async def _history(self, row: Row) -> list[Row]:
        """State changes, who and when. Only what is done is asked for, a request each: what is open proves nothing."""
        if row.get("is_deleted") or not isinstance(row.get("id"), str):
            return []
        try:
            return await self._rows(f"/v1/{self._flavour}/work_items/{row['id']}/transition_histories", {})
        except Missing:
            return []  # gone meanwhile; a done item without history is unproven

    # --- reviews ---

    async def _learn_reviews(self, work: _Pull) -> None:
        """Formal reviews of the projects, and which items' review changed. The API has no verdict: see the docs."""
        if not self.options.reviews:
            return
        before = work.memory.reviewed()
        planned = [i for i in work.projects if work.memory.types.get(i)]
        asked = [{"principal_type": "work_item", "pilot_id": i} for i in planned]
        rows = [r for found in await together([self._rows("/v1/reviews", a) for a in asked]) for r in found]
        known = await together([self._review(r, work.memory.reviews.get(str(r.get("id")))) for r in rows])
        work.memory.reviews = {str(r.get("id")): k for r, k in zip(rows, known, strict=True)}
        work.reviewed = work.memory.reviewed()
        work.asked_again = {i for i in before.keys() | work.reviewed.keys() if before.get(i) != work.reviewed.get(i)}

    async def _review(self, row: Row, before: KnownReview | None) -> KnownReview:
        updated = row.get("updated_at")
        if before is not None and before.updated_at == updated:
            return before
        path, asked = f"/v1/reviews/{row.get('id')}/principals", {"principal_type": "work_item"}
        items = [p["principal"]["id"] for p in await self._rows(path, asked) if isinstance(p.get("principal"), dict)]
        try:
            return known_review(row, items)
        except BadRow as problem:
            raise BadPayload(
                "pingcode_review", where="/v1/reviews", code=problem.code, found=dict(problem.params)
            ) from None

    async def _once_more(self, item: str, work: _Pull) -> Page:
        """An item that did not change, but whose review did."""
        try:
            row = await self.http.get(f"/v1/{self._flavour}/work_items/{item}", BOTH)
        except Missing:
            return Page(())
        if not isinstance(row, dict):
            raise BadPayload("no_object", where="/work_items")
        again = _Pull(work.projects, work.memory, None, work.reviewed)
        return await self._observed([row], list(work.projects), again)

    # --- sprints, releases, deliverables, progress ---

    async def _plans(self, work: _Pull) -> AsyncIterator[Page]:
        """Sprints, releases, deliverables and project progress, where wanted; short lists, read whole each time."""
        for some in _batches(list(work.projects.values()), self.options.concurrency * 4):
            lists = [self._plan(p, kind, work) for p in some for kind in PLANS if self._has(p, kind)]
            for page in await together(lists):
                yield page
            if self.options.progress:
                for page in await together([self._measured(p) for p in some]):
                    yield page

    def _has(self, project: Row, kind: str) -> bool:
        """Is this list wanted, and does this kind of project have it?"""
        return kind in self.options.milestones and (kind != "deliverable" or project.get("type") in PLANNED)

    async def _plan(self, project: Row, kind: str, work: _Pull) -> Page:
        path, params, build = PLANS[kind]
        url = f"/v1/{self._flavour}/{path.format(project['id'])}"
        try:
            rows, whole = await settled(
                lambda: self._walk(url, {k: v.format(project["id"]) for k, v in params.items()})
            )
        except Missing:
            return Page(())  # this kind of project has none
        if not whole:
            work.whole.discard(project["id"])
        good: list[Observation] = []
        bad: list[Rejected] = []
        for row in rows:
            try:
                if params and need_text(need_mapping(row, "project"), "id", "project.id") != project["id"]:
                    continue  # the filter was ignored
                good.append(build(self.name, row, project))
            except BadRow as problem:
                bad.append(rejected(self.name, row, "id", problem))
        return Page(tuple(good), tuple(bad), seen=len(rows))

    async def _measured(self, project: Row) -> Page:
        counts = await self.http.get(f"/v1/{self._flavour}/projects/{project['id']}/progress")
        try:
            return Page((mapping.progress(self.name, project, counts),), seen=1)
        except BadRow as problem:
            return Page((), (rejected(self.name, project, "id", problem, "project:"),), seen=1)


def _batches(rows: list[Row], size: int) -> list[list[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _next_cursor(work: _Pull, now: datetime) -> str:
    memory = work.memory
    if not work.torn:
        moment = int(now.timestamp())
        memory.watermark, memory.full_at = moment, moment if work.since is None else memory.full_at
    return memory.dump()


def _raw_page(body: object, path: str, number: int) -> RawPage:
    if not isinstance(body, dict) or "values" not in body:
        raise BadPayload("no_list", where=path)
    if body.get("page_index", number) != number:
        raise BadPayload("wrong_page", where=path, asked=number, got=body.get("page_index"))
    return RawPage(objects(body["values"], path), total_of(body.get("total")))


def _judge(status: int, body: Any, headers: Mapping[str, str]) -> SourceError | None:
    """The vendor says 400 where others say 401 or 404; the code tells."""
    del headers
    code = str(body.get("code", "")) if isinstance(body, dict) else ""
    if status == 401:
        return TokenRefused("not_authorised")
    if code == "100024":
        return SourceRefused("client_wrong", code=code)
    if status in (400, 404) and code in GONE:
        return Missing("object_gone", status=status, code=code)
    if status == 400 and code:
        return SourceRefused("vendor_refused", status=status, code=code)
    return None


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> PingCode:
    """A PingCode source from checked options."""
    values = PingCodeOptions(**checked_options(name, CONNECTOR, options))
    return PingCode(name, values, clock, transport, sleep)


def _fake() -> object:
    from connectors.pingcode.fake import PingCodeFake

    return PingCodeFake()


CONNECTOR = ConnectorInfo(
    system="pingcode",
    title="PingCode",
    options=(
        Option("base_url", required=True, help="API root before /v1: https://open.pingcode.com, or https://HOST/open"),
        Option("client_id", required=True, help="of the application in the admin console"),
        Option("client_secret", required=True, secret=True, help="of the application; read scopes are enough"),
        Option(
            "api_flavour", default="auto", choices=FLAVOURS, help="auto, project (older, private installations) or pjm"
        ),
        Option(
            "milestones",
            default=("milestone", "phase"),
            choices=KINDS,
            help="milestone, phase, sprint, release, deliverable",
        ),
        Option(
            "type_names",
            default=("里程碑", "阶段", "Milestone", "Phase"),
            help="names or ids of the work-item types of group plan that count; where none fits, all of the group",
        ),
        Option("done_states", default=(), help="names or ids of states that mean done; none: states of type completed"),
        Option("accepted_states", default=(), help="names or ids of states that mean the customer accepted"),
        Option(
            "reviews", default=False, help="a completed formal review counts as acceptance (the API tells no verdict)"
        ),
        Option("progress", default=False, help="also read each project's percentage"),
        Option("reconcile_days", default=7, help="every so many days read everything, not only what changed"),
        Option("per_minute", default=180, help="our own limit of requests a minute (the vendor's is 200); 0: none"),
        Option("concurrency", default=8, help="requests at once, at most 16"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    commenter=lambda source: Comments(source.http),
)
