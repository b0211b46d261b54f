"""Comments on OpenProject's work packages; versions take none."""

from __future__ import annotations

from connectors.http.client import Http
from connectors.http.comments import holds, rows_of
from models.ports import Spot


class Comments:
    """Needs the permission to add comments to work packages."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """The work package."""
        return f"/api/v3/work_packages/{spot.bare_id}/activities" if spot.kind == "work_package" else None

    async def written(self, place: str, mark: str) -> bool:
        """Look through its activities, which have no pages."""
        return holds(rows_of(await self._http.get(place), place, "_embedded", "elements"), mark, "comment", "raw")

    async def write(self, place: str, text: str) -> None:
        """A comment."""
        await self._http.tell("POST", place, {"comment": {"raw": text}})
