"""What was read last, for everybody who comes soon after: many open pages cost as much as one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from postbearer.clock import Clock

T = TypeVar("T")

SOONEST = 2.0  # seconds that what was read is shown to who opens a page
EVERY = 5.0  # seconds between two looks of a page that is open (static/console.js) …
FRESH = 0.92 * EVERY  # … which takes what another one was told since its last; each sees something newer
MOST = 200  # readings that are kept


@dataclass(slots=True)
class _Reading:
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = -math.inf  # monotonic: when it was begun
    value: Any = None


class SharedReads:
    """Readings by what was asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[Hashable, _Reading] = {}
        self._forgotten = 0

    def forget(self) -> None:
        """Something was done: who looks next sees it."""
        self._forgotten += 1
        for reading in self._kept.values():
            reading.at = -math.inf

    async def take(self, asked: Hashable, fresh: float, read: Callable[[T | None], Awaitable[T]]) -> T:
        """What was read less than `fresh` seconds ago, or what `read` finds now, told what was before.

        Raises what it raises; who asks next has it read again.
        """
        reading = self._kept.pop(asked, None) or _Reading()
        self._kept[asked] = reading  # behind all others
        while len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]
        async with reading.alone:
            if self._clock.monotonic() - reading.at >= fresh:
                at, forgotten = self._clock.monotonic(), self._forgotten
                reading.at = -math.inf
                reading.value = await read(reading.value)
                if forgotten == self._forgotten:  # else it may be from before what was done
                    reading.at = at
            kept: T = reading.value
            return kept
