"""Chains of pages that nobody counts: believed only when two walks in a row saw the same rows.

Where a list says neither how many rows it has nor keeps still while it is read, a row may slip from the page to come
to the page that was read, and would be taken for deleted. One page cannot lose a row; several are believed when the
walk before (of this pull, or of the last one) saw the same ids.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import blake2b

from connectors.http.paging import Chain, Row, Walk

Fetch = Callable[[str | None], Awaitable[tuple[list[Row], str | None]]]


class Agreed(Chain):
    """A chain that knows the sign of the walk before; `told` hears the sign of this one at its end."""

    def __init__(self, fetch: Fetch, key: str, before: str, told: Callable[[str], None]) -> None:
        super().__init__(fetch, key)
        self._before, self._told = before, told
        self._pages, self._sign = 0, ""

    @property
    def complete(self) -> bool:
        """Did it come to its end with no row twice, on one page or in agreement with the walk before?"""
        return self.ended and self.rows == len(self.seen) and (self._pages <= 1 or self._sign == self._before)

    async def pages(self) -> AsyncIterator[list[Row]]:
        """The new rows of each page."""
        async for rows in super().pages():
            self._pages += 1
            yield rows
        self._sign = _sign(self.seen)
        self._told(self._sign)


def _sign(ids: set[str]) -> str:
    return blake2b("\n".join(sorted(ids)).encode(), digest_size=8).hexdigest()


def believed(walk: Walk | Chain, name: str, before: dict[str, str], after: dict[str, str]) -> bool:
    """Was nothing missed? Numbered pages that nobody counts are believed as chains are that do (`Agreed`).

    `before` and `after` are what the cursor kept and will keep; `name` names the list.
    """
    if not walk.complete or not isinstance(walk, Walk) or walk.counted:
        return walk.complete
    last, after[name] = after.get(name, before.get(name)), _sign(walk.seen)
    return last == after[name]


class Agreements:
    """The signs of a source's lists: those of the last pull, and those of this one's walks so far."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}

    def chain(self, name: str, fetch: Fetch, key: str, before: dict[str, str], after: dict[str, str]) -> Agreed:
        """A walk over the list `name`; `before` and `after` are what the cursor kept and will keep."""

        def told(sign: str) -> None:
            self._now[name] = after[name] = sign

        return Agreed(fetch, key, self._now.get(name, before.get(name, "")), told)
