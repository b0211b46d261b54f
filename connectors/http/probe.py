"""What `check` asks of the lists themselves: may they be read, and how many milestones stand in their first pages.

Some systems show the account and its projects to anyone, and refuse only the lists. A check that did not ask for one
would say that all is well, and the night would fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from connectors.errors import SourceRefused
from connectors.http.fields import BadRow
from connectors.http.paging import RawPage, Row, Walk

if TYPE_CHECKING:
    from connectors.http.source import Listing

LISTS_MAX = 20  # `check` reads the first page of no more lists than that; of more it reads one


async def permitted(ask: Callable[[], Awaitable[int | None]]) -> tuple[int | None, tuple[str, ...]]:
    """What a question brings, and what is missing for it: the request that the account may not make."""
    try:
        return await ask(), ()
    except SourceRefused as problem:
        if problem.trouble.code != "no_permission":
            raise
        return None, (problem.trouble.where or problem.trouble.text("en"),)


async def counted(listing: Listing) -> int | None:
    """How many milestones a list has, where its first page is all of it and its rows say so by themselves."""
    rows, whole = await _first_page(listing)
    found = 0
    for row in rows:
        try:
            found += listing.observe(row, None) is not None
        except BadRow:
            continue  # it will wait in quarantine
        except (AttributeError, LookupError, TypeError):
            return None  # it cannot be read without its details, which would cost a request each
    return found if whole else None


async def _first_page(listing: Listing) -> tuple[list[Row], bool]:
    """The rows of the first page, and whether they are all."""
    walk = listing.start(None)
    if isinstance(walk, Walk):
        page = await walk.fetch(0, walk.size)
        return page.rows, is_all(page)
    rows, following = await walk.fetch(None)
    return rows, following is None


def is_all(page: RawPage) -> bool:
    """Is a first page all there is?"""
    if page.total is not None:
        return page.total <= len(page.rows)
    return not page.rows if page.more is None else not page.more
