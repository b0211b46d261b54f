"""Comments on GitLab's issues. A milestone takes none: its comment goes to the issue that was closed last in it."""

from __future__ import annotations

from connectors.http.client import Http
from connectors.http.comments import any_page, last_closed, rows_of
from connectors.http.paging import Row
from models.ports import Spot

PAGE = 100


class Comments:
    """Needs a token of scope `api` and the role Planner or Reporter: GitLab has no narrower scope that writes notes."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """Project and number of the issue; None for a milestone without a closed one."""
        group, _, identity = spot.project_id.rpartition(":")
        path = f"/{'groups' if group else 'projects'}/{identity}/milestones/{spot.bare_id}/issues"
        found = last_closed(rows_of(await self._http.get(path, {"per_page": PAGE}), path))
        return None if found is None else f"{found.get('project_id')}/issues/{found.get('iid')}"

    async def written(self, place: str, mark: str) -> bool:
        """Look through the issue's notes, the latest first."""
        path = f"/projects/{place}/notes"

        async def page(number: int) -> list[Row]:
            asked = {"order_by": "created_at", "sort": "desc", "per_page": PAGE, "page": number}
            return rows_of(await self._http.get(path, asked), path)

        return await any_page(page, PAGE, mark, "body")

    async def write(self, place: str, text: str) -> None:
        """A note."""
        await self._http.tell("POST", f"/projects/{place}/notes", {"body": text})
