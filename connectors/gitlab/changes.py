"""Whose issues changed since the last pull: asked once for a whole group, where several of its projects are read.

A group's issues include those of its projects and subgroups, and each tells its project. So a quiet night costs
one such question a group, not one a project.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from connectors.gitlab.issues import CHANGED_MAX, Changed, Start, changed
from connectors.http.source import Project

GROUP = "group:"  # stands before the id of a group that is read like a project
BELOW = 2  # a group is asked where so many of what it contains are read


def path_of(project: Project) -> str:
    """Where the API has a project or group."""
    return f"/groups/{project.id.removeprefix(GROUP)}" if project.id.startswith(GROUP) else f"/projects/{project.id}"


class Changes:
    """The changed issues of one pull. `known` is all that the account sees, `read` what this pull reads of it."""

    def __init__(self, start: Start, known: Sequence[Project], read: Sequence[Project]) -> None:
        self._start, self._read = start, read
        self._groups = [p for p in known if p.id.startswith(GROUP)]
        self._keys = {p.id: p.key for p in known}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._told: dict[str, Changed | None] = {}

    async def of(self, project: Project, since: datetime) -> frozenset[str] | None:
        """The milestones whose issues changed, "" for an issue that has none (any more); None: too many to follow."""
        found = await self._of_its_group(project, since)
        if found is None:
            found = await changed(self._start, f"{path_of(project)}/issues", since)
        if found is None:
            return None
        return frozenset().union(*(ids for number, ids in found.items() if self._inside(number, project)))

    async def _of_its_group(self, project: Project, since: datetime) -> Changed | None:
        """What the highest group above tells of all that it contains; None where asking it would not pay."""
        above = [g for g in self._groups if _contains(g.key, project.key)]
        if not above:
            return None
        top = min(above, key=lambda g: len(g.key))
        below = sum(_contains(top.key, p.key) for p in self._read)
        if below < BELOW:
            return None
        async with self._locks[top.id]:
            if top.id not in self._told:
                pages = min(CHANGED_MAX, below)  # with more of them asking each project costs no more
                self._told[top.id] = await changed(self._start, f"{path_of(top)}/issues", since, pages)
        return self._told[top.id]

    def _inside(self, number: str, project: Project) -> bool:
        """Does an issue's project belong? One that the account is no member of may: that costs a question, no truth."""
        if not project.id.startswith(GROUP):
            return number == project.id
        key = self._keys.get(number)
        return key is None or _contains(project.key, key)


def _contains(group: str, path: str) -> bool:
    return path == group or path.startswith(f"{group}/")
