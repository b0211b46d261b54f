"""Fast answers: rows are turned into JSON once, lists are filtered once, until something changes.

A benchmark pulls a thousand pages of a hundred rows from the sandbox; it must measure the puller, not us.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import orjson

from connectors.kit.sandbox.world import Milestone, Tracked, World

Row = dict[str, Any]
Edition = tuple[int, int, int]
KEPT = 512  # filtered lists kept


class Shelf:
    """What was computed for one edition of the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._edition: Edition | None = None
        self._by_project: dict[str, list[Milestone]] = {}
        self._lists: dict[Hashable, list[Milestone]] = {}
        self._rows: dict[tuple[str, str], orjson.Fragment] = {}

    def _fresh(self) -> None:
        edition = (Tracked.changes, len(self._world.milestones), self._world.order)
        if edition == self._edition:
            return
        grouped: dict[str, list[Milestone]] = defaultdict(list)
        for milestone in sorted(self._world.milestones.values(), key=lambda m: self._world.rank(m.id)):
            grouped[milestone.project].append(milestone)
        self._by_project, self._lists, self._rows, self._edition = dict(grouped), {}, {}, edition

    def select(
        self, key: Hashable, projects: Iterable[str] | None, wanted: Callable[[Milestone], bool]
    ) -> list[Milestone]:
        """The milestones of some projects (None: all) that are wanted, in the sandbox's order."""
        self._fresh()
        if key not in self._lists:
            if len(self._lists) >= KEPT:
                self._lists.clear()
            self._lists[key] = self._selected(projects, wanted)
        return self._lists[key]

    def _selected(self, projects: Iterable[str] | None, wanted: Callable[[Milestone], bool]) -> list[Milestone]:
        ids = self._by_project if projects is None else dict.fromkeys(projects)
        found = [m for p in ids for m in self._by_project.get(p, ()) if wanted(m)]
        return found if len(ids) == 1 else sorted(found, key=lambda m: self._world.rank(m.id))

    def row(self, form: str, milestone: Milestone, build: Callable[[Milestone], Row]) -> orjson.Fragment:
        """The JSON of a row. What was laid over it by hand (`extra`) is never kept: it changes unseen."""
        if milestone.extra:
            return orjson.Fragment(orjson.dumps(build(milestone)))
        key = (form, milestone.id)
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = orjson.Fragment(orjson.dumps(build(milestone)))
        return found
