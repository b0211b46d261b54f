"""GitHub as a source: milestones of repositories (REST, 2022-11-28).

A repository's list of milestones is read whole, page by page, each page with its ETag. The next night the same
pages are asked for only if they changed: a 304 does not count against GitHub's limit, and a repository of up to
a hundred milestones costs one. Pages that changed while later ones were read are found by the same question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import orjson

from connectors.errors import BadPayload, SourceError, SourceRefused, SourceUnavailable
from connectors.github import mapping
from connectors.github.comments import Comments
from connectors.github.paging import PAGE, TaggedWalk, last_page, tagged_walk
from connectors.http.budget import Sleep
from connectors.http.client import Answer, Http, Missing, Policy, Send
from connectors.http.fields import BadRow, text_or_none
from connectors.http.hooks import GITHUB
from connectors.http.paging import Chain, Row, objects, settled, together
from connectors.http.source import Listing, Project, RestSource
from connectors.http.waiting import asked_wait
from connectors.registry import ConnectorInfo, Option, checked_options, missing_projects
from models.domain.observations import Observation
from models.ports import Reachability

RULES = ("confirm", "allow", "not_done")
MINUTE = 60.0  # GitHub: wait at least so long where a throttling answer does not say how long
COUNTED_MAX = 50  # `check` counts the milestones of no more repositories than that
MOVED = (301, 302, 307, 308)


@dataclass(frozen=True, slots=True)
class GitHubOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    token: str
    people: bool = True
    open_issues: str = "confirm"
    reconcile_days: int = 7
    per_minute: int = 600
    concurrency: int = 4
    timeout: float = 30.0


class _Token:
    """The token, and which form and version of answers we read."""

    def __init__(self, token: str) -> None:
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The same for every request."""
        del send
        return self._headers

    def expire(self, used: Mapping[str, str]) -> bool:
        """A token cannot be renewed."""
        del used
        return False


class Moved(SourceRefused):
    """The repository was renamed or given to somebody else; `to` is its address now."""

    to: str = ""


@dataclass(slots=True)
class _Kept:
    """What the cursor remembers of a repository: its name and pages as they were, and who closed what."""

    named: str = ""
    tags: list[str] = field(default_factory=list)  # of each page, in order
    people: dict[str, list[str]] = field(default_factory=dict)  # milestone id -> [closed_at, login]

    def dump(self) -> str:
        return orjson.dumps([self.named, self.tags, self.people]).decode()

    @classmethod
    def load(cls, text: str | None) -> _Kept:
        """What cannot be read is nothing."""
        try:
            named, tags, people = orjson.loads(text or "null")
            return cls(str(named), list(tags), dict(people))
        except (ValueError, TypeError):
            return cls()


