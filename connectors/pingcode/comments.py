"""Comments on PingCode's work items; sprints and releases have none."""

from __future__ import annotations

from connectors.http.client import Http
from connectors.http.comments import any_page, rows_of
from connectors.http.paging import Row
from models.ports import Spot

PAGE = 100
PATH = "/v1/comments"


class Comments:
    """Needs leave to write comments, besides what the pull needs."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """The work item."""
        return spot.milestone_id if spot.kind in ("milestone", "phase") else None

    async def written(self, place: str, mark: str) -> bool:
        """Look through its comments."""

        async def page(number: int) -> list[Row]:
            asked = {"principal_type": "work_item", "principal_id": place, "page_index": number - 1, "page_size": PAGE}
            return rows_of(await self._http.get(PATH, asked), PATH, "values")

        return await any_page(page, PAGE, mark, "content")

    async def write(self, place: str, text: str) -> None:
        """A comment by the application."""
        await self._http.tell("POST", PATH, {"principal_type": "work_item", "principal_id": place, "content": text})
