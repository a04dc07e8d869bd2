"""The pool at work: messages wait in line for its connections, and spent ones are closed."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Hashable
from contextlib import suppress

from postbearer.clock import Clock
from postbearer.errors import StoreError
from postbearer.events import Observer
from postbearer.state import ConnectionShare
from postbearer.tasks import Tasks
from postbearer.transport.pool import Decision, Pool, Pooled, PoolLimits
from postbearer.transport.session import ClientSession

LOOK = 0.5  # seconds between looks at the share, while anything is open or waits
FRESH = 5.0  # seconds: what is idle for longer is others', if they wait
FAREWELL = 10.0  # seconds to say QUIT in, where others wait for the place


class Connections:
    """The sessions of one account. Whoever takes one gives it back by `release` or `swap`.

    With a `share`, they are so many at most as that has, and a place is free once its connection is closed.
    """

    def __init__(
        self, limits: PoolLimits, clock: Clock, observer: Observer, share: ConnectionShare | None = None
    ) -> None:
        self._limits = limits
        self._share = share
        self._ticker: asyncio.TimerHandle | None = None
        self._looking = False
        self._cut: set[Pooled[ClientSession]] = set()  # while in use, as their share ended
        self._leaving: set[asyncio.Task[None]] = set()  # that are being closed, and still have their places
        self._clock = clock
        self._observer = observer
        self._pool: Pool[ClientSession] = Pool(limits)
        self._waiting: deque[asyncio.Future[Decision[ClientSession]]] = deque()
        self._closing = Tasks(clock, observer)
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = 0.0  # when it is due, on the clock
        self._home: Hashable = None
        if share is not None:
            share.watch(self._keep_looking)

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
        if self._share is not None and self._share.held < self._limits.connections:
            self._look_soon()
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
        if self._share is not None:
            self._share.free()
        self._serve()

    def release(self, entry: Pooled[ClientSession]) -> None:
        """`entry` has done its work; it is kept while that makes sense."""
        if entry in self._cut:
            self._cut.discard(entry)
            return
        if not entry.connection.usable or (self._share is not None and self._over(self._share)):
            self._pool.discard(entry)
            self._close(entry)
        elif not self._pool.release(entry, self._clock.monotonic()):
            self._close(entry)
        if self._waiting:
            self._serve()
        if self._timer is None or entry.retire_at < self._wake_at:
            self._wind()

    def swap(self, entry: Pooled[ClientSession]) -> bool:
        """Close `entry` and keep its place for another connection: `opened` or `failed` follows.

        False: it has none any more.
        """
        if entry in self._cut:
            self._cut.discard(entry)
            return False
        self._pool.exchange(entry)
        closing = self._closing.start(entry.connection.close(), "close a connection")
        if self._share is not None:
            self._leave(closing)
        return True

    async def room(self) -> None:
        """Until what was swapped is closed, where others count it."""
        if self._leaving:
            await asyncio.wait(tuple(self._leaving))

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
        if self._share is not None:
            with suppress(StoreError):  # then it ends by itself
                await self._share.ask(self._pool.size)
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def _settle_in(self) -> None:
        """After a fork, or in another event loop, nothing of before is ours (see `Pool`)."""
        home = (os.getpid(), asyncio.get_running_loop())
        if self._home is None:
            self._home = home
        elif home != self._home:
            self._home = home
            self._waiting.clear()
            self._closing = Tasks(self._clock, self._observer)
            self._timer = self._ticker = None
            self._looking = False
            self._cut.clear()
            self._leaving.clear()
            if self._share is not None:
                self._share.forget()

    def _request(self) -> Decision[ClientSession]:
        while True:
            if self._share is None:
                decision = self._pool.request(self._clock.monotonic(), self._home)
            else:
                decision = self._pool.request(self._clock.monotonic(), self._home, self._share.take)
                self._keep_looking()
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
        if self._share is None:
            self._closing.start(entry.connection.close(), "close a connection")
        else:
            self._leave(self._closing.start(self._left(entry, self._share), "close a connection"))

    def _leave(self, closing: asyncio.Task[None]) -> None:
        self._leaving.add(closing)
        closing.add_done_callback(self._leaving.discard)

    async def _left(self, entry: Pooled[ClientSession], share: ConnectionShare) -> None:
        """Close it, and then only let its place go."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await entry.connection.close()
        finally:
            share.free()
        self._serve()

    # What others may have of them ------------------------------------------------------------

    def _over(self, share: ConnectionShare) -> int:
        return max(0, share.over - len(self._leaving))

    def _keep_looking(self) -> None:
        self._settle_in()
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().call_later(LOOK, self._look_soon)

    def _look_soon(self) -> None:
        """Close what is not ours any more, and ask for what is wanted."""
        share = self._share
        assert share is not None
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        if self._pool.size and not share.held:  # others may have them by now
            idle = self._pool.drain(self._home)
            self._cut.update(self._pool.busy)
            for entry in (*idle, *self._pool.busy):
                entry.connection.spoil()
                self._pool.discard(entry)
                self._close(entry)
        for entry in self._pool.spare(self._over(share)):
            self._close(entry)
        if not self._looking:
            self._looking = True
            self._closing.start(self._look(share), "share of connections")
        if self._pool.size:  # what is ours ends, whether the database answers or not
            self._keep_looking()

    async def _look(self, share: ConnectionShare) -> None:
        idle = self._pool.idle_for(FRESH, self._clock.monotonic())
        try:
            await share.look(self._pool.size + len(self._waiting) - idle)
        except StoreError as error:
            for turn in self._waiting:
                if not turn.done():
                    turn.set_exception(error)
            self._waiting.clear()
        finally:
            self._looking = False
        self._serve()
        if self._waiting or self._pool.size or share.held:
            self._keep_looking()

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
