"""What waits, as far as it was read, and which accounts are worth a look now.

The store is asked only for lanes that something was put into or taken from, and only those accounts are
looked at that may begin something: so what a message costs does not grow with what waits beside it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from heapq import heapify, heappop, heappush

from postbearer.store import Lane, LaneKey

SPARE = 1000  # entries of the heap that may be out of date, beside as many as are not


class WaitingLanes:
    """The lanes by account. At first nothing was read, and all is worth a look."""

    def __init__(self) -> None:
        self.lanes: dict[str, dict[LaneKey, Lane]] = {}  # by account; only to be looked at
        self._unread: set[LaneKey] | None = None  # None: all
        self._reading = False  # what is put somewhere meanwhile may not be found
        self._worth: set[str] = set()  # accounts
        self._times: dict[str, float] = {}  # of accounts: when to look again (Unix seconds)
        self._order: list[tuple[float, str]] = []  # the same, the first of them first

    def changed(self, lanes: Iterable[LaneKey] | None) -> None:
        """Something was put into these lanes, or taken from them; None: anywhere."""
        if lanes is None:
            self._unread = None
        elif self._unread is not None:
            self._unread.update(lanes)

    def put(self, lanes: Iterable[LaneKey], now: float) -> bool:
        """Something was put into these lanes; whether anybody need look.

        Where something is due already, that stays the first, and who may begin it looks anyway.
        """
        if self._unread is None:
            return True
        news = [key for key in lanes if not self._known_as_due(key, now)]
        self._unread.update(news)
        return bool(news)

    def take_unread(self) -> Collection[LaneKey] | None:
        """What is to be read now, None being all; `read` follows."""
        unread, self._unread = self._unread, set()
        self._reading = unread is None or bool(unread)
        return unread

    def read(self, unread: Collection[LaneKey] | None, found: Sequence[Lane]) -> None:
        """What the store knows of these lanes."""
        self._reading = False
        if unread is None:
            self.lanes.clear()
            self._times.clear()
            self._order.clear()
        for key in unread or ():
            self.lanes.get(key[0], {}).pop(key, None)
        for lane in found:
            self.lanes.setdefault(lane.account, {})[lane.key] = lane
        for account in {key[0] for key in unread or ()} | {lane.account for lane in found}:
            if self.lanes.get(account):
                self._worth.add(account)
            else:
                self.lanes.pop(account, None)
                self._wait(account, math.inf)
        self._worth &= self.lanes.keys()

    def look_at(self, accounts: Iterable[str]) -> bool:
        """They may begin something now; whether anything of theirs waits."""
        found = [account for account in accounts if account in self.lanes]
        self._worth.update(found)
        return bool(found)

    def look_at_all(self) -> None:
        """Any of them may."""
        self._worth.update(self.lanes)

    def worth_a_look(self, now: float) -> list[Lane]:
        """The lanes of all accounts that may begin something now, for all that is known."""
        while self._order and self._order[0][0] <= now:
            at, account = heappop(self._order)
            if self._times.get(account) == at:
                del self._times[account]
                self._worth.add(account)
        return [lane for account in sorted(self._worth) for lane in self.lanes[account].values()]

    def wait(self, lanes: Iterable[tuple[str, float]]) -> None:
        """Nothing may begin before these times, by account, unless something changes."""
        first: dict[str, float] = {}
        for account, at in lanes:
            first[account] = min(at, first.get(account, math.inf))
        for account, at in first.items():
            self._wait(account, at)

    def next_time(self) -> float:
        """When to look again, if nothing changes."""
        while self._order and self._times.get(self._order[0][1]) != self._order[0][0]:
            heappop(self._order)
        return self._order[0][0] if self._order else math.inf

    def _known_as_due(self, key: LaneKey, now: float) -> bool:
        lane = self.lanes.get(key[0], {}).get(key)
        unread = self._reading or self._unread is None or key in self._unread
        return lane is not None and lane.due <= now and not unread

    def _wait(self, account: str, at: float) -> None:
        self._worth.discard(account)
        if self._times.get(account) == at:
            return
        if at == math.inf:
            self._times.pop(account, None)
            return
        self._times[account] = at
        heappush(self._order, (at, account))
        if len(self._order) > 2 * len(self._times) + SPARE:
            self._order = [(at, account) for account, at in self._times.items()]
            heapify(self._order)
