"""Walking numbered pages: the first tells how many, the others are fetched side by side.

Sources without a sort order may move rows while we walk. Rows are kept once by id, and a walk is called
complete only when as many different rows were seen as the source says there are. A source that does not say
is asked until it has no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from connectors.errors import BadPayload

PAGES_MAX = 20_000
WALKS_MAX = 3
DIGITS_MAX = 18  # of a number of rows that is told as a text

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RawPage:
    """Rows of one page, and how many there are in all (None: the source does not say).

    `more` says, where there is no total, whether there is a next page; without both, a first page that is not
    full may be the end or the source's own limit, and costs a second question.
    """

    rows: list[Row]
    total: int | None = None
    more: bool | None = None


#: Fetches page `number` (from 0) of pages of `size` rows.
Fetch = Callable[[int, int], Awaitable[RawPage]]


@dataclass(slots=True)
class Walk:
    """One walk over a list: what was seen, and whether it was all of it."""

    fetch: Fetch
    size: int
    key: str
    ahead: int = 8
    seen: set[str] = field(default_factory=set)
    rows: int = 0
    numbers: int = 0
    totals: set[int] = field(default_factory=set)
    cut_short: bool = False

    @property
    def counted(self) -> bool:
        """Can `complete` be believed? Of several pages without a total a row may have slipped from one to the other."""
        return bool(self.totals) or self.numbers <= 1

    @property
    def complete(self) -> bool:
        """Were all rows seen, and did none move meanwhile, as far as one walk can tell?"""
        if self.cut_short:
            return False
        if not self.totals:
            return self.rows == len(self.seen)
        return len(self.totals) == 1 and len(self.seen) == next(iter(self.totals))

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows of each page."""
        first = await self.fetch(0, self.size)
        yield self._new(first)
        if first.total is None:
            async for rows in self._one_by_one(first):
                yield rows
            return
        last = self._last_page(first)
        if last > PAGES_MAX:
            raise BadPayload("too_many_pages", pages=PAGES_MAX)
        async for rows in self._side_by_side(last):
            yield rows

    def _last_page(self, first: RawPage) -> int:
        """How many pages there are; a source may give fewer rows a page than were asked for."""
        got, total = len(first.rows), first.total or 0
        if 0 < got < self.size and total > got:
            self.size = got
        return -(-total // self.size) if got else 1

    async def _side_by_side(self, last: int) -> AsyncIterator[list[Row]]:
        """The other pages as they come, not in their order: what is read at once is still warm in the cache."""
        numbers = iter(range(1, last))

        async def some() -> AsyncIterator[RawPage]:
            for number in numbers:
                yield await self.fetch(number, self.size)

        readers = min(self.ahead * 2, last - 1)  # twice: one request is always ready to go when a connection is free
        async for page in side_by_side([some] * readers, readers, ahead=1):
            yield self._new(page)

    async def _one_by_one(self, page: RawPage) -> AsyncIterator[list[Row]]:
        number = 0
        if page.more is not False and 0 < len(page.rows) < self.size:
            self.size = len(page.rows)  # its own limit, or the end: the next page of this size tells
        while page.rows and (page.more if page.more is not None else len(page.rows) >= self.size):
            number += 1
            if number >= PAGES_MAX:
                raise BadPayload("endless_list", pages=PAGES_MAX)
            page = await self.fetch(number, self.size)
            fresh = self._new(page)
            if page.rows and not fresh:
                raise BadPayload("same_page")
            yield fresh
        self.cut_short = bool(page.more) and not page.rows

    def _new(self, page: RawPage) -> list[Row]:
        self.numbers += 1
        if page.total is not None:
            self.totals.add(page.total)
        self.rows += len(page.rows)
        fresh = []
        seen, key = self.seen, self.key
        for row in page.rows:
            identity = str(row.get(key))
            if identity not in seen:
                seen.add(identity)
                fresh.append(row)
        return fresh


@dataclass(slots=True)
class Chain:
    """A walk over pages that each name the next: by token, cursor or link.

    `fetch(token)` gives the rows and the next token, None after the last page; the first is asked with None.
    """

    fetch: Callable[[str | None], Awaitable[tuple[list[Row], str | None]]]
    key: str
    seen: set[str] = field(default_factory=set)
    rows: int = 0
    ended: bool = False

    @property
    def complete(self) -> bool:
        """Did it come to its end, and was no row seen twice (which says that rows moved meanwhile)?"""
        return self.ended and self.rows == len(self.seen)

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows of each page. Raises BadPayload for a chain that bites its tail."""
        token: str | None = None
        tokens: set[str] = set()
        while not self.ended:
            rows, token = await self.fetch(token)
            self.rows += len(rows)
            yield [r for r in rows if self._new(str(r.get(self.key)))]
            self.ended = token is None
            if token is not None and (token in tokens or len(tokens) >= PAGES_MAX):
                raise BadPayload("same_page")
            tokens.add(token or "")

    def _new(self, identity: str) -> bool:
        fresh = identity not in self.seen
        self.seen.add(identity)
        return fresh


async def settled(start: Callable[[], Walk | Chain]) -> tuple[list[Row], bool]:
    """All rows of a list, walked again where rows moved meanwhile; the flag says that nothing was missed.

    A later walk has the newer rows, so its rows win; rows that only an earlier walk saw are kept. Several numbered
    pages that nobody counts are believed when two walks in a row saw the same rows.
    """
    found: dict[str, Row] = {}
    last: set[str] | None = None
    for _ in range(WALKS_MAX):
        walk = start()
        found |= {str(row.get(walk.key)): row async for page in walk.pages() for row in page}
        if walk.complete and (not isinstance(walk, Walk) or walk.counted or walk.seen == last):
            return list(found.values()), True
        last = walk.seen
    return list(found.values()), False


async def side_by_side(
    makers: Sequence[Callable[[], AsyncIterator[T]]], at_once: int, ahead: int = 4
) -> AsyncIterator[T]:
    """What several readers yield, as it comes: `at_once` of them run, each at most `ahead` pages before its reader."""
    ready: asyncio.Queue[T | BaseException | None] = asyncio.Queue(at_once * ahead)
    left = iter(makers)

    async def work() -> None:
        try:
            for make in left:
                async for item in make():
                    await ready.put(item)
            await ready.put(None)
        except Exception as problem:  # noqa: BLE001 - handed to the reader, who raises it
            await ready.put(problem)

    workers = [asyncio.ensure_future(work()) for _ in range(max(1, min(at_once, len(makers))))]
    running = len(workers)
    try:
        while running:
            item = await ready.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                running -= 1
            else:
                yield item
                await asyncio.sleep(0)  # answers that came meanwhile free their connections
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def together(jobs: Sequence[Awaitable[T]]) -> list[T]:
    """All results in order; where one fails the others are called off."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def objects(rows: object, where: str) -> list[Row]:
    """The rows of a list. Raises BadPayload where one is no object: a row is never dropped silently."""
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise BadPayload("no_list", where=where)
    return rows


def total_of(value: object) -> int | None:
    """The announced number of rows, where it is one; as a text too, as headers say it."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= DIGITS_MAX:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
