"""Wall time that cannot be hurried."""

from __future__ import annotations

from postbearer.clock import Clock


class SteadyTime:
    """The wall clock, but for the jumps it makes forward: those would expire messages in no time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall = clock.now()
        self._monotonic = clock.monotonic()

    def now(self) -> float:
        return min(self._clock.now(), self._wall + self._clock.monotonic() - self._monotonic)
