"""Comments on Jira's issues, Cloud and Data Center; versions take none.

Version 2 of the interface, which both have: there a comment is a text, in version 3 a document.
"""

from __future__ import annotations

from connectors.http.client import Http
from connectors.http.comments import any_page, rows_of
from connectors.http.paging import Row
from models.ports import Spot

PAGE = 100


class Comments:
    """Needs the permission to add comments in the project (Cloud, granular: `write:comment:jira`)."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """The issue."""
        return f"/rest/api/2/issue/{spot.bare_id}/comment" if spot.kind == "issue" else None

    async def written(self, place: str, mark: str) -> bool:
        """Look through its comments, the latest first."""

        async def page(number: int) -> list[Row]:
            asked = {"startAt": (number - 1) * PAGE, "maxResults": PAGE, "orderBy": "-created"}
            rows = rows_of(await self._http.get(place, asked), place, "comments")
            # Cloud makes a document of the text and gives it back with what could be markup escaped.
            return [{"body": str(r.get("body", "")).replace("\\", "")} for r in rows]

        return await any_page(page, PAGE, mark, "body")

    async def write(self, place: str, text: str) -> None:
        """A comment."""
        await self._http.tell("POST", place, {"body": text})
