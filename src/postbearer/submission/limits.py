"""What one client may take of the relay, so that the others do not feel it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from postbearer.clock import Clock
from postbearer.engine import Client


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the submission server. Times are in seconds, rates in octets a second."""

    connections: int = 100
    connections_per_client: int = 10
    command: float = 300.0  # from one command to the next (RFC 5321 4.5.3.2.7)
    session: float = 3600.0  # one connection as a whole
    grace: float = 60.0  # content may begin slowly …
    slowest: float = 500.0  # … but not go on like that
    write: float = 60.0  # a client that does not read its replies
    tls: float = 30.0
    error_delay: float = 1.0  # before each reply to a client that makes one error after the other


class Doors:
    """Counts who is inside."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._inside: Counter[str] = Counter()

    @contextmanager
    def enter(self, peer: str) -> Iterator[str]:
        """Be inside while the block runs; yields why not, or ``""``."""
        refusal = ""
        if self._inside.total() >= self._bounds.connections:
            refusal = "Too many connections"
        elif peer and self._inside[peer] >= self._bounds.connections_per_client:
            refusal = "Too many connections from your address"
        if not refusal:
            self._inside[peer] += 1
        try:
            yield refusal
        finally:
            if not refusal:
                self._inside[peer] -= 1
                self._inside += Counter()  # forgets who has left


class Pace:
    """Messages per minute of each client, in a sliding window."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recent: dict[str, deque[float]] = {}

    def admit(self, client: Client) -> bool:
        """Count one message of `client`; False when it has had its share of this minute."""
        if client.messages_per_minute is None:
            return True
        now = self._clock.monotonic()
        recent = self._recent.setdefault(client.name, deque())
        while recent and recent[0] <= now - 60.0:
            recent.popleft()
        if len(recent) >= client.messages_per_minute:
            return False
        recent.append(now)
        return True
