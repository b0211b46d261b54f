"""The state behind the sandbox: projects, milestones, their history - and how to misbehave.

Changed in place, from Python or over the control API; what is changed shows in the next answer. The clock
is the world's own and stands still until somebody moves it, so that two runs give the same bytes.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar
from zlib import crc32

#: State types by name, as a PingCode tenant has them.
STATES = {
    "未开始": "pending",
    "进行中": "in_progress",
    "已完成": "completed",
    "已验收": "completed",
    "已关闭": "closed",
}
#: Worktile's numbers for its states; all end states share 3.
WORKTILE_TYPES = {"pending": 1, "in_progress": 2, "completed": 3, "closed": 3}
#: Release stages by name and type.
STAGES = {"未开始": "pending", "进行中": "in_progress", "已发布": "published"}
#: System work-item types whose id is a word; all others have 24 hex digits that differ from tenant to tenant.
SLUGS = {"史诗": "epic", "特性": "feature", "用户故事": "story", "任务": "task", "缺陷": "bug", "事务": "issue"}
GROUPS = {"史诗": "requirement", "特性": "requirement", "用户故事": "requirement", "任务": "task", "缺陷": "bug", "事务": "issue"}  # fmt: skip
#: The kinds of project that have milestones and phases.
PLANNED = ("waterfall", "hybrid")
#: The tenant's zone is China's, which has no summer time; whole days are counted there.
ZONE_SECONDS = 8 * 3600
DAY = 86_400
CREATED_BEFORE = 400 * DAY  # things were made so long before the world's first moment


def identity(*parts: object, length: int = 24) -> str:
    """A stable id that looks like the vendor's."""
    return hashlib.sha256("\x1f".join(str(p) for p in parts).encode()).hexdigest()[:length]


def epoch(moment: datetime | int) -> int:
    """Unix seconds."""
    return moment if isinstance(moment, int) else int(moment.astimezone(UTC).timestamp())


def day_of(seconds: int) -> int:
    """The number of the day in the tenant's zone."""
    return (seconds + ZONE_SECONDS) // DAY


def day_start(seconds: int) -> int:
    """00:00:00 of that day; sprints and releases begin there."""
    return day_of(seconds) * DAY - ZONE_SECONDS


class Tracked:
    """Counts every change of an attribute, so that cached answers know that they are old."""

    __slots__ = ()
    changes: ClassVar[int] = 0

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        Tracked.changes += 1


@dataclass(slots=True)
class Milestone(Tracked):
    """One milestone, phase or other work item of a project."""

    id: str
    project: str  # project id
    title: str
    kind: str = "里程碑"
    state: str = "未开始"
    planned: int | None = None
    completed_at: int | None = None
    updated_at: int = 0
    deleted: bool = False
    archived: bool = False
    history: list[tuple[int, str, str, str]] = field(default_factory=list)  # at, from, to, by
    extra: dict[str, Any] = field(default_factory=dict)  # laid over the row; any field can be spoilt with it
    number: int = 1
    assignee: str = ""
    parent: str | None = None  # id of the phase it hangs under
    created_at: int = 0
    updated_by: str = "admin"


@dataclass(slots=True)
class Project(Tracked):
    """One project; only waterfall and hybrid ones have milestones, only scrum and hybrid ones have sprints."""

    id: str
    identifier: str
    name: str
    kind: str = "waterfall"
    updated_at: int = 0
    total: int = 0  # work items; 0: count the milestones
    completed: int = 0
    archived: bool = False
    deleted: bool = False
    system: str = ""  # pingcode or worktile; empty: both show it
    state: str = "正常"
    properties: dict[str, Any] = field(default_factory=dict)
    created_at: int = 0


@dataclass(slots=True)
class Sprint(Tracked):
    """A sprint. One that a script completed has no completion date."""

    id: str
    project: str
    name: str
    start_at: int
    end_at: int
    status: str = "pending"
    started_at: int | None = None
    completed_at: int | None = None
    updated_at: int = 0
    created_at: int = 0


@dataclass(slots=True)
class Release(Tracked):
    """A release ("version"); the date of each stage is typed in by a person."""

    id: str
    project: str
    name: str
    start_at: int
    end_at: int
    stage: str = "未开始"
    reached: dict[str, int] = field(default_factory=dict)  # stage -> operate_at
    progress: int = 0
    updated_at: int = 0
    updated_by: str = "admin"
    created_at: int = 0


@dataclass(slots=True)
class Deliverable(Tracked):
    """What a milestone must deliver; without content it is not delivered."""

    id: str
    item: str  # id of the work item
    name: str
    content_type: str | None = None
    content: dict[str, Any] | None = None
    updated_at: int = 0
    updated_by: str = "admin"
    created_at: int = 0


@dataclass(slots=True)
class Review(Tracked):
    """A formal review; `completed` does not say with which verdict."""

    id: str
    project: str
    title: str
    number: int
    items: tuple[str, ...] = ()
    status: str = "pending"
    submitted_at: int | None = None
    submitted_by: str = ""
    completed_at: int | None = None
    completed_by: str = ""
    updated_at: int = 0
    created_at: int = 0


