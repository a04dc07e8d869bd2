"""A clock whose hands the test turns."""

from __future__ import annotations

import asyncio


class ManualClock:
    """A `Clock` that stands still until told otherwise.

    `sleep` moves the hands by itself and lets other tasks run, so that code which waits finishes at
    once and a test can read off how long it would have waited (`slept`).
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._monotonic = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(max(seconds, 0.0))
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, on both hands."""
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP would; monotonic time does not care."""
        self._now += seconds
