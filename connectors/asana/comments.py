"""Comments (stories) on Asana's tasks, milestones among them."""

from __future__ import annotations

from connectors.http.client import Http
from connectors.http.comments import PAGES_MAX, holds, rows_of
from models.ports import Spot

PAGE = 100


class Comments:
    """Needs `stories:read` and `stories:write`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """The task."""
        return f"/tasks/{spot.bare_id}/stories"

    async def written(self, place: str, mark: str) -> bool:
        """Look through its stories, the oldest first: Asana has no other order."""
        asked: dict[str, object] = {"opt_fields": "text", "limit": PAGE}
        for _ in range(PAGES_MAX):
            body = await self._http.get(place, asked)
            if holds(rows_of(body, place, "data"), mark, "text"):
                return True
            following = body.get("next_page")
            if not isinstance(following, dict) or not following.get("offset"):
                return False
            asked |= {"offset": following["offset"]}
        return False

    async def write(self, place: str, text: str) -> None:
        """A comment, as plain text."""
        await self._http.tell("POST", place, {"data": {"text": text}})
