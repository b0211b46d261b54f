"""Comments on Azure DevOps' work items; iterations take none."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from connectors.http.client import Http
from connectors.http.comments import PAGES_MAX, holds, rows_of
from models.ports import Spot

PAGE = 200
VERSION = "7.1-preview.4"


class Comments:
    """Needs *Work items: read & write* (`vso.work_write`): there is no narrower scope that writes comments."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def place(self, spot: Spot) -> str | None:
        """The work item."""
        project = quote(spot.project_id, safe="")
        return f"/{project}/_apis/wit/workItems/{spot.bare_id}/comments" if spot.kind == "work_item" else None

    async def written(self, place: str, mark: str) -> bool:
        """Look through its comments, the latest first."""
        asked: dict[str, object] = {"api-version": VERSION, "$top": PAGE, "order": "desc"}
        for _ in range(PAGES_MAX):
            body = await self._http.get(place, asked)
            if holds(rows_of(body, place, "comments"), mark, "text"):
                return True
            if not body.get("continuationToken"):
                return False
            asked |= {"continuationToken": body["continuationToken"]}
        return False

    async def write(self, place: str, text: str) -> None:
        """A comment; its text is HTML."""
        told = {"text": escape(text).replace("\n", "<br>")}
        await self._http.tell("POST", f"{place}?api-version={VERSION}", told)
