"""Which lane is next: accounts take turns, in one the more urgent goes first, then clients take turns. Pure.

Turns are start-time fair queueing: whoever had least is next, and who was away does not come back with
a claim on all that it missed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from heapq import heapify, heapreplace
from typing import Generic, TypeVar

from postbearer.store import Claimed, Lane, Priority

K = TypeVar("K", bound=Hashable)


class RoundRobin(Generic[K]):
    """Who has had how much of something that is handed out piece by piece."""

    def __init__(self) -> None:
        self._had: dict[K, float] = {}
        self._level = 0.0  # where the last turn began
        self._most = 1000

    def next(self, waiting: Iterable[K]) -> K:
        """The one of `waiting` that had least; the first of equals."""
        return min(waiting, key=self.start)

    def took(self, who: K, amount: float = 1.0) -> None:
        """`who` got `amount`."""
        self._level = start = self.start(who)
        self._had[who] = start + amount
        if len(self._had) > self._most:  # whoever lies below the level is as good as new
            self._had = {key: had for key, had in self._had.items() if had > self._level}
            self._most = max(1000, 2 * len(self._had))

    def start(self, who: K) -> float:
        """Where the next turn of `who` begins."""
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
        mine = [lane for lane in mine if lane.priority == first]
        turns = self._clients[account, first]
        return min(mine, key=lambda lane: (turns.start(lane.client), lane.due))

    def shares(self, lanes: Iterable[Lane], most: int) -> dict[Lane, int]:
        """How many of the next `most` messages come from each of `lanes`, of one account and priority."""
        order = []
        for place, lane in enumerate(lanes):
            turns = self._clients[lane.account, lane.priority]
            order.append((turns.start(lane.client), lane.due, place, lane))
        heapify(order)
        shares: dict[Lane, int] = {}
        for _ in range(most):
            start, due, place, lane = order[0]
            shares[lane] = shares.get(lane, 0) + 1
            heapreplace(order, (start + 1.0, due, place, lane))
        return shares

    def took(self, which: Lane | Claimed, recipients: int) -> None:
        """A delivery for so many recipients was claimed from this lane."""
        self._accounts.took(which.account)
        self._clients[which.account, which.priority].took(which.client, recipients)
