"""Wall time that cannot be hurried, nor set back below what the queue has seen."""

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


class FlooredClock:
    """The clock of the queue: `clock`, but never earlier than what an earlier run has written.

    A machine without a battery for its clock starts years ago. Due times, ages and budgets would then be
    counted from there until the clock is set right, and what was accepted meanwhile would be years old.
    """

    TOLERANCE = 60.0  # seconds that a clock may be behind: it is adjusted all the time
    AGREE = 0.25  # seconds by which it may differ from one that is followed, whose answer takes its time

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._floor = self._since = float("-inf")
        self.now = clock.now  # it is asked ten times for each message
        self.monotonic = clock.monotonic
        self.sleep = clock.sleep

    def start_at(self, newest: float) -> float:
        """Go on from `newest` if the wall clock is behind it; by how many seconds it is, else 0."""
        behind = newest - self._clock.now()
        if behind <= self.TOLERANCE:
            return 0.0
        self._floor, self._since = newest, self._clock.monotonic()
        self.now = self._floored
        return behind

    def follow(self, time: float) -> None:
        """Go by a clock that all nodes share, on which it is `time` now, unless ours says the same."""
        self._floor, self._since = time, self._clock.monotonic()
        agree = abs(time - self._clock.now()) <= self.AGREE
        self.now = self._clock.now if agree else self._followed

    def _followed(self) -> float:
        return self._floor + self._clock.monotonic() - self._since

    def _floored(self) -> float:
        return max(self._clock.now(), self._floor + self._clock.monotonic() - self._since)
