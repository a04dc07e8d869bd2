"""Which lane is next: accounts take turns, in one the more urgent goes first, then clients take turns. Pure.

Turns are start-time fair queueing: whoever had least is next, and who was away does not come back with
a claim on all that it missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from postbearer.store import Lane, Priority

K = TypeVar("K", bound=Hashable)


class RoundRobin(Generic[K]):
    """Who has had how much of something that is handed out piece by piece."""

    def __init__(self) -> None:
        self._had: dict[K, float] = {}
        self._level = 0.0  # where the last turn began
        self._most = 1000

    def next(self, waiting: Iterable[K]) -> K:
        """The one of `waiting` that had least; the first of equals."""
        return min(waiting, key=self._start)

    def took(self, who: K, amount: float = 1.0) -> None:
        """`who` got `amount`."""
        self._level = start = self._start(who)
        self._had[who] = start + amount
        if len(self._had) > self._most:  # whoever lies below the level is as good as new
            self._had = {key: had for key, had in self._had.items() if had > self._level}
            self._most = max(1000, 2 * len(self._had))

    def _start(self, who: K) -> float:
        return max(self._had.get(who, 0.0), self._level)


class LaneScheduler:
    """The turns of all accounts, and of all clients within each lane of an account."""

    def __init__(self) -> None:
        self._accounts: RoundRobin[str] = RoundRobin()
        self._clients: dict[tuple[str, Priority], RoundRobin[str]] = defaultdict(RoundRobin)

    def next(self, lanes: Iterable[Lane]) -> Lane | None:
        """The lane to claim from, of `lanes` that are due and whose accounts have room."""
        lanes = list(lanes)
        if not lanes:
            return None
        account = self._accounts.next(sorted({lane.account for lane in lanes}))
        mine = [lane for lane in lanes if lane.account == account]
        first = min(lane.priority for lane in mine)
        mine = sorted((lane for lane in mine if lane.priority == first), key=_by_due)
        client = self._clients[account, first].next(lane.client for lane in mine)
        return next(lane for lane in mine if lane.client == client)

    def took(self, lane: Lane, sizes: Sequence[int]) -> None:
        """From `lane` deliveries were claimed, for as many recipients as `sizes` says."""
        self._accounts.took(lane.account, len(sizes))
        self._clients[lane.account, lane.priority].took(lane.client, sum(sizes))


def _by_due(lane: Lane) -> float:
    return lane.due
