"""How far into each lane everything is known not to wait any more, so that nobody walks over it again.

Rows of `ready` that do not count any more stay until their part is emptied. What another node put before a
cursor, or was about to take and did not, is found when the cursor is forgotten, a moment later.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from math import inf

from postbearer.store.records import LaneKey

HELD = 1.0  # seconds that a cursor counts, at least …
TIMES = 20.0  # … and so many times as long as it takes to find out where it is

Place = tuple[float, int]  # a due time, and the number of a delivery
START: Place = (-inf, 0)


class LaneCursors:
    """By lane. Times are monotonic."""

    def __init__(self) -> None:
        self._places: dict[LaneKey, Place] = {}
        self._until = -inf

    def at(self, lane: LaneKey) -> Place:
        return self._places.get(lane, START)

    def all_(self) -> Iterable[tuple[LaneKey, Place]]:
        return self._places.items()

    def begin(self) -> float:
        """Somebody is going to walk; the time at which he begins. Old cursors are forgotten."""
        now = time.monotonic()
        if now >= self._until:
            self._places.clear()
        return now

    def walked(self, begun: float, found: Iterable[tuple[LaneKey, Place]]) -> None:
        """Everything before what was found, by lane, does not wait."""
        if not self._places:
            now = time.monotonic()
            self._until = now + max(HELD, TIMES * (now - begun))
        for lane, place in found:
            self._places[lane] = max(place, self.at(lane))

    def lower(self, lane: LaneKey, due: float) -> None:
        """Something comes to wait there from `due` on."""
        if self.at(lane) > (due, 0):
            self._places[lane] = due, 0
