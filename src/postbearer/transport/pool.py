"""Which connection to use, open or close: decisions only, no I/O and no clock.

A connection is *busy* with one message or *idle*. It is never used past `retire_at`, which is the
earliest of its greatest age, the cap on the lifetime of the token it was opened with, and, for a server
that is not the first of the list, five minutes, so that the first one is soon tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

CONNECTIONS = 2  # of an account, unless it or its provider says another number
LOWER_SERVER_AGE = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How many connections an account holds, and for how long; times in seconds."""

    connections: int = CONNECTIONS
    idle: float = 30.0
    age: float = 600.0
    lower_server_age: float = LOWER_SERVER_AGE
    token_lifetime: float | None = None  # no connection outlives its token's cap
    fresh: float = 5.0  # idle for longer: the server may have hung up, so send no content untested

    def retire_at(self, opened: float, rank: int = 0, token_obtained: float | None = None) -> float:
        """When a connection must go: `rank` is its server's place in the list."""
        ends = [opened + self.age]
        if rank:
            ends.append(opened + self.lower_server_age)
        if self.token_lifetime is not None and token_obtained is not None:
            ends.append(token_obtained + self.token_lifetime)
        return min(ends)


@dataclass(slots=True, eq=False)
class Pooled(Generic[T]):
    """One connection and what the pool knows of it. `idle_since` is None while it is busy."""

    connection: T
    retire_at: float
    idle_since: float | None = None

    def spent(self, now: float, limits: PoolLimits) -> bool:
        """True when it must not carry another message."""
        return now >= self.retire_at or (self.idle_since is not None and now - self.idle_since >= limits.idle)


class Decision(NamedTuple, Generic[T]):
    """Use a connection, or open one, or neither: then wait. In each case close those of `close`."""

    use: Pooled[T] | None = None
    open: bool = False
    close: tuple[Pooled[T], ...] = ()


class Pool(Generic[T]):
    """The connections of one account. Every method is instant; `home` is the process they belong to."""

    def __init__(self, limits: PoolLimits, home: Hashable = None) -> None:
        self._limits = limits
        self._home = home
        self._idle: list[Pooled[T]] = []  # the one used last is last
        self._busy: set[Pooled[T]] = set()
        self._opening = 0

    @property
    def size(self) -> int:
        return len(self._idle) + len(self._busy) + self._opening

    @property
    def idle(self) -> tuple[Pooled[T], ...]:
        return tuple(self._idle)

    @property
    def busy(self) -> tuple[Pooled[T], ...]:
        return tuple(self._busy)

    def idle_for(self, seconds: float, now: float) -> int:
        """How many are idle for so long."""
        return sum(now - (entry.idle_since or now) >= seconds for entry in self._idle)

    def spare(self, most: int) -> tuple[Pooled[T], ...]:
        """Take out up to `most` idle connections, those used longest ago; the caller closes them."""
        spared, self._idle = tuple(self._idle[:most]), self._idle[most:]
        return spared

    def request(
        self, now: float, home: Hashable = None, may_open: Callable[[], bool] = lambda: True
    ) -> Decision[T]:
        """What to do for one message. ``open`` reserves a place: `opened` or `failed` must follow.

        `may_open` says, right before, whether others leave room for it.
        """
        if home != self._home:
            self._settle(home)
        close = self.sweep(now)
        if self._idle:
            entry = self._idle.pop()
            entry.idle_since = None
            self._busy.add(entry)
            return Decision(use=entry, close=close)
        if self.size < self._limits.connections and may_open():
            self._opening += 1
            return Decision(open=True, close=close)
        return Decision(close=close)

    def opened(self, entry: Pooled[T]) -> None:
        """The reserved place is taken by `entry`, busy."""
        self._opening = max(0, self._opening - 1)
        self._busy.add(entry)

    def failed(self) -> None:
        """The reserved place is free again."""
        self._opening = max(0, self._opening - 1)

    def exchange(self, entry: Pooled[T]) -> None:
        """`entry` is given up, and its place is reserved for another connection."""
        self._busy.discard(entry)
        self._opening += 1

    def release(self, entry: Pooled[T], now: float) -> bool:
        """`entry` did its work. True: it is kept; False: close it."""
        if entry not in self._busy:
            return False  # from before a fork
        self._busy.discard(entry)
        if entry.spent(now, self._limits):
            return False
        entry.idle_since = now
        self._idle.append(entry)
        return True

    def discard(self, entry: Pooled[T]) -> None:
        """`entry` is broken or was closed by the peer."""
        self._busy.discard(entry)
        if entry in self._idle:
            self._idle.remove(entry)

    def sweep(self, now: float) -> tuple[Pooled[T], ...]:
        """Take out the idle connections that are spent; the caller closes them."""
        spent = tuple([entry for entry in self._idle if entry.spent(now, self._limits)])
        if spent:
            self._idle = [entry for entry in self._idle if entry not in spent]
        return spent

    def drain(self, home: Hashable = None) -> tuple[Pooled[T], ...]:
        """Take out all idle connections; the caller closes them."""
        if home != self._home:
            self._settle(home)
        idle, self._idle = tuple(self._idle), []
        return idle

    def _settle(self, home: Hashable) -> None:
        """Another home drops everything.

        After a fork the connections are the parent's, and even closing them politely would speak on its
        sockets; in another event loop nobody can wait for them.
        """
        self._home = home
        self._idle, self._busy, self._opening = [], set(), 0

    def next_expiry(self) -> float | None:
        """When the first idle connection is spent; None without idle ones."""
        idle = self._limits.idle
        return min([min(e.retire_at, (e.idle_since or 0.0) + idle) for e in self._idle], default=None)
