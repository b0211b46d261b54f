"""Comments on Linear's issues and projects. A project milestone takes none: its comment goes to its project."""

from __future__ import annotations

from connectors.http.comments import holds, rows_of
from connectors.http.graphql import GraphQL
from models.ports import Spot

_WRITTEN = (
    "query($id: String!, $mark: String!) {{ {0}(id: $id) "
    "{{ comments(first: 1, filter: {{body: {{contains: $mark}}}}) {{ nodes {{ body }} }} }} }}"
)
WRITTEN = {kind: _WRITTEN.format(kind) for kind in ("issue", "project")}
WRITE = "mutation($input: CommentCreateInput!) { commentCreate(input: $input) { success } }"


class Comments:
    """Needs a key with leave to create comments (`comments:create`)."""

    def __init__(self, graph: GraphQL) -> None:
        self._graph = graph

    async def place(self, spot: Spot) -> str | None:
        """The issue, or the project."""
        return f"issue:{spot.bare_id}" if spot.kind == "issue" else f"project:{spot.project_id}"

    async def written(self, place: str, mark: str) -> bool:
        """Have Linear look for the mark."""
        kind, _, identity = place.partition(":")
        found = await self._graph.ask(WRITTEN[kind], id=identity, mark=mark)
        return holds(rows_of(found, place, kind, "comments", "nodes"), mark, "body")

    async def write(self, place: str, text: str) -> None:
        """A comment that subscribes nobody."""
        kind, _, identity = place.partition(":")
        quiet = {"doNotSubscribeToIssue": True} if kind == "issue" else {}
        told = {"body": text, f"{kind}Id": identity, **quiet}
        await self._graph.tell(WRITE, input=told)
