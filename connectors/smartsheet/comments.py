"""Discussions on Smartsheet's rows; a comment of ours begins one."""

from __future__ import annotations

from connectors.http.client import Http
from connectors.http.comments import holds, rows_of
from models.ports import Spot


class Comments:
    """Needs a token with `WRITE_SHEETS` of somebody who may comment on the sheet (*Commenter*)."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """The row."""
        return f"/sheets/{spot.project_id}/rows/{spot.bare_id}/discussions"

    async def written(self, place: str, mark: str) -> bool:
        """Look through the comments of the row's discussions."""
        body = await self._http.get(place, {"include": "comments", "includeAll": True})
        rows = [c for d in rows_of(body, place, "data") for c in d.get("comments") or () if isinstance(c, dict)]
        return holds(rows, mark, "text")

    async def write(self, place: str, text: str) -> None:
        """A discussion with one comment, as plain text."""
        await self._http.tell("POST", place, {"comment": {"text": text}})
