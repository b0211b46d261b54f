"""Notes on Redmine's issues. A version takes none: its note goes to the issue that was closed last in it."""

from __future__ import annotations

from connectors.http.client import Http
from connectors.http.comments import holds, last_closed, rows_of
from models.ports import Spot


class Comments:
    """Needs the permissions to view issues and to add notes."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """The issue's number; None for a version in which no issue is closed."""
        if spot.kind == "issue":
            return spot.bare_id
        asked = {"fixed_version_id": spot.bare_id, "status_id": "closed", "sort": "closed_on:desc", "limit": 100}
        found = last_closed(rows_of(await self._http.get("/issues.json", asked), "/issues.json", "issues"), "closed_on")
        return None if found is None else str(found.get("id"))

    async def written(self, place: str, mark: str) -> bool:
        """Look through the issue's journal."""
        path = f"/issues/{place}.json"
        body = await self._http.get(path, {"include": "journals"})
        return holds(rows_of(body, path, "issue", "journals"), mark, "notes")

    async def write(self, place: str, text: str) -> None:
        """A note."""
        await self._http.tell("PUT", f"/issues/{place}.json", {"issue": {"notes": text}})
