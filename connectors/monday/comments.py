"""Updates of monday.com's items."""

from __future__ import annotations

from html import escape

from connectors.http.comments import any_page, rows_of
from connectors.http.graphql import GraphQL
from connectors.http.paging import Row
from models.ports import Spot

PAGE = 100
WRITTEN = "query($item: [ID!], $limit: Int!, $page: Int!) { items(ids: $item) { updates(limit: $limit, page: $page) { body } } }"
WRITE = "mutation($item: ID!, $body: String!) { create_update(item_id: $item, body: $body) { id } }"


class Comments:
    """Needs `updates:write` (and `updates:read`)."""

    def __init__(self, graph: GraphQL) -> None:
        self._graph = graph

    async def place(self, spot: Spot) -> str | None:
        """The item."""
        return spot.bare_id

    async def written(self, place: str, mark: str) -> bool:
        """Look through its updates."""

        async def page(number: int) -> list[Row]:
            found = await self._graph.ask(WRITTEN, item=[place], limit=PAGE, page=number)
            return [u for item in rows_of(found, place, "items") for u in rows_of(item, place, "updates")]

        return await any_page(page, PAGE, mark, "body")

    async def write(self, place: str, text: str) -> None:
        """An update; its body is HTML."""
        await self._graph.tell(WRITE, item=place, body=escape(text).replace("\n", "<br>"))
