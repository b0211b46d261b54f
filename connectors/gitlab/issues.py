"""The issues behind a project's or group's milestones: which changed, and all of a milestone.

GitLab finds issues by the milestone's title, which a project's and a group's milestone may share; some titles
are words of its filter. So what it finds is sorted by the milestone's id, and for such titles all is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.errors import BadPayload
from connectors.http.fields import text_or_none
from connectors.http.paging import Row, Walk, settled

PAGE = 100  # the most that GitLab gives
CHANGED_MAX = 10  # pages of changed issues; with more of them all milestones count as changed
ANY = "Any"
#: A group's issues leave out archived projects, unless asked (docs: api/issues, list group issues; since 12.8).
ARCHIVED_TOO = {"non_archived": "false"}
#: lib/api/helpers, app/finders: words of the filter `milestone`, now and in earlier versions.
WORDS = frozenset({"none", "any", "upcoming", "started", "no milestone", "any milestone", "#upcoming", "#started", "0"})
KEPT = ("id", "state", "closed_at", "closed_by")  # of each issue of a whole project, which may have very many
#: Begins a walk over a list with parameters.
Start = Callable[[str, Mapping[str, Any]], Walk]


#: By project, the milestones whose issues changed; "" stands for an issue that has none (any more).
Changed = Mapping[str, frozenset[str]]


async def changed(start: Start, path: str, since: datetime, pages: int = CHANGED_MAX) -> Changed | None:
    """What changed among the issues of a project or group; None: more than so many pages, too many to follow."""
    order = {"updated_after": since.strftime("%Y-%m-%dT%H:%M:%SZ"), "order_by": "updated_at", "sort": "desc"}
    walk, found = start(path, {**order, "state": "all", **_all_of(path)}), dict[str, set[str]]()
    for number in range(pages):
        page = await walk.fetch(number, PAGE)
        for row in page.rows:
            found.setdefault(str(row.get("project_id")), set()).add(_milestone(row))
        if not (page.more if page.more is not None else len(page.rows) >= PAGE):
            return {project: frozenset(ids) for project, ids in found.items()}
    return None


class Issues:
    """The issues of one project or group in one pull."""

    def __init__(self, start: Start, path: str) -> None:
        self._start, self._path, self._asked = start, path, False
        self._grouped: Mapping[str, list[Row]] | None = None

    async def of(self, milestone: Row) -> Sequence[Row] | None:
        """All issues of a milestone; None where the milestone has no title to find them by."""
        identity, title = str(milestone.get("id")), text_or_none(milestone, "title")
        if self._grouped is not None:
            return self._grouped.get(identity, ())
        if title is None:
            return None
        rows, whole = await self._found(ANY if title.strip().lower() in WORDS else title)
        if not whole:
            raise BadPayload("moving_list", where=self._path)
        return [r for r in rows if _milestone(r) == identity]

    async def _found(self, title: str) -> tuple[list[Row], bool]:
        asked = {"milestone": title, "state": "all", "order_by": "created_at", "sort": "asc", **_all_of(self._path)}
        return await settled(lambda: self._start(self._path, asked))

    async def read_whole(self) -> None:
        """All issues that have a milestone, once; where people are at work meanwhile, each milestone is asked for."""
        if self._asked:
            return
        self._asked = True
        found: dict[str, list[Row]] = {}
        walk = self._start(self._path, {"milestone": ANY, "state": "all", "order_by": "created_at", "sort": "asc"})
        async for rows in walk.pages():
            for row in rows:
                found.setdefault(_milestone(row), []).append({k: row[k] for k in KEPT if k in row})
        self._grouped = found if walk.complete else None


def _all_of(path: str) -> Mapping[str, str]:
    return ARCHIVED_TOO if path.startswith("/groups/") else {}


def _milestone(issue: Row) -> str:
    """The id of an issue's milestone; "" where it has none."""
    found = issue.get("milestone")
    return str(found.get("id")) if isinstance(found, dict) else ""
