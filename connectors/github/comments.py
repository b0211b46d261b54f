"""Comments on GitHub's issues. A milestone takes none: its comment goes to the issue that was closed last in it."""

from __future__ import annotations

import re

from connectors.http.client import Http
from connectors.http.comments import any_page, last_closed, rows_of
from connectors.http.paging import Row
from models.ports import Spot

PAGE = 100
_NUMBER = re.compile(r"/milestone/(\d+)$")


class Comments:
    """Needs `Issues: write` of a fine-grained token for the repositories."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """Repository and issue; None for a milestone without a closed one. The number stands in its address only."""
        number = _NUMBER.search(spot.url or "")
        if number is None:
            return None
        path = f"/repos/{spot.project_key}/issues"
        asked = {"milestone": number[1], "state": "closed", "sort": "updated", "direction": "desc", "per_page": PAGE}
        rows = rows_of(await self._http.get(path, asked), path)
        found = last_closed([r for r in rows if "pull_request" not in r]) or last_closed(rows)
        return None if found is None else f"{spot.project_key}/issues/{found.get('number')}"

    async def written(self, place: str, mark: str) -> bool:
        """Look through the issue's comments."""
        path = f"/repos/{place}/comments"

        async def page(number: int) -> list[Row]:
            return rows_of(await self._http.get(path, {"per_page": PAGE, "page": number}), path)

        return await any_page(page, PAGE, mark, "body")

    async def write(self, place: str, text: str) -> None:
        """A comment."""
        await self._http.tell("POST", f"/repos/{place}/comments", {"body": text})
