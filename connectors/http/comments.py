"""What commenters share: lists of comments read page by page, the issue that a closed milestone ended with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from connectors.errors import BadPayload
from connectors.http.paging import Row

#: More pages of comments are not read; what we wrote stands among the latest or the first.
PAGES_MAX = 20

Json = Any


def rows_of(body: Json, where: str, *path: str) -> list[Row]:
    """The objects at a path of an answer. Raises BadPayload."""
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    if not isinstance(body, list):
        raise BadPayload("no_list", where=where)
    return [r for r in body if isinstance(r, dict)]


def holds(rows: Iterable[Row], mark: str, *path: str) -> bool:
    """Does one of them hold the mark, in the text at the path?"""
    return any(mark in _text(row, path) for row in rows)


def _text(row: Any, path: tuple[str, ...]) -> str:
    for name in path:
        row = row.get(name) if isinstance(row, dict) else None
    return row if isinstance(row, str) else ""


async def any_page(page: Callable[[int], Awaitable[list[Row]]], size: int, mark: str, *path: str) -> bool:
    """Does a comment hold the mark? Pages are numbered from 1; a short one is the last."""
    for number in range(1, PAGES_MAX + 1):
        rows = await page(number)
        if holds(rows, mark, *path):
            return True
        if len(rows) < size:
            return False
    return False


def last_closed(rows: Iterable[Row], moment: str = "closed_at") -> Row | None:
    """The row that was closed last."""
    closed = [r for r in rows if isinstance(r.get(moment), str)]
    return max(closed, key=lambda r: str(r[moment]), default=None)