class GitHub(RestSource):
    """One GitHub, as one token sees it."""

    def __init__(
        self,
        name: str,
        options: GitHubOptions,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.options, self._clock = options, clock
        policy = Policy(timeout=options.timeout, concurrency=options.concurrency, per_minute=options.per_minute or None)
        http = Http(
            options.base_url,
            _Token(options.token),
            clock=clock,
            sleep=sleep,
            policy=policy,
            judge=self._judge,
            transport=transport,
            secrets=(options.token,),
        )
        super().__init__(name, http, reconcile_days=options.reconcile_days)

    def _judge(self, status: int, body: Any, headers: Mapping[str, str]) -> SourceError | None:
        """A limit is told as 403 or 429 (docs: rate limits for the REST API); a renamed repository as 301."""
        if status in (403, 429) and (status == 429 or _throttled(body, headers)):
            wait = asked_wait(headers, self._clock())
            return SourceUnavailable("too_many_requests", wait=MINUTE if wait is None else wait, status=status)
        if status in MOVED and headers.get("location"):
            problem = Moved("sent_elsewhere", status=status)
            problem.to = str(httpx.URL(self.options.base_url).join(headers["location"]))
            return problem
        return None

    async def ask(self, path: str, params: Mapping[str, Any] | None = None, tag: str = "") -> Answer:
        """An answer; where it is 304, the page is as it was under the tag. A new address is followed once, on the
        same host only: the client refuses others."""
        headers = {"If-None-Match": tag} if tag else {}
        try:
            return await self.http.ask("GET", path, params=params, headers=headers)
        except Moved as moved:
            return await self.http.ask("GET", moved.to, params=params, headers=headers)

    # --- what is there ---

    async def account(self) -> str:
        """The user behind the token."""
        return text_or_none(_row(await self.ask("/user"), "/user"), "login") or "?"

    async def projects(self) -> list[Project]:
        """The repositories that the token may read."""

        async def page(number: int, tag: str) -> Answer:
            return await self.ask("/user/repos", {"sort": "full_name", "per_page": PAGE, "page": number}, tag)

        rows, whole = await settled(lambda: tagged_walk(page, "/user/repos", self.options.concurrency))
        if not whole:
            raise BadPayload("moving_list", where="/user/repos")
        return [_project(r) for r in rows]

    async def _wanted(self, wanted: Sequence[str]) -> list[Project]:
        """Repositories may also be named that are not the account's own, or by a name they had before."""
        found = await self.projects()
        if not wanted:
            return found
        names = {n for p in found for n in (p.key, p.id)}
        others = await together([self._named(w) for w in wanted if w not in names and w.count("/") == 1])
        known = {p.id: p for p in (*found, *(o for _, o in others if o is not None))}
        now = {old: p.key for old, p in others if p is not None}
        asked = {now.get(w, w) for w in wanted}
        missing_projects(self.name, sorted(asked), [(p.key, p.id) for p in known.values()])
        return [p for p in known.values() if p.key in asked or p.id in asked]

    async def _named(self, name: str) -> tuple[str, Project | None]:
        try:
            return name, _project(_row(await self.ask(f"/repos/{name}"), f"/repos/{name}"))
        except Missing:
            return name, None

    async def _checked(self) -> Reachability:
        """The account, what it sees, and whether the token may read it."""
        answer = await self.ask("/user")
        account, scopes = text_or_none(_row(answer, "/user"), "login") or "?", answer.headers.get("x-oauth-scopes")
        projects = await self.projects()
        counts = await together([self._count(p) for p in projects[:COUNTED_MAX]])
        # Only classic tokens name their scopes; with none of them they read what is public.
        missing = [] if scopes is None or "repo" in scopes.split(", ") else ["repo"]
        if None in counts:
            missing.append("issues: read")
        told = sum(c or 0 for c in counts) if len(projects) <= COUNTED_MAX and None not in counts else None
        return Reachability(account, len(projects), told, self.http.rate_left, tuple(missing))

    async def _count(self, project: Project) -> int | None:
        """The number of milestones; None where the token may not read them."""
        path = f"/repos/{project.key}/milestones"
        try:
            answer = await self.ask(path, {"state": "all", "per_page": 1, "page": 1})
        except Missing:
            return 0
        except SourceRefused:
            return None
        return last_page(answer) or len(objects(answer.body, path))

    # --- the pull ---

    def listings(self, project: Project) -> Sequence[Listing]:
        """One list a repository."""
        reading = _Reading(self, project)
        return [
            Listing(lambda _: reading.walk(), reading.observed, details=reading.people, unchanged=reading.unchanged)
        ]


class _Reading:
    """One repository in one pull."""

    def __init__(self, source: GitHub, project: Project) -> None:
        self._source, self._project = source, project
        self._path = f"/repos/{project.key}/milestones"
        self._named = f"{project.key} {project.row.get('archived')}"
        self._first: Answer | None = None  # a first page that turned out to be another than before
        self._kept = _Kept(self._named)
        self._walks = 0
        # who closed what is remembered also where all else is read anew
        self._people = _Kept.load(source.remembered.kept.get(project.id)).people

    async def _page(self, number: int, tag: str = "") -> Answer:
        return await self._source.ask(self._path, {"state": "all", "per_page": PAGE, "page": number}, tag)

    async def unchanged(self) -> bool:
        """Are the repository and all pages as the last pull left them?"""
        before = self._source.before.kept.get(self._project.id)
        old = _Kept.load(before)
        if before is None or not old.tags or old.named != self._named:
            return False
        try:
            first = await self._page(1, old.tags[0])
            others = [self._page(n, tag) for n, tag in enumerate(old.tags[1:], 2)] if first.status == 304 else []
            same = all(a.status == 304 for a in (first, *await together(others)))
        except Missing:
            return False  # the walk will find out
        if same:
            self._source.after.kept[self._project.id] = before
        elif first.status != 304:
            self._first = first
        return same

    def walk(self) -> Chain:
        """All pages. Nothing is claimed of a repository that went away meanwhile."""
        self._walks += 1

        async def page(number: int, tag: str) -> Answer:
            first, self._first = self._first, None
            return first if first is not None and number == 1 and not tag else await self._page(number, tag)

        walk = tagged_walk(page, self._path, self._source.options.concurrency)
        fetch = walk.fetch

        async def there(token: str | None) -> tuple[list[Row], str | None]:
            try:
                rows, following = await fetch(token)
            except Missing:
                walk.moved = True
                return [], None
            if following is None:
                self._keep(walk.tags if self._trusted(walk) else [])
            return rows, following

        walk.fetch = there
        return walk

    def _trusted(self, walk: TaggedWalk) -> bool:
        """May the next pull rest on these tags? A full last page says nothing of one that may come after it, and
        what an earlier walk of this pull saw and a later one did not is told as gone by the next pull only."""
        return all(walk.tags) and not walk.full and not walk.moved and self._walks == 1

    def _keep(self, tags: list[str]) -> None:
        self._kept.tags = tags
        self._source.after.kept[self._project.id] = self._kept.dump()

    # --- people ---

    async def people(self, rows: Sequence[Row]) -> Mapping[str, str | None]:
        """Who closed the last issue of each closed milestone, by the milestone's id; asked once in its life."""
        closed = [r for r in rows if self._source.options.people and mapping.asks_for_person(r)]
        found = await together([self._person(r) for r in closed])
        told = {str(r.get("id")): by for r, by in zip(closed, found, strict=True)}
        self._kept.people |= {str(r.get("id")): [str(r.get("closed_at")), told[str(r.get("id"))] or ""] for r in closed}
        if self._project.id in self._source.after.kept:
            self._keep(self._kept.tags)
        return told

    async def _person(self, row: Row) -> str | None:
        known = self._people.get(str(row.get("id")))
        if known is not None and known[0] == str(row.get("closed_at")):
            return known[1] or None
        asked = {"milestone": str(row.get("number")), "state": "closed", "sort": "updated", "direction": "desc"}
        path = f"/repos/{self._project.key}/issues"
        try:
            answer = await self._source.ask(path, {**asked, "per_page": PAGE, "page": 1})
            issue = mapping.last_closed(objects(answer.body, path), PAGE)
            if issue is None or mapping.closer(issue) is not None:
                return None if issue is None else mapping.closer(issue)
            number = issue.get("number")
            if not isinstance(number, int):
                return None  # a row without its number cannot be asked for
            path = f"{path}/{number}"
            return mapping.closer(_row(await self._source.ask(path), path))
        except (Missing, BadRow):
            return None  # who it was is not proof: the milestone counts without

    def observed(self, row: Row, by: str | None) -> Observation:
        """The milestone."""
        return mapping.milestone(self._source.name, self._project, row, by, self._source.options.open_issues)


def _throttled(body: Any, headers: Mapping[str, str]) -> bool:
    """Is a 403 a limit, rather than a missing permission?"""
    said = str(body.get("message", "")).lower() if isinstance(body, dict) else ""
    return "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or "rate limit" in said


def _row(answer: Answer, path: str) -> Row:
    if not isinstance(answer.body, dict):
        raise BadPayload("no_object", where=path)
    return answer.body


def _project(row: Row) -> Project:
    key = text_or_none(row, "full_name")
    if not isinstance(row.get("id"), int) or key is None or key.count("/") != 1:
        raise BadPayload("project_without_id", where="/user/repos")
    return Project(str(row["id"]), key, text_or_none(row, "name") or key, row)


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> GitHub:
    """A GitHub source from checked options."""
    found = GitHubOptions(**checked_options(name, CONNECTOR, options))
    return GitHub(name, found, clock, transport, sleep)


def _fake() -> object:
    from connectors.github.fake import GitHubFake

    return GitHubFake()


CONNECTOR = ConnectorInfo(
    system="github",
    title="GitHub",
    options=(
        Option("base_url", required=True, help="https://api.github.com, or https://HOST/api/v3 of your own server"),
        Option("token", required=True, secret=True, help="fine-grained with Issues: read, or classic with scope repo"),
        Option("people", default=True, help="ask once for each closed milestone who closed its last issue"),
        Option(
            "open_issues",
            default="confirm",
            choices=RULES,
            help="a milestone closed with open issues: confirm (by a person), allow (it is done), not_done",
        ),
        Option("reconcile_days", default=7, help="every so many days read everything anew, not only what changed"),
        Option(
            "per_minute", default=600, help="our own limit of requests a minute (GitHub's is 5000 an hour); 0: none"
        ),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
    fake=_fake,
    hook=GITHUB,
    commenter=lambda source: Comments(source.http),
)
