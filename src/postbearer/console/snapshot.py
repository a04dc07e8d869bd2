"""Accounts and counts as of one moment: many open pages cost as much as one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postbearer.clock import Clock
from postbearer.control import AccountStatus, QueueStatistics
from postbearer.store import Status, TrafficCount, Waiting

if TYPE_CHECKING:
    from postbearer.api import ApiServices
    from postbearer.console.services import CountingSpool

SOONEST = 2.0  # seconds between two looks, unless something was done in between
DAY = 86_400.0
_SPAN = 600  # seconds: the day is summed up of spans as long


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was seen. `day` counts what became of recipients in the last 24 hours, `hour` in the last one."""

    at: float
    accounts: Sequence[AccountStatus]
    stats: QueueStatistics
    waiting: Sequence[Waiting]  # what has not left yet, by account; nothing that is held
    room: bool  # whether the queue takes mail
    day: dict[Status, int]
    hour: dict[Status, int]

    def account(self, name: str) -> AccountStatus | None:
        return next((each for each in self.accounts if each.name == name), None)


class SnapshotCache:
    """The last look, for everybody who comes soon after it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alone = asyncio.Lock()
        self._last: Snapshot | None = None
        self._good_until = -math.inf  # monotonic

    def forget(self) -> None:
        """Something was done: who looks next sees it."""
        self._good_until = -math.inf

    async def take(self, look: Callable[[], Awaitable[Snapshot]]) -> Snapshot:
        """What was seen last, or else what `look` sees now. Raises what it raises."""
        async with self._alone:
            if self._last is None or self._clock.monotonic() >= self._good_until:
                until = self._clock.monotonic() + SOONEST
                self._good_until = until
                self._last = None
                self._last = await look()
            return self._last


def summed(spans: Sequence[TrafficCount], since: float) -> dict[Status, int]:
    """The counts of all spans from then on."""
    total: dict[Status, int] = {}
    for span in spans:
        if span.begins >= since:
            for status, count in span.counts.items():
                total[status] = total.get(status, 0) + count
    return total


async def look_around(services: ApiServices, spool: CountingSpool, now: float) -> Snapshot:
    """Look now. Raises `StoreError`."""
    operations, spans = services.operations, await spool.traffic(now - DAY, _SPAN)
    counted = await spool.statistics()
    return Snapshot(
        at=now,
        accounts=await operations.accounts.list(counted),
        stats=operations.messages.summed(counted),
        waiting=await spool.waiting(),
        room=await services.intake.has_room(0),
        day=summed(spans, now - DAY),
        hour=summed(spans, now - 3600.0),
    )
