"""What an account may still send: given the past, when may the next message go?

A charge is made when an attempt begins, so a refused or unknown one counts as well: it counts at the
provider too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from postbearer.clock import Clock
from postbearer.store import Charge, Ledger

MINUTE = 60.5  # seconds: the provider counts arrivals, and ours may be half a second closer there than here
DAY = 86_400.0
FEW = 10  # messages that are paced together: what their timers lose …
CATCHING_UP = 0.1  # … is made up for by at most so much of a gap
KEPT_FOR_URGENT = 0.1  # of what may be sent in a day


@dataclass(frozen=True, slots=True)
class Limits:
    """An account's limits; None for what is not limited."""

    messages_per_minute: int | None = None
    messages_per_day: int | None = None
    recipients_per_day: int | None = None

    def __bool__(self) -> bool:
        return any((self.messages_per_minute, self.messages_per_day, self.recipients_per_day))

    @property
    def ordinary(self) -> Limits:
        """The limits for mail that is not urgent: a share of the day is kept back."""
        return Limits(
            self.messages_per_minute, _ordinary(self.messages_per_day), _ordinary(self.recipients_per_day)
        )


@dataclass(frozen=True, slots=True)
class Left:
    """What may still be sent now; None for what is not limited."""

    messages_this_minute: int | None = None
    messages_today: int | None = None
    recipients_today: int | None = None


class Budget:
    """The budget of one account, counted in a ledger that is shared by all who send for it.

    Times are on the wall clock. Raises `StoreError` when the ledger cannot be used. `opens` tells, by
    whether it is for urgent mail, when there is room for one recipient as of the last look at the ledger.
    """

    def __init__(self, ledger: Ledger | None, limits: Limits, clock: Clock) -> None:
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self.opens = {True: 0.0, False: 0.0}

    async def take(self, recipients: int, *, urgent: bool = True) -> float | None:
        """Charge an attempt for `recipients` if it may begin now, and return None.

        Else nothing is charged, and the time is returned at which to ask again.
        """
        if self._ledger is None:
            return None

        def decide(past: Sequence[Charge], now: float) -> float:
            slot = self._slot(past, now, recipients, urgent=urgent)
            after = past if slot > now else [*past, Charge(now, recipients)]
            self.opens = {each: self._slot(after, now, 1, urgent=each) for each in (True, False)}
            return slot

        return await self._ledger.charge(recipients, decide)

    async def left(self) -> Left:
        """What the sliding windows leave room for now."""
        past, now, limits = await self._past(), self._clock.now(), self._limits
        today = [charge for charge in past if charge.at > now - DAY]
        this_minute = sum(1 for charge in today if charge.at > now - MINUTE)
        return Left(
            _left(limits.messages_per_minute, this_minute),
            _left(limits.messages_per_day, len(today)),
            _left(limits.recipients_per_day, sum(charge.recipients for charge in today)),
        )

    def _slot(self, past: Sequence[Charge], now: float, recipients: int, *, urgent: bool) -> float:
        limits = self._limits if urgent else self._limits.ordinary
        return next_slot(past, limits, now=now, recipients=recipients)

    async def _past(self) -> Sequence[Charge]:
        seen: list[Charge] = []

        def look(past: Sequence[Charge], now: float) -> float:
            seen.extend(past)
            return math.inf  # so that nothing is charged

        if self._ledger is not None:
            await self._ledger.charge(0, look)
        return seen


def next_slot(past: Sequence[Charge], limits: Limits, *, now: float, recipients: int) -> float:
    """When an attempt for `recipients` may begin, in the same clock as `now`; at most `now` means at once.

    `past` is in order of time. A charge in the future is the trace of a clock that was set back, and
    counts as made now: the account waits one window at most, and never sends twice its limit.
    """
    charges = past
    if past and past[-1].at > now:
        charges = [Charge(min(charge.at, now), charge.recipients) for charge in past]
    return max(
        _window(charges, limits.messages_per_minute, MINUTE, now),
        _pace(charges, limits.messages_per_minute, now),
        _window(charges, limits.messages_per_day, DAY, now),
        _recipients(charges, limits.recipients_per_day, now, recipients),
    )


def _window(charges: Sequence[Charge], limit: int | None, length: float, now: float) -> float:
    """When fewer than `limit` charges will lie in the last `length` seconds."""
    if limit is None or len(charges) < limit:
        return now
    return max(now, charges[-limit].at + length)


def _pace(charges: Sequence[Charge], limit: int | None, now: float) -> float:
    """Half of a minute's messages may go at once; from there on they are spread over the minute.

    A timer rings late, and each message begins when the one before has begun: so that this does not add up,
    a gap may be a little shorter where the last few were longer than they had to be.
    """
    if limit is None or not charges:
        return now
    recent = sum(1 for _ in takewhile(lambda charge: charge.at > now - MINUTE, reversed(charges)))
    if recent < max(1, limit // 2):
        return now
    gap = MINUTE / limit
    slot = charges[-1].at + gap
    if len(charges) >= FEW:
        slot = min(slot, max(slot - gap * CATCHING_UP, charges[-FEW].at + gap * FEW))
    return max(now, slot)


def _recipients(charges: Sequence[Charge], limit: int | None, now: float, wanted: int) -> float:
    """When `wanted` more recipients fit; a message too large for any day goes on an empty one."""
    if limit is None:
        return now
    room = max(0, limit - wanted)
    used = 0
    for charge in reversed(charges):
        if charge.at <= now - DAY:
            break
        used += charge.recipients
        if used > room:
            return charge.at + DAY
    return now


def _ordinary(limit: int | None) -> int | None:
    return None if limit is None else max(1, limit - int(limit * KEPT_FOR_URGENT))


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
