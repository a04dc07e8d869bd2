"""What an account may still send: given the past, when may the next message go?

A charge is made when an attempt begins, so a refused or unknown one counts as well: it counts at the
provider too. Where nothing reached the provider, it is given back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from msgspec.structs import replace

from postbearer.clock import Clock
from postbearer.settings import Limits
from postbearer.state import Charge, ChargeHistory, Ledger, claimant, freed, since

MINUTE = 60.5  # seconds: the provider counts arrivals, and ours may be half a second closer there than here
DAY = 86_400.0
FEW = 10  # messages that are paced together: what their timers lose …
CATCHING_UP = 0.1  # … is made up for by at most so much of a gap
KEPT_FOR_URGENT = 0.1  # of what may be sent in a day
COURSE = 60  # points of a course
TOGETHER = 8  # attempts that are claimed in one commit, where the budget is far from being spent


@dataclass(frozen=True, slots=True)
class BudgetRemaining:
    """What may still be sent now; None for what is not limited."""

    messages_this_minute: int | None = None
    messages_today: int | None = None
    recipients_today: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetUsed:
    """What was sent in the same spans, the limit at most; None for what is not limited."""

    messages_this_minute: int | None = None
    messages_today: int | None = None
    recipients_today: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetCourse:
    """How full a sliding window was: of `most` messages, or recipients, in any `window` seconds.

    `points` are moments (Unix seconds), and what was used in the window that ended then.
    """

    recipients: bool
    most: int
    window: float
    points: tuple[tuple[float, int], ...]


class Budget:
    """The budget of one account, counted in a ledger that is shared by all who send from its mailbox.

    Times are on the wall clock. Raises `StoreError` when the ledger cannot be used. `opens` tells, by
    whether it is for urgent mail, when there is room for one recipient as of the last look at the ledger;
    `together`, how many attempts there was room for at once; `kept_until`, until when ordinary mail was kept
    back the last time that it was.
    """

    def __init__(self, ledger: Ledger | None, limits: Limits, clock: Clock) -> None:
        self._ledger = ledger
        self._limits = limits
        self._ordinary = ordinary(limits)
        self._narrow = _narrowed(self._ordinary)
        self._clock = clock
        self._claimant = claimant()
        self.opens = {True: 0.0, False: 0.0}
        self.kept_until = 0.0
        self.together = 1

    async def take(self, recipients: int, *, urgent: bool = True) -> Charge | float:
        """Charge an attempt for `recipients` if it may begin now, and return the charge.

        Else nothing is charged, and the time is returned at which to ask again.
        """
        if self._ledger is None:
            return Charge(self._clock.now(), recipients)

        slot = 0.0

        def decide(past: ChargeHistory, now: float) -> float:
            nonlocal slot
            slot = self._slot(past, now, recipients, urgent=urgent)
            after = past if slot > now else _OneMore(past, Charge(now, recipients))
            if self._far_from_spent(after, now, recipients):
                self.opens, self.together = {True: now, False: now}, TOGETHER
            else:
                self.opens = {each: self._slot(after, now, 1, urgent=each) for each in (True, False)}
                self.together = 1
                if self.opens[False] > now:
                    self.kept_until = self.opens[False]
            return slot

        taken = await self._ledger.charge(recipients, decide, self._claimant)
        if isinstance(taken, float) and taken > slot:  # there is room, and it is somebody else's turn
            self.opens = {each: max(opens, taken) for each, opens in self.opens.items()}
        return taken

    async def give_back(self, charge: Charge) -> None:
        """Nothing of the attempt reached the provider."""
        if self._ledger is not None:
            await self._ledger.give_back(charge)
            self.opens = {True: 0.0, False: 0.0}

    async def left(self) -> BudgetRemaining:
        """What the sliding windows leave room for now."""
        if self._ledger is None:
            return BudgetRemaining()
        return await self._ledger.look(self._left)

    async def course(self) -> BudgetCourse | None:
        """The narrowest window until now, over sixty of its steps; None where nothing is limited."""
        if self._ledger is None:
            return None
        return await self._ledger.look(self._course)

    def used(self, left: BudgetRemaining) -> BudgetUsed:
        """What was sent already where so much is left."""
        limits = self._limits
        return BudgetUsed(
            _used(limits.messages_per_minute, left.messages_this_minute),
            _used(limits.messages_per_day, left.messages_today),
            _used(limits.recipients_per_day, left.recipients_today),
        )

    def gone_in(self, recipients: int, left: BudgetRemaining) -> float | None:
        """Seconds until so many have left at the rate that is allowed; None where nothing limits it."""
        limits, found = self._limits, []
        if limits.messages_per_minute:
            found.append(recipients / limits.messages_per_minute * 60.0)
        for most, remains in (
            (limits.messages_per_day, left.messages_today),
            (limits.recipients_per_day, left.recipients_today),
        ):
            if most and remains is not None and (beyond := recipients - remains) > 0:
                found.append(math.ceil(beyond / most) * DAY)
        return max(found, default=None)

    def _course(self, past: ChargeHistory, now: float) -> BudgetCourse | None:
        limits = self._limits
        for most, window, step, recipients in (
            (limits.messages_per_minute, MINUTE, 30.0, False),
            (limits.messages_per_day, DAY, 900.0, False),
            (limits.recipients_per_day, DAY, 900.0, True),
        ):
            if most is not None:
                moments = [now - step * back for back in range(COURSE - 1, -1, -1)]
                points = tuple((at, _spent(past, at - window, at, recipients=recipients)) for at in moments)
                return BudgetCourse(recipients, most, window, points)
        return None

    def _left(self, past: ChargeHistory, now: float) -> BudgetRemaining:
        limits, day = self._limits, past.since(now - DAY)
        return BudgetRemaining(
            _left(limits.messages_per_minute, len(past) - since(past, now - MINUTE)),
            _left(limits.messages_per_day, len(past) - day),
            _left(limits.recipients_per_day, past.total(len(past)) - past.total(day)),
        )

    def _far_from_spent(self, past: ChargeHistory, now: float, recipients: int) -> bool:
        """Whether `TOGETHER` attempts more, for as many recipients each, may begin now."""
        narrow, all_of_them = self._narrow, TOGETHER * recipients
        return narrow is not None and next_slot(past, narrow, now=now, recipients=all_of_them) <= now

    def _slot(self, past: ChargeHistory, now: float, recipients: int, *, urgent: bool) -> float:
        limits = self._limits if urgent else self._ordinary
        return next_slot(past, limits, now=now, recipients=recipients)


class _OneMore:
    """The past with one more charge, made now."""

    def __init__(self, past: ChargeHistory, charge: Charge) -> None:
        self._past = past
        self._charge = charge
        self._count = len(past)

    def __len__(self) -> int:
        return self._count + 1

    def at(self, index: int) -> float:
        if index in (-1, self._count):
            return self._charge.at
        return self._past.at(index if index >= 0 else index + 1)

    def since(self, when: float) -> int:
        return self._past.since(when)

    def total(self, index: int) -> int:
        more = self._charge.recipients if index > self._count else 0
        return self._past.total(min(index, self._count)) + more


def next_slot(past: ChargeHistory, limits: Limits, *, now: float, recipients: int) -> float:
    """When an attempt for `recipients` may begin, in the same clock as `now`; at most `now` means at once.

    What it costs does not depend on how many charges there are.
    """
    return max(
        _window(past, limits.messages_per_minute, MINUTE, now),
        _pace(past, limits.messages_per_minute, now),
        _window(past, limits.messages_per_day, DAY, now),
        _recipients(past, limits.recipients_per_day, now, recipients),
    )


def _window(past: ChargeHistory, limit: int | None, length: float, now: float) -> float:
    """When fewer than `limit` charges will lie in the last `length` seconds."""
    if limit is None or len(past) < limit:
        return now
    return max(now, past.at(-limit) + length)


def _pace(past: ChargeHistory, limit: int | None, now: float) -> float:
    """Half of a minute's messages may go at once; from there on they are spread over the minute.

    A timer rings late, and each message begins when the one before has begun: so that this does not add up,
    a gap may be a little shorter where the last few were longer than they had to be.
    """
    if limit is None:
        return now
    at_once = max(1, limit // 2)
    if len(past) < at_once or past.at(-at_once) <= now - MINUTE:
        return now
    gap = MINUTE / limit
    slot = past.at(-1) + gap
    if len(past) >= FEW:
        slot = min(slot, max(slot - gap * CATCHING_UP, past.at(-FEW) + gap * FEW))
    return max(now, slot)


def _recipients(past: ChargeHistory, limit: int | None, now: float, wanted: int) -> float:
    """When `wanted` more recipients fit; a message too large for any day goes on an empty one."""
    if limit is None:
        return now
    used = past.total(len(past))
    too_many = used - past.total(past.since(now - DAY)) - max(0, limit - wanted)
    if too_many <= 0:
        return now
    return past.at(freed(past, used - max(0, limit - wanted))) + DAY


def ordinary(limits: Limits) -> Limits:
    """`limits` for mail that is not urgent: a share of the day is kept back."""
    return replace(
        limits,
        messages_per_day=_less(limits.messages_per_day),
        recipients_per_day=_less(limits.recipients_per_day),
    )


def _narrowed(limits: Limits) -> Limits | None:
    """What leaves room for one message where `limits` do for `TOGETHER`; None where they never do."""
    minute, day = limits.messages_per_minute, limits.messages_per_day
    minute = None if minute is None else minute - 2 * (TOGETHER - 1)  # half of it may go at once
    day = None if day is None else day - (TOGETHER - 1)
    if (minute is not None and minute < 1) or (day is not None and day < 1):
        return None
    return replace(limits, messages_per_minute=minute, messages_per_day=day)


def _spent(past: ChargeHistory, begin: float, end: float, *, recipients: bool) -> int:
    """What was charged after `begin` and until `end`."""
    first, last = since(past, begin), since(past, end)
    return past.total(last) - past.total(first) if recipients else last - first


def _used(limit: int | None, left: int | None) -> int | None:
    return None if limit is None or left is None else limit - left


def _less(limit: int | None) -> int | None:
    return None if limit is None else max(1, limit - int(limit * KEPT_FOR_URGENT))


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
