"""The pool at work: messages wait in line for its connections, and spent ones are closed."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Hashable

from postbearer.clock import Clock
from postbearer.events import Observer
from postbearer.tasks import Tasks
from postbearer.transport.pool import Decision, Pool, Pooled, PoolLimits
from postbearer.transport.session import ClientSession


class Connections:
    """The sessions of one account. Whoever takes one gives it back by `release` or `discard`."""

    def __init__(self, limits: PoolLimits, clock: Clock, observer: Observer) -> None:
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._pool: Pool[ClientSession] = Pool(limits)
        self._waiting: deque[asyncio.Future[Decision[ClientSession]]] = deque()
        self._closing = Tasks(clock, observer)
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = 0.0  # when it is due, on the clock
        self._home: Hashable = None

    async def take(self) -> Pooled[ClientSession] | None:
        """A warm connection, or None: then there is room to open one, and `opened` or `failed` follows.

        First come, first served.
        """
        self._settle_in()
        if not self._waiting:
            decision = self._request()
            if decision.use is not None or decision.open:
                return decision.use
        turn: asyncio.Future[Decision[ClientSession]] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return (await turn).use
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(turn.result())
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def opened(
        self, session: ClientSession, rank: int, token_obtained: float | None
    ) -> Pooled[ClientSession]:
        """The place that `take` reserved is taken by a new connection."""
        retire_at = self._limits.retire_at(self._clock.monotonic(), rank, token_obtained)
        entry = Pooled(session, retire_at)
        self._pool.opened(entry)
        return entry

    def failed(self) -> None:
        """The place that `take` reserved is free again."""
        self._pool.failed()
        self._serve()

    def release(self, entry: Pooled[ClientSession]) -> None:
        """`entry` has done its work; it is kept while that makes sense."""
        if not entry.connection.usable:
            self._pool.discard(entry)
            self._close(entry)
        elif not self._pool.release(entry, self._clock.monotonic()):
            self._close(entry)
        if self._waiting:
            self._serve()
        if self._timer is None or entry.retire_at < self._wake_at:
            self._wind()

    def swap(self, entry: Pooled[ClientSession]) -> None:
        """Close `entry` and keep its place for another connection: `opened` or `failed` follows."""
        self._pool.exchange(entry)
        self._close(entry)

    async def close(self) -> None:
        """Close what is idle, and wait until everything that was to be closed is.

        Who is cancelled while waiting leaves; the closing goes on.
        """
        self._settle_in()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for entry in self._pool.drain(self._home):
            self._close(entry)
        await self._closing.wait()

    def _settle_in(self) -> None:
        """After a fork, or in another event loop, nothing of before is ours (see `Pool`)."""
        home = (os.getpid(), asyncio.get_running_loop())
        if home != self._home:
            self._home = home
            self._waiting.clear()
            self._closing = Tasks(self._clock, self._observer)
            self._timer = None

    def _request(self) -> Decision[ClientSession]:
        while True:
            decision = self._pool.request(self._clock.monotonic(), self._home)
            for entry in decision.close:
                self._close(entry)
            if decision.use is None or decision.use.connection.usable:
                return decision
            self._pool.discard(decision.use)  # the server hung up meanwhile
            self._close(decision.use)

    def _serve(self) -> None:
        """Let those in line have what is free."""
        while self._waiting:
            if self._waiting[0].done():  # cancelled
                self._waiting.popleft()
                continue
            decision = self._request()
            if decision.use is None and not decision.open:
                return
            self._waiting.popleft().set_result(decision)

    def _give_back(self, decision: Decision[ClientSession]) -> None:
        if decision.use is not None:
            self.release(decision.use)
        else:
            self.failed()

    def _close(self, entry: Pooled[ClientSession]) -> None:
        self._closing.start(entry.connection.close(), "close a connection")

    def _wind(self) -> None:
        """Wake up when the next idle connection is due; the decision is still the pool's."""
        expiry = self._pool.next_expiry()
        if expiry is None or (self._timer is not None and self._wake_at <= expiry):
            return  # a connection in use only gets later; whoever wakes up early looks again
        if self._timer is not None:
            self._timer.cancel()
        delay = max(expiry - self._clock.monotonic(), 0.0) + 0.01
        self._timer, self._wake_at = asyncio.get_running_loop().call_later(delay, self._sweep), expiry

    def _sweep(self) -> None:
        self._timer = None
        for entry in self._pool.sweep(self._clock.monotonic()):
            self._close(entry)
        self._wind()
