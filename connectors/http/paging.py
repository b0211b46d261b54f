"""Walking numbered pages: the first tells how many, the others are fetched side by side.

Sources without a sort order may move rows while we walk. Rows are kept once by id, and a walk is called
complete only when as many different rows were seen as the source says there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.errors import BadPayload

PAGES_MAX = 20_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RawPage:
    """Rows of one page, and how many there are in all (None: the source does not say)."""

    rows: list[Row]
    total: int | None
    more: bool | None = None  # where there is no total: is there a next page


@dataclass(slots=True)
class Walk:
    """One walk over a list: what was seen, and whether it was all of it."""

    fetch: Callable[[int], Awaitable[RawPage]]
    size: int
    key: str
    ahead: int = 8
    seen: set[str] = field(default_factory=set)
    rows: int = 0
    totals: set[int] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Were all rows seen, and did none move meanwhile?"""
        return not self.totals or (len(self.totals) == 1 and len(self.seen) == next(iter(self.totals)))

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows of each page."""
        first = await self.fetch(0)
        yield self._new(first)
        if first.total is None:
            async for rows in self._one_by_one(first):
                yield rows
            return
        last = -(-first.total // self.size)
        if last > PAGES_MAX:
            raise BadPayload(f"more than {PAGES_MAX} pages announced", advice="narrow the projects of this connection")
        for start in range(1, last, self.ahead * 4):
            async for rows in self._side_by_side(start, min(last, start + self.ahead * 4)):
                yield rows

    async def _side_by_side(self, start: int, end: int) -> AsyncIterator[list[Row]]:
        tasks = [asyncio.ensure_future(self.fetch(n)) for n in range(start, end)]
        try:
            for task in tasks:
                yield self._new(await task)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one_by_one(self, page: RawPage) -> AsyncIterator[list[Row]]:
        number = 0
        while page.rows and (page.more if page.more is not None else len(page.rows) >= self.size):
            number += 1
            if number >= PAGES_MAX:
                raise BadPayload(
                    f"more than {PAGES_MAX} pages; is the list stuck?", advice="tell the connector's author"
                )
            page = await self.fetch(number)
            fresh = self._new(page)
            if page.rows and not fresh:
                raise BadPayload(
                    "the same page came again; the list does not end", advice="tell the connector's author"
                )
            yield fresh

    def _new(self, page: RawPage) -> list[Row]:
        if page.total is not None:
            self.totals.add(page.total)
        self.rows += len(page.rows)
        fresh = []
        for row in page.rows:
            identity = str(row.get(self.key))
            if identity not in self.seen:
                self.seen.add(identity)
                fresh.append(row)
        return fresh
