"""One account at work: what is under way, how many connections it may use, whether it rests or pauses."""

from __future__ import annotations

import math
from collections import Counter

from postbearer.clock import Clock
from postbearer.engine.budget import Budget
from postbearer.engine.channel import Channel
from postbearer.engine.schedule import RetryPolicy
from postbearer.store import Pause, Priority

RESTS = RetryPolicy(first=15.0, factor=2.0, maximum=300.0)  # while nothing can be attempted at all
LATELY = 60.0  # seconds: an account that sends as fast as it may is kept back again and again
GROW_AFTER = 10  # messages that went well, before one more connection is tried again


class SharedMailbox:
    """What the provider counts connections by: accounts of one login, also from before and after a reload."""

    def __init__(self) -> None:
        self.busy = 0


class AccountState:
    """Its state is in memory, but for the pause, which the worker writes to the spool."""

    def __init__(self, channel: Channel, clock: Clock, mailbox: SharedMailbox | None = None) -> None:
        self.channel = channel
        self.account = channel.account
        self.budget = Budget(channel.ledger, channel.account.limits, clock)
        self.pause: Pause | None = None
        self.mailbox = mailbox or SharedMailbox()
        self.last_error = ""
        self.missed = False  # the last attempt found nothing to attempt it on
        self.strikes: Counter[str] = Counter()  # rules met in a row that hold the account when they last
        self.worked_at = -math.inf  # when the provider last dealt with a message (Unix seconds)
        self._last_pause = (math.inf, -math.inf)  # from, until
        self._clock = clock
        self.busy = 0  # attempts under way
        self._most = channel.account.connections
        self._limit = self._most
        self._good = 0  # messages that went well in a row
        self._failures = 0  # in a row, without anything having been attempted
        self._rest_until = -math.inf  # monotonic

    def begin(self) -> None:
        """One attempt more is under way."""
        self.busy += 1
        self.mailbox.busy += 1

    def end(self) -> None:
        """One less."""
        self.busy -= 1
        self.mailbox.busy -= 1

    @property
    def limited(self) -> bool:
        return self.channel.ledger is not None

    @property
    def connections(self) -> int:
        """How many it may use now."""
        return self._limit

    @property
    def paused(self) -> bool:
        return self.pause is not None

    def was_paused(self, at: float) -> bool:
        """Whether it was, or is, paused at a time (Unix seconds); of earlier pauses the last one is known."""
        since, until = self._last_pause
        return since <= at <= until or (self.pause is not None and self.pause.since <= at)

    def unpause(self) -> None:
        """Its pause is over."""
        if self.pause is not None:
            self._last_pause = (self.pause.since, self._clock.now())
        self.pause = None

    def slots(self, now: float) -> int:
        """How many attempts may begin, budget aside. A pause that is over lets one through, as a probe.

        Of connections that others have, too, one more is thought to be had while it makes sense to ask.
        """
        found = self._slots(now)
        share = self.channel.share
        if share is None or not found:
            return found
        return min(found, max(share.held - self.busy, 0 if share.may_ask else 1))

    @property
    def connected(self) -> bool:
        """Whether one more attempt needs no connection of others'."""
        return self.channel.share is None or self.channel.share.held > self.busy

    async def connect(self) -> bool:
        """Have a connection for one more attempt, if there is one to be had. Raises `StoreError`."""
        share = self.channel.share
        if share is not None and not self.connected and not share.may_ask:
            await share.ask(self.busy + max(1, self._limit - self.mailbox.busy))
        return self.connected

    def _slots(self, now: float) -> int:
        if self._resting > 0:
            return 0
        if self.pause is not None:
            due = self.pause.probe is not None and self.pause.probe <= now
            return 1 if due and not self.busy else 0
        if self._failures:
            return 0 if self.mailbox.busy else 1
        return max(0, self._limit - self.mailbox.busy)

    def free(self, priority: Priority, now: float) -> bool:
        """Whether an attempt may begin now."""
        return self.slots(now) > 0 and self.budget_opens(priority) <= now

    def open(self, now: float) -> bool:
        """Whether anything at all may begin now: while not, nobody need look what waits."""
        return self.slots(now) > 0 and min(self.budget.opens.values()) <= now

    def budget_opens(self, priority: Priority) -> float:
        """When the budget has room, as far as was looked."""
        return self.budget.opens[priority is Priority.URGENT]

    def limited_until(self, now: float) -> float | None:
        """Until when its limits keep ordinary mail back; None if they have not for a minute."""
        kept = self.budget.kept_until
        return max(now, kept) if kept > now - LATELY else None

    def free_at(self, priority: Priority, now: float) -> float:
        """When an attempt may begin, by the clock alone; infinity if something else must happen first."""
        if self.pause is not None and self.pause.probe is None:
            return math.inf
        opens = max(now, self.budget_opens(priority), now + self._resting)
        if self.pause is not None and self.pause.probe is not None:
            opens = max(opens, self.pause.probe)
        if self.channel.share is not None and not self.connected:
            opens = max(opens, now + self.channel.share.may_ask)
        return opens if self._slots(opens) or self._resting > 0 else math.inf

    def rest(self, seconds: float) -> None:
        """Nothing could be attempted: leave the account alone for `seconds`, or as long as seems right."""
        self._failures += 1
        wait = seconds or RESTS.wait(self._failures, lambda: 0.5)
        self._rest_until = max(self._rest_until, self._clock.monotonic() + wait)

    def cut(self) -> None:
        """The provider wants fewer connections."""
        self._limit = max(1, min(self._limit, self.busy or 1) // 2)
        self._good = 0

    def went_well(self) -> None:
        """The provider dealt with a message: what was given up comes back little by little."""
        self._failures = 0
        self.last_error = ""
        self.missed = False
        self.strikes.clear()
        self.worked_at = self._clock.now()
        self._rest_until = -math.inf
        self._good += 1
        if self._good >= GROW_AFTER and self._limit < self._most:
            self._limit += 1
            self._good = 0

    @property
    def resting(self) -> float:
        """Seconds it is still left alone."""
        return max(0.0, self._resting)

    @property
    def _resting(self) -> float:
        return self._rest_until - self._clock.monotonic()
