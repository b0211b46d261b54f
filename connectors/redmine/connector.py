"""Redmine as a source.

A version carries neither a percentage nor a date of closing, and its `updated_on` does not move with its
issues: the percentage is computed from the issues as Redmine's own model does, and what changed is found
through the issues. Only `status.is_closed` tells an open issue from a closed one - a reopened issue
keeps its `closed_on`. Lists hide closed issues unless asked with `status_id=*`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

import httpx

from connectors.errors import BadPayload, SourceRefused
from connectors.http.client import ApiKey, Http, Policy
from connectors.http.fields import BadRow, instant, need_mapping, need_text, rejected
from connectors.http.paging import RawPage, Row, Walk
from connectors.registry import ConnectorInfo, Option, checked_options, missing_projects
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Page, Provenance, Rejected, StateChange
from models.ports import PullRequest, Reachability

PAGE = 100  # more is cut to 100 silently
OVERLAP = timedelta(minutes=10)
KNOWN_VERSION = frozenset(
    "id project name description status due_date sharing wiki_page_title estimated_hours spent_hours custom_fields created_on updated_on".split()
)


@dataclass(frozen=True, slots=True)
class RedmineOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    base_url: str
    api_key: str
    milestones: tuple[str, ...] = ("version",)
    version_done: str = "closed"
    per_minute: int = 0
    concurrency: int = 4
    timeout: float = 30.0


class Redmine:
    """One Redmine."""

    def __init__(
        self,
        name: str,
        options: RedmineOptions,
        clock: Callable[[], datetime],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name, self.options = name, options
        policy = Policy(timeout=options.timeout, concurrency=options.concurrency, per_minute=options.per_minute or None)
        key = ApiKey("X-Redmine-API-Key", options.api_key)
        self._http = Http(
            options.base_url, key, clock=clock, policy=policy, transport=transport, secrets=(options.api_key,)
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.__aexit__(*exc)

    def _walk(self, path: str, name: str, params: Mapping[str, Any]) -> Walk:
        async def fetch(number: int) -> RawPage:
            body = await self._http.get(path, {**params, "offset": number * PAGE, "limit": PAGE})
            if not isinstance(body, dict) or not isinstance(body.get(name), list):
                raise BadPayload(
                    f"{path}: no {name} in the answer", advice="base_url must be Redmine's application root"
                )
            return RawPage(body[name], body.get("total_count"))

        return Walk(fetch, PAGE, "id", self.options.concurrency)

    async def _projects(self, wanted: Sequence[str]) -> list[Row]:
        rows = [row async for page in self._walk("/projects.json", "projects", {}).pages() for row in page]
        if not wanted:
            return rows
        missing_projects(self.name, wanted, [(str(r["identifier"]), str(r["id"])) for r in rows])
        return [r for r in rows if r["identifier"] in wanted or str(r["id"]) in wanted]

    async def check(self) -> Reachability:
        """The account behind the key, and what it sees."""
        body = await self._http.get("/users/current.json")
        user = need_mapping(body if isinstance(body, dict) else {}, "user")
        return Reachability(str(user.get("login") or user.get("id")), len(await self._projects(())))

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """Versions of every wanted project, recomputed where an issue moved; issues of trackers by their change."""
        since = None if request.full or not request.cursor else datetime.fromtimestamp(int(request.cursor), UTC)
        for project in await self._projects(request.projects):
            if "version" in self.options.milestones:
                async for page in self._versions(project, since):
                    yield page
            async for page in self._tracked(project, since):
                yield page
        yield Page((), cursor=str(int(request.now.timestamp())), last=True)

    # --- versions ---

    async def _versions(self, project: Row, since: datetime | None) -> AsyncIterator[Page]:
        """All versions of a project (the list has no pages), with the issues of those that may have moved."""
        body = await self._http.get(f"/projects/{project['id']}/versions.json")
        versions = [v for v in body.get("versions", []) if isinstance(v, dict)] if isinstance(body, dict) else []
        issues = await self._issues(project, since)
        moved = {str(i["fixed_version"]["id"]) for i in issues if isinstance(i.get("fixed_version"), dict)}
        good: list[Observation] = []
        bad: list[Rejected] = []
        for version in versions:
            own = [i for i in issues if _version_of(i) == str(version.get("id"))]
            if since is not None:
                if str(version.get("id")) not in moved and not _touched(version, since):
                    continue
                own = await self._issues(project, None, version)
            try:
                good.append(await self._version(version, project, own))
            except BadRow as problem:
                bad.append(rejected(self.name, version, "id", problem))
        # Removed issues leave no trace in an incremental list; the versions list itself is always whole.
        alive = tuple(f"version:{v.get('id')}" for v in versions)
        yield Page(tuple(good), tuple(bad), project_id=str(project["id"]), seen=len(issues))
        yield Page((), project_id=str(project["id"]), alive=alive)

    async def _issues(self, project: Row, since: datetime | None, version: Row | None = None) -> list[Row]:
        params: dict[str, Any] = {
            "project_id": project["id"],
            "subproject_id": "!*",
            "status_id": "*",
            "sort": "updated_on:asc,id:asc",
        }
        if since is not None:
            params["updated_on"] = f">={(since - OVERLAP).strftime('%Y-%m-%dT%H:%M:%SZ')}"
        if version is not None:
            params["fixed_version_id"] = version["id"]
        for _ in range(3):  # rows may move while we walk; then once more
            walk = self._walk("/issues.json", "issues", params)
            rows = [row async for page in walk.pages() for row in page]
            if walk.complete:
                return rows
        raise BadPayload(
            "/issues.json: the list kept moving while it was read", advice="pull again when fewer people are at work"
        )

    async def _version(self, row: Row, project: Row, issues: Sequence[Row]) -> Observation:
        """A version as a milestone. Raises BadRow where a proof field is missing or of another type."""
        status = need_text(row, "status")
        if status not in ("open", "locked", "closed"):
            raise BadRow("STATE_UNKNOWN", field="status", found=status, expected="open, locked, closed")
        closed = [i for i in issues if _is_closed(i)]
        all_closed = bool(issues) and len(closed) == len(issues)
        done = all_closed if self.options.version_done == "all_issues_closed" else status == "closed"
        newest = max(closed, key=lambda i: str(i.get("closed_on") or ""), default=None)
        at = instant(newest, "closed_on") if newest is not None and all_closed else None
        by = await self._closer(newest) if done and newest is not None and all_closed else None
        due = row.get("due_date")
        return Observation(
            connection=self.name,
            project_id=str(project["id"]),
            project_key=str(project["identifier"]),
            project_name=str(project.get("name", "")),
            milestone_id=f"version:{need_text(row, 'id')}",
            kind="version",
            name=need_text(row, "name"),
            state=status,
            done=done,
            percent_bp=_percent(issues),
            done_at=(at or instant(row, "updated_on")) if done else None,
            done_by=by,
            planned_on=date.fromisoformat(due) if isinstance(due, str) and due else None,
            updated_at=instant(row, "updated_on"),
            url=f"{self.options.base_url.rstrip('/')}/versions/{row['id']}",
            grade=EvidenceGrade.STATE,
            date_provenance=Provenance.ABSENT if not done else Provenance.CHILDREN if at else Provenance.FIRST_OBSERVED,
            person_provenance=Provenance.CHILDREN if by else Provenance.ABSENT,
            percent_provenance=Provenance.CHILDREN,
            extra={k: v for k, v in row.items() if k not in KNOWN_VERSION},
        )

    async def _closer(self, issue: Row) -> str | None:
        changes = await self._journal(issue)
        return next((c.by for c in reversed(changes) if c.done), None)

    async def _journal(self, issue: Row) -> tuple[StateChange, ...]:
        """Changes of status with person and date; the journal names status ids, so the closed ones are looked up."""
        try:
            body = await self._http.get(f"/issues/{issue['id']}.json", {"include": "journals"})
        except SourceRefused:
            return ()  # removed meanwhile
        closed = await self._closed_ids()
        changes = []
        for entry in (body or {}).get("issue", {}).get("journals", []):
            moves = [
                d for d in entry.get("details", []) if d.get("property") == "attr" and d.get("name") == "status_id"
            ]
            at = instant(entry, "created_on")
            if moves and at is not None:
                user = entry.get("user") or {}
                changes.append(StateChange(at, str(moves[-1].get("new_value")) in closed, user.get("name")))
        return tuple(changes)

    async def _closed_ids(self) -> frozenset[str]:
        if not hasattr(self, "_closed"):
            body = await self._http.get("/issue_statuses.json")
            self._closed = frozenset(str(s["id"]) for s in body.get("issue_statuses", []) if s.get("is_closed"))
        return self._closed

    # --- issues of chosen trackers ---

    async def _tracked(self, project: Row, since: datetime | None) -> AsyncIterator[Page]:
        trackers = [m.partition(":")[2] for m in self.options.milestones if m.startswith("issue:")]
        if not trackers:
            return
        rows = [
            i
            for i in await self._issues(project, since)
            if isinstance(i.get("tracker"), dict) and i["tracker"].get("name") in trackers
        ]
        good: list[Observation] = []
        bad: list[Rejected] = []
        for row in rows:
            try:
                good.append(await self._issue(row, project))
            except BadRow as problem:
                bad.append(rejected(self.name, row, "id", problem))
        snapshot = () if since is not None or "version" in self.options.milestones else (str(project["id"]),)
        yield Page(tuple(good), tuple(bad), project_id=str(project["id"]), seen=len(rows), snapshot_of=snapshot)

    async def _issue(self, row: Row, project: Row) -> Observation:
        done = _is_closed(row)
        history = await self._journal(row) if done else ()
        reached = next((c for c in reversed(history) if c.done), None)
        ratio = row.get("done_ratio")
        due = row.get("due_date")
        return Observation(
            connection=self.name,
            project_id=str(project["id"]),
            project_key=str(project["identifier"]),
            project_name=str(project.get("name", "")),
            milestone_id=f"issue:{need_text(row, 'id')}",
            kind="issue",
            name=need_text(row, "subject"),
            state=need_text(need_mapping(row, "status"), "name"),
            done=done,
            percent_bp=ratio * 100 if isinstance(ratio, int) and 0 <= ratio <= 100 else None,
            done_at=(instant(row, "closed_on") or instant(row, "updated_on")) if done else None,
            done_by=reached.by if reached else None,
            planned_on=date.fromisoformat(due) if isinstance(due, str) and due else None,
            updated_at=instant(row, "updated_on"),
            url=f"{self.options.base_url.rstrip('/')}/issues/{row['id']}",
            grade=EvidenceGrade.HISTORY if reached else EvidenceGrade.STATE,
            date_provenance=Provenance.NATIVE if done else Provenance.ABSENT,
            person_provenance=Provenance.HISTORY if reached else Provenance.ABSENT,
            percent_provenance=Provenance.NATIVE,
            history=history,
        )


def _version_of(issue: Row) -> str | None:
    version = issue.get("fixed_version")
    return str(version.get("id")) if isinstance(version, dict) else None


def _touched(version: Row, since: datetime) -> bool:
    updated = instant(version, "updated_on")
    return updated is None or updated >= since - OVERLAP


def _is_closed(issue: Row) -> bool:
    status = issue.get("status")
    if not isinstance(status, dict) or not isinstance(status.get("is_closed"), bool):
        raise BadRow("PROOF_FIELD_MISSING", field="status.is_closed")
    return bool(status["is_closed"])


def _percent(issues: Sequence[Row]) -> int:
    """Completed share in basis points as Redmine's Version model has it: closed issues whole, open ones by
    their done_ratio, weighted by estimated hours; those without an estimate weigh the average."""
    if not issues:
        return 0
    given = [h for i in issues if (h := _hours(i)) > 0]
    average = sum(given, Fraction(0)) / len(given) if given else Fraction(1)
    done = whole = Fraction(0)
    for issue in issues:
        weight = _hours(issue) or average
        ratio = 100 if _is_closed(issue) else issue.get("done_ratio") or 0
        done += weight * Fraction(int(ratio), 100)
        whole += weight
    return int(done / whole * 10_000)


def _hours(issue: Row) -> Fraction:
    value = issue.get("estimated_hours")
    return Fraction(Decimal(str(value))) if isinstance(value, int | float) and value > 0 else Fraction(0)


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
) -> Redmine:
    """A Redmine source from checked options."""
    return Redmine(name, RedmineOptions(**checked_options(name, CONNECTOR, options)), clock, transport)


CONNECTOR = ConnectorInfo(
    system="redmine",
    title="Redmine",
    options=(
        Option("base_url", required=True, help="the application's root, e.g. https://redmine.example.com"),
        Option(
            "api_key",
            required=True,
            secret=True,
            help="of an account that may view the projects (My account, API access key)",
        ),
        Option("milestones", default=("version",), help='version, and "issue:TRACKER" for issues of a tracker'),
        Option(
            "version_done", default="closed", help="closed: the version is closed; all_issues_closed: its issues are"
        ),
        Option("per_minute", default=0, help="our own limit of requests a minute; 0: none"),
        Option("concurrency", default=4, help="requests at once"),
        Option("timeout", default=30.0, help="seconds to wait for one answer"),
    ),
    build=build,
)
