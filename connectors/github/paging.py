"""GitHub's numbered pages: the first one's Link header says which is the last, the others are fetched side by side.

There is no total that would tell whether a row slipped from one page to another while they were read. So the
last page is read right after the first, and both are asked for again, under their ETags, when all are in: a row
that came or went on any page before has moved the last one's rows; one that did so before the last page was read
has moved the first one's, or was not missed. A row that only changed its place is seen twice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from connectors.http.client import Answer
from connectors.http.paging import Chain, Row, objects

PAGE = 100  # the most that GitHub gives
LAST = re.compile(r'[?&]page=(\d+)[^>]*>; *rel="last"')
#: Asks for a page by its number; with a tag, only if it changed since.
Ask = Callable[[int, str], Awaitable[Answer]]


@dataclass(slots=True)
class TaggedWalk(Chain):
    """A chain that is whole only if nothing moved; with the tag of each page."""

    moved: bool = False
    tags: list[str] = field(default_factory=list)
    full: bool = False  # is the last page full
    waiting: dict[int, asyncio.Future[Answer]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Did it come to its end, and did nothing move meanwhile?"""
        return self.ended and self.rows == len(self.seen) and not self.moved

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows of each page, in order."""
        try:
            async for rows in Chain.pages(self):
                yield rows
        finally:
            for task in self.waiting.values():
                task.cancel()
            await asyncio.gather(*self.waiting.values(), return_exceptions=True)


def tagged_walk(ask: Ask, path: str, ahead: int) -> TaggedWalk:
    """A walk over all pages, `ahead` of them fetched before their turn."""
    last = 0

    async def taken(number: int) -> Answer:
        return await (walk.waiting.pop(number) if number in walk.waiting else ask(number, ""))

    def fetch_ahead(number: int) -> None:
        """The last page first of all: it bears witness for the others."""
        for wanted in (last, *range(number + 1, min(number + 1 + ahead, last))):
            if wanted > number and wanted not in walk.waiting:
                walk.waiting[wanted] = asyncio.ensure_future(ask(wanted, ""))

    async def unchanged(number: int) -> bool:
        """Is the page as it was read? One that has no tag cannot be trusted to be."""
        tag = walk.tags[number - 1]
        return bool(tag) and (await ask(number, tag)).status == 304

    async def fetch(token: str | None) -> tuple[list[Row], str | None]:
        nonlocal last
        number = int(token or 1)
        answer = await taken(number)
        if number == 1:
            last = last_page(answer)
        fetch_ahead(number)
        rows = objects(answer.body, path)
        walk.tags.append(answer.headers.get("etag", ""))
        if 'rel="next"' in answer.headers.get("link", ""):
            return rows, str(number + 1)
        walk.full = len(rows) >= PAGE
        if number > 1:
            # Fewer pages than the first one told: the witness was another page than the one that now ends the list.
            walk.moved = number != last or not (await unchanged(1) and await unchanged(number))
        return rows, None

    walk = TaggedWalk(fetch, "id")
    return walk


def last_page(answer: Answer) -> int:
    """The number of the last page; 0 where there is none or the answer does not say."""
    found = LAST.search(answer.headers.get("link", ""))
    return int(found[1]) if found else 0
