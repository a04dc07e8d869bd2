"""The numbers a node gives: to messages and deliveries before they are written, and to leases."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count

from postbearer.clock import Clock
from postbearer.store.lease import COUNT_BITS, HEARTBEAT, LEASE, Node, run_of
from postbearer.store.postgres.cursors import LaneCursors
from postbearer.store.postgres.rows import SLOT_BITS


@dataclass(slots=True)
class WriteTarget:
    """Where what is new goes, as far as this node knows; and what the spool is set to."""

    slot: int = 0
    events: bool = False
    cursors: LaneCursors = field(default_factory=LaneCursors)


class Numbers:
    """`series` is a run that nobody else ever has."""

    def __init__(self, node: Node, series: int) -> None:
        self.node = node
        self._series = series
        self._count = count(1)

    def number(self, slot: int) -> int:
        """One for a message or a delivery in `slot`, larger than those before."""
        return (self._series << COUNT_BITS | next(self._count)) << SLOT_BITS | slot

    def mark(self) -> tuple[int, int]:
        """What no other commit is marked with."""
        return self._series, next(self._count)

    def lease(self, run: int | None = None) -> int:
        """One of this run, or of the `run` that is about to begin. Raises `StoreError` for who takes none."""
        return self.node.next_lease(run)


class RenewalClock:
    """For how long something has held that is renewed now and again, without asking the database.

    It counts from when the renewal was sent. Of the two hands of the clock the faster one counts: one stands
    still while the machine sleeps, the other one may be set back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._renewed: tuple[float, float] | None = None

    def moment(self) -> tuple[float, float]:
        return self._clock.now(), self._clock.monotonic()

    def renewed(self, moment: tuple[float, float] | None) -> None:
        """It holds from `moment` on; None: it does not."""
        self._renewed = moment

    @property
    def passed(self) -> float:
        """Seconds since then."""
        if self._renewed is None:
            return math.inf
        return max(now - then for now, then in zip(self.moment(), self._renewed, strict=True))


class LeaseClock(RenewalClock):
    """How long the leases of this node hold for certain."""

    def __init__(self, node: Node, clock: Clock) -> None:
        super().__init__(clock)
        self._node = node

    @property
    def due(self) -> bool:
        """Whether the next claim, or heartbeat, is to renew them."""
        return self._node.name != "" and self.passed >= HEARTBEAT

    def holds(self, lease: int) -> bool:
        return self.passed < LEASE and run_of(lease) == self._node.run
