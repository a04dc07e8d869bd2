"""Time, as something that is passed in: tests turn the hands themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> float:
        """Wall clock, Unix seconds: only for what is written to disk or shown to people. It may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow: for lifetimes and timeouts within one process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`."""
        ...


class SystemClock:
    """The machine's own clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        import asyncio  # `postbearer token` with a cached token must not pay for asyncio

        await asyncio.sleep(seconds)


async def event_or_time(event: asyncio.Event, seconds: float, clock: Clock) -> None:
    """Wait until `event` is set, or for `seconds`, whichever is less."""
    import asyncio

    ends = (asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds)))
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in ends:
            each.cancel()


def age(seconds: float, parts: int = 2) -> str:
    """A time span in its largest units, so many as `parts` says."""
    left = int(seconds)
    found: list[str] = []
    for size, unit in _UNITS:
        if left >= size or (unit == "s" and not found):
            count, left = divmod(left, size)
            found.append(f"{count} {unit}")
    return " ".join(found[:parts])
