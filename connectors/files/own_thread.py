"""A plain iterator, read in one thread of its own while the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


async def in_own_thread(make: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
    """The items of `make()`. All of it runs in the same thread: libraries keep contexts by thread."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1) as pool:
        items = await loop.run_in_executor(pool, make)
        try:
            while (item := await loop.run_in_executor(pool, next, items, _END)) is not _END:
                yield item  # type: ignore[misc]
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                await loop.run_in_executor(pool, close)
