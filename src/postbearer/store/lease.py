"""Leases: which node works on a delivery, and until when.

A lease is a number: the run of the node that took it, and a count. How long it holds is said once for
all leases of a node, in the node's own row, which its heartbeat renews: a message costs nothing for that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from postbearer.errors import StoreError

LEASE = 90.0  # seconds that the leases of a node hold after its last heartbeat, on the clock of the store
HEARTBEAT = 30.0  # seconds between two heartbeats
LOCAL = "local"  # the node of a queue that has but one
COUNT_BITS = 32  # of a lease, behind the run of its node

INTERRUPTED = "interrupted: the process ended before the result was noted"


def run_of(lease: int) -> int:
    """The run that took it."""
    return lease >> COUNT_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDetails:
    """What is shown of a node: where it listens, a checksum of what it goes by, attempts under way."""

    address: str = ""
    configuration: str = ""
    busy: Callable[[], int] = lambda: 0


class Node:
    """A node as it knows itself. With an empty `name` it works on the queue and sends nothing: no leases."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.details = NodeDetails()
        self.run = 0  # a new one for each run, and after others have taken its leases
        self.renewed = -math.inf  # when that was last written, on the clock of the store
        self._next = count(1).__next__

    def next_lease(self, run: int | None = None) -> int:
        """A lease that never was, of this run or of the `run` that is begun in the same commit.

        Raises `StoreError` for who takes none.
        """
        if not self.name:
            raise StoreError("Who only looks after a queue leases nothing of it.")
        return (self.run if run is None else run) << COUNT_BITS | self._next()

    def due(self, now: float) -> bool:
        """Whether its next lease, or its heartbeat, is to renew all of them."""
        return self.name != "" and not 0 <= now - self.renewed < HEARTBEAT

    def holds(self, lease: int, now: float) -> bool:
        """Whether it is certain that nobody else has taken `lease`, which its number tells only the store."""
        return now - self.renewed < LEASE and run_of(lease) == self.run