@dataclass(slots=True)
class Fault:
    """What the next `times` answers to paths that contain `path` do.

    Kinds: status, throttle, html, truncated, hang, drop, empty, shrink, drop_rows, duplicate, reorder, expire.
    """

    path: str
    kind: str
    times: int = 1
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0  # how long to hang (0: for ever), what to ask for in a 429
    style: str = "pc"  # family of headers of a 429: see gate.RETRY_STYLES
    method: str = ""  # GET, POST …; empty: all


@dataclass(slots=True)
class World:
    """Everything the sandbox knows. Changed in place, from tests or over its control API."""

    tenant: str = "demo"
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - of the sandbox only
    now: int = 1_763_600_000
    generations: tuple[str, ...] = ("project", "pjm")
    per_minute: int | None = None  # the vendor's limit is 200; None: none
    retry_style: str = "pc"
    latency: float = 0.0
    token_requests: int | None = None  # a token is good for so many requests
    token_seconds: int | None = None  # life of a token by the world's clock; None: far ahead
    bulk_touches: bool = True  # does a bulk change move updated_at? The vendor does not say
    plan_kinds: tuple[str, ...] = ("里程碑", "阶段")  # an English tenant: ("Milestone", "Phase")
    order: int = 0  # another number, another order of rows
    projects: dict[str, Project] = field(default_factory=dict)
    milestones: dict[str, Milestone] = field(default_factory=dict)
    sprints: dict[str, Sprint] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    deliverables: dict[str, Deliverable] = field(default_factory=dict)
    reviews: dict[str, Review] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)  # name -> id
    comments: dict[str, list[str]] = field(default_factory=dict)  # work item id -> texts
    faults: deque[Fault] = field(default_factory=deque)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=100_000))  # method and path of every request

    # --- building ---

    def add_project(
        self, identifier: str, name: str, kind: str = "waterfall", *, system: str = "", **properties: Any
    ) -> Project:
        """A project; the properties are its custom fields."""
        project = Project(
            identity(self.tenant, "project", identifier), identifier, name, kind, self.now,
            system=system, properties=properties, created_at=self.now - CREATED_BEFORE,
        )  # fmt: skip
        self.projects[project.id] = project
        return project

    def project(self, identifier: str) -> Project:
        """A project by its identifier or id."""
        return next(p for p in self.projects.values() if identifier in (p.identifier, p.id))

    def add(
        self,
        project: Project,
        title: str,
        *,
        planned: datetime | int | None = None,
        kind: str = "里程碑",
        salt: str = "",
        parent: str | None = None,
    ) -> Milestone:
        """A milestone that has not begun."""
        key = identity(self.tenant, project.identifier, title, kind, salt)
        self.milestones[key] = Milestone(
            key, project.id, title, kind, planned=None if planned is None else epoch(planned), updated_at=self.now,
            number=len(self.milestones) + 1, parent=parent, created_at=self.now - CREATED_BEFORE,
        )  # fmt: skip
        return self.milestones[key]

    def add_sprint(self, project: Project, name: str, start: datetime | int, end: datetime | int) -> Sprint:
        """A sprint; the vendor snaps its ends to whole days."""
        first, last = day_start(epoch(start)), day_start(epoch(end)) + DAY - 1
        sprint = Sprint(
            identity(self.tenant, "sprint", project.identifier, name), project.id, name, first, last,
            updated_at=self.now, created_at=self.now - CREATED_BEFORE,
        )  # fmt: skip
        self.sprints[sprint.id] = sprint
        return sprint

    def add_release(self, project: Project, name: str, start: datetime | int, end: datetime | int) -> Release:
        """A release that has not begun."""
        first, last = day_start(epoch(start)), day_start(epoch(end)) + DAY - 1
        release = Release(
            identity(self.tenant, "release", project.identifier, name), project.id, name, first, last,
            updated_at=self.now, created_at=self.now - CREATED_BEFORE,
        )  # fmt: skip
        self.releases[release.id] = release
        return release

    def add_deliverable(self, milestone: Milestone, name: str) -> Deliverable:
        """Something a milestone must deliver; nothing delivered yet."""
        found = Deliverable(
            identity(milestone.id, "deliverable", name), milestone.id, name,
            updated_at=self.now, created_at=self.now - CREATED_BEFORE,
        )  # fmt: skip
        self.deliverables[found.id] = found
        return found

    def add_review(self, milestones: Iterable[Milestone], title: str) -> Review:
        """A review of milestones of one project."""
        items = tuple(milestones)
        number = len(self.reviews) + 1
        review = Review(
            identity(self.tenant, "review", title, number), items[0].project, title, number, tuple(m.id for m in items),
            updated_at=self.now, created_at=self.now,
        )  # fmt: skip
        self.reviews[review.id] = review
        return review

    # --- finding ---

    def find(self, title: str) -> Milestone:
        """A milestone by its title."""
        return next(m for m in self.milestones.values() if m.title == title)

    def type_id(self, kind: str) -> str:
        """The id of a work-item type; it differs from tenant to tenant, except for the vendor's own words."""
        return SLUGS.get(kind) or identity(self.tenant, "type", kind)

    def state_id(self, name: str) -> str:
        """The id of a state in this tenant."""
        return identity(self.tenant, "state", name)

    def person(self, name: str) -> str:
        """The id of a person; whoever is named is a member of the team."""
        if name not in self.people:
            self.people[name] = identity("user", name, length=32)
        return self.people[name]

    def kinds(self, project: Project) -> list[tuple[str, str]]:
        """(name, group) of the work-item types that a project has."""
        plans = [(k, "plan") for k in self.plan_kinds] if project.kind in PLANNED else []
        return plans + [(k, GROUPS[k]) for k in _KINDS[project.kind]]

    def rank(self, key: str) -> int:
        """Where a row stands: stable, but without a meaning."""
        return crc32(key.encode(), self.order)

    # --- changing ---

    def move(
        self, milestone: Milestone, state: str, at: datetime | int | None = None, by: str = "", *, silent: bool = False
    ) -> None:
        """Change the state as a person does; `silent` is a bulk change, which leaves no history."""
        moment = self.now if at is None else epoch(at)
        kind = STATES[state]  # an unknown state must fail before anything changed
        milestone.created_at = min(milestone.created_at, moment - DAY)  # nothing changes before it was made
        if not silent:
            self.person(by)
            milestone.history.append((moment, milestone.state, state, by))
            milestone.updated_by = by
        milestone.state = state
        milestone.completed_at = moment if kind == "completed" else None
        if not silent or self.bulk_touches:
            milestone.updated_at = moment

    def bulk(self, milestones: Iterable[Milestone], state: str, at: datetime | int | None = None) -> int:
        """A bulk change: no history, no person. Returns how many changed."""
        changed = list(milestones)
        for milestone in changed:
            self.move(milestone, state, at, silent=True)
        return len(changed)

    def relocate(self, milestone: Milestone, project: Project, at: datetime | int | None = None) -> None:
        """Move it to another project; its id stays."""
        milestone.project = project.id
        milestone.updated_at = self.now if at is None else epoch(at)

    def finish_sprint(self, sprint: Sprint, at: datetime | int | None = None, *, script: bool = False) -> None:
        """Complete a sprint; a script that sets the status leaves the dates empty."""
        moment = self.now if at is None else epoch(at)
        sprint.status = "completed"
        if not script:
            sprint.started_at, sprint.completed_at = sprint.started_at or sprint.start_at, moment
        sprint.updated_at = moment

    def stage(self, release: Release, stage: str, at: datetime | int | None = None, by: str = "admin") -> None:
        """Move a release to a stage; `at` is what the person typed."""
        moment = self.now if at is None else epoch(at)
        if stage not in STAGES:
            raise KeyError(stage)
        release.reached = {**release.reached, stage: moment}
        release.stage, release.updated_by = stage, by
        release.progress = 100 if STAGES[stage] == "published" else release.progress
        release.updated_at = moment

    def deliver(self, deliverable: Deliverable, name: str, href: str, at: datetime | int | None = None, by: str = "admin") -> None:  # fmt: skip
        """Fill a deliverable with a link."""
        deliverable.content_type, deliverable.content = "link", {"name": name, "href": href}
        deliverable.updated_at, deliverable.updated_by = (self.now if at is None else epoch(at)), by

    def complete_review(self, review: Review, at: datetime | int | None = None, by: str = "admin") -> None:
        """Complete a review: a date and a person in one record."""
        moment = self.now if at is None else epoch(at)
        review.submitted_at, review.submitted_by = review.submitted_at or moment, review.submitted_by or by
        review.status, review.completed_at, review.completed_by, review.updated_at = "completed", moment, by, moment

    @classmethod
    def generated(cls, projects: int, milestones_each: int, seed: int = 1, done_share: float = 0.5) -> World:
        """A large world for measuring."""
        dice = random.Random(seed)  # noqa: S311 - invented data
        world = cls(tenant=f"generated-{seed}")
        for p in range(projects):
            project = world.add_project(f"P{p:05d}", f"Project {p}")
            for n in range(milestones_each):
                milestone = world.add(project, f"M{n:04d}")
                if dice.random() < done_share:
                    world.move(milestone, "已完成", world.now - dice.randrange(10_000_000), "generator")
        return world


_KINDS = {
    "scrum": ("史诗", "特性", "用户故事", "任务", "缺陷"),
    "kanban": ("史诗", "特性", "用户故事", "任务", "缺陷", "事务"),
    "waterfall": ("任务", "缺陷", "事务"),
    "hybrid": ("史诗", "特性", "用户故事", "任务", "缺陷", "事务"),
}
