"""The state behind the sandbox: projects, milestones, their history - and how to misbehave."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

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


def identity(*parts: object, length: int = 24) -> str:
    """A stable id that looks like the vendor's."""
    return hashlib.sha256("\x1f".join(str(p) for p in parts).encode()).hexdigest()[:length]


def epoch(moment: datetime) -> int:
    """Unix seconds."""
    return int(moment.astimezone(UTC).timestamp())


@dataclass(slots=True)
class Milestone:
    """One milestone (or phase) of a project."""

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
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Project:
    """One project; only waterfall and hybrid ones have milestones."""

    id: str
    identifier: str
    name: str
    kind: str = "waterfall"
    updated_at: int = 0
    total: int = 0
    completed: int = 0
    archived: bool = False


@dataclass(slots=True)
class Fault:
    """What the next answers to paths that contain `path` do; `times` counts down."""

    path: str
    kind: str  # status, html, truncated, hang, empty, drop_rows, duplicate
    times: int = 1
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(slots=True)
class World:
    """Everything the sandbox knows. Changed in place, from tests or over its control API."""

    tenant: str = "demo"
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - of the sandbox only
    now: int = 1_763_600_000
    generations: tuple[str, ...] = ("project", "pjm")
    per_minute: int | None = None
    latency: float = 0.0
    token_requests: int | None = None  # a token is good for so many requests
    projects: dict[str, Project] = field(default_factory=dict)
    milestones: dict[str, Milestone] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    log: list[str] = field(default_factory=list)  # method and path of every request

    # --- building and changing ---

    def add_project(self, identifier: str, name: str, kind: str = "waterfall") -> Project:
        """A project."""
        project = Project(identity(self.tenant, "project", identifier), identifier, name, kind, self.now)
        self.projects[project.id] = project
        return project

    def project(self, identifier: str) -> Project:
        """A project by its identifier."""
        return next(p for p in self.projects.values() if p.identifier == identifier)

    def add(
        self, project: Project, title: str, *, planned: datetime | None = None, kind: str = "里程碑", salt: str = ""
    ) -> Milestone:
        """A milestone that has not begun."""
        key = identity(self.tenant, project.identifier, title, kind, salt)
        planned_at = None if planned is None else epoch(planned)
        self.milestones[key] = Milestone(key, project.id, title, kind, planned=planned_at, updated_at=self.now)
        return self.milestones[key]

    def find(self, title: str) -> Milestone:
        """A milestone by its title."""
        return next(m for m in self.milestones.values() if m.title == title)

    def move(self, milestone: Milestone, state: str, at: datetime | int, by: str, *, silent: bool = False) -> None:
        """Change the state as a person does; `silent` is a bulk change, which leaves no history."""
        moment = at if isinstance(at, int) else epoch(at)
        if not silent:
            milestone.history.append((moment, milestone.state, state, by))
        milestone.state = state
        milestone.completed_at = moment if STATES[state] == "completed" else None
        milestone.updated_at = moment

    def type_id(self, kind: str) -> str:
        """The id of a work-item type; it differs from tenant to tenant."""
        return identity(self.tenant, "type", kind)

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
