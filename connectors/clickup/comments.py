"""Comments on ClickUp's tasks."""

from __future__ import annotations

from connectors.http.client import Http
from connectors.http.comments import PAGES_MAX, holds, rows_of
from models.ports import Spot


class Comments:
    """Needs a token of somebody who may comment on the tasks; ClickUp's tokens have no scopes."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """The task."""
        return f"/v2/task/{spot.bare_id}/comment"

    async def written(self, place: str, mark: str) -> bool:
        """Look through its comments, 25 at a time, the latest first; the last of them says where the next begin."""
        asked: dict[str, object] = {}
        for _ in range(PAGES_MAX):
            rows = rows_of(await self._http.get(place, asked), place, "comments")
            if holds(rows, mark, "comment_text"):
                return True
            following = {"start": rows[-1].get("date"), "start_id": rows[-1].get("id")} if rows else {}
            if not rows or following == asked:
                return False
            asked = following
        return False

    async def write(self, place: str, text: str) -> None:
        """A comment that notifies nobody but those who watch."""
        await self._http.tell("POST", place, {"comment_text": text, "notify_all": False})
