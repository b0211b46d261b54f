"""Our own limit on requests: never more than so many within any window of 60 seconds.

A leaky bucket lets a full bucket through at once and fills up meanwhile, nearly twice the limit in the
first minute; vendors count windows, so we do too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

Sleep = Callable[[float], Awaitable[None]]

WINDOW = 60.0


class Budget:
    """At most `per_minute` passes in any 60 seconds; the others wait their turn, in order."""

    def __init__(self, per_minute: int, clock: Callable[[], datetime], sleep: Sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._passed: deque[float] = deque(maxlen=per_minute)
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait until one more request fits in."""
        async with self._turn:
            if len(self._passed) == self._passed.maxlen:
                left = self._passed[0] + WINDOW - self._clock().timestamp()
                if left > 0:
                    await self._sleep(min(left, WINDOW))
            self._passed.append(self._clock().timestamp())
