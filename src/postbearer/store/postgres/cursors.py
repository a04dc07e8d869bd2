"""How far into each lane everything is known not to wait any more, so that nobody walks over it again.

Rows of `ready` that do not count any more stay until their part is emptied. A cursor is how far this node
came. What another node put before it, or was about to take and did not, is found when the cursor goes back
to its floor, a moment later. Before a floor nothing waits for certain, and nothing ever will: what comes to
wait gets a time that is not long before its transaction began, and that began after the floor's time. Where
the clock of the database goes back, as by a failover, that is not so: then all floors go.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from math import inf
from typing import NamedTuple

from postbearer.store.records import LaneKey

HELD = 1.0  # seconds that a cursor counts, at least …
TIMES = 20.0  # … and so many times as long as it takes to find out where it is
LATE = 0.5  # seconds by which what comes to wait may be due before its transaction began
STEP = 0.5  # seconds by which the clock of the database may go back unnoticed
MOST = 20_000  # floors that are kept

Place = tuple[float, int]  # a due time, and the number of a delivery
START: Place = (-inf, 0)


class StoreClock(NamedTuple):
    """The clock of the database, at one moment."""

    settled: float  # whoever may still put something into the order began later
    least: float  # it is ahead of our monotonic one by so much, at least …
    most: float  # … and at most


class LaneCursors:
    """By lane. Times that are kept are monotonic."""

    def __init__(self) -> None:
        self._places: dict[LaneKey, Place] = {}
        self._floors: dict[LaneKey, Place] = {}
        self._until = -inf  # the cursors count
        self._settling = -inf  # the floors rise next
        self._ahead = -inf  # so far the clock of the database was ahead of our monotonic one

    def at(self, lane: LaneKey) -> Place:
        return self._places.get(lane) or self.floor(lane)

    def all_(self) -> Iterable[tuple[LaneKey, Place]]:
        return (self._floors | self._places).items()

    def floor(self, lane: LaneKey) -> Place:
        return self._floors.get(lane, START)

    def floors(self) -> Iterable[tuple[LaneKey, Place]]:
        return tuple(self._floors.items())

    def begin(self) -> float:
        """Somebody is going to walk; the time at which he begins. Old cursors go back to their floors."""
        now = time.monotonic()
        if now >= self._until:
            self._places.clear()
            self._until = inf
        return now

    def walked(self, begun: float, found: Iterable[tuple[LaneKey, Place]]) -> None:
        """Everything before what was found, by lane, does not wait."""
        if self._until == inf:
            self._until = _later(begun)
        for lane, place in found:
            self._places[lane] = max(place, self.at(lane))

    def settles(self) -> bool:
        """Whether the next walk is to begin at the floors, and to raise them."""
        now = time.monotonic()
        if now < self._settling:
            return False
        self._settling = now + HELD
        return True

    def settle(
        self, begun: float, lanes: Iterable[LaneKey], found: Mapping[LaneKey, Place], clock: StoreClock
    ) -> None:
        """Of `lanes`, and those in which something was found, nothing waits before it.

        Whoever had not committed before it was looked for, and who begins later, puts nothing into them that
        is due before `clock.settled`, but for `LATE`.
        """
        if clock.least < self._ahead - STEP:
            self._places.clear()
            self._floors.clear()
            self._settling, self._ahead = -inf, clock.most
            return
        self._settling, self._ahead = _later(begun), max(self._ahead, clock.most)
        if len(self._floors) > MOST:
            self._floors.clear()
        settled_place = (clock.settled - LATE - STEP, 0)
        for lane in {*lanes, *found}:
            floor = min(found.get(lane, settled_place), settled_place)
            self._floors[lane] = max(floor, self.floor(lane))

    def lower(self, lane: LaneKey, due: float) -> None:
        """Something comes to wait there from `due` on."""
        if self.at(lane) > (due, 0):
            self._places[lane] = due, 0


def _later(begun: float) -> float:
    """When a walk is to be made again that has taken from `begun` until now."""
    now = time.monotonic()
    return now + max(HELD, TIMES * (now - begun))
