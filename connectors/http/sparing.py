"""For sources whose lists must be read whole (only so a deletion shows) while most rows have nothing new to tell.

A row that is as it was needs no further questions and no observation; but what was read whole without being
told cannot be a snapshot of what was told. So the pull says which milestones are alive instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from connectors.http.client import Http
from connectors.http.source import Project, RestSource
from models.domain.observations import Page


class SparingSource(RestSource):
    """A RestSource whose listings may leave out rows that did not change; each row seen is named by `saw`."""

    def __init__(self, name: str, http: Http, *, reconcile_days: int = 7) -> None:
        super().__init__(name, http, reconcile_days=reconcile_days)
        self._alive: dict[str, set[str]] = {}  # by project

    def saw(self, project: Project, kind: str, identity: object = "") -> None:
        """A milestone is there, told or not. Without an id: milestones of this kind were looked for."""
        self._alive.setdefault(project.id, set()).add(f"{kind}:{identity}")

    async def _project(self, project: Project) -> AsyncIterator[Page]:
        """As the base reads it, with the living in place of a snapshot."""
        alive = self._alive[project.id] = set()
        async for page in super()._project(project):
            yield Page((), project_id=project.id, alive=tuple(sorted(alive))) if page.snapshot_of else page
