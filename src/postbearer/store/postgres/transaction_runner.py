"""A thread with connections of its own, for whatever thread asks the database, with a loop or without."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar, cast

import asyncpg

from postbearer.clock import SystemClock
from postbearer.secret import SecretSource
from postbearer.store.postgres import opening
from postbearer.store.postgres.connection_pool import (
    LOST,
    ConnectionPool,
    dropped_on_failure,
    leave,
    trouble,
)
from postbearer.store.postgres.url import PostgresUrl

T = TypeVar("T")
Work = Callable[[Any, float], Awaitable[T]]  # a connection within a transaction, and the database's time

CONNECTIONS = 2
TRIES = 2  # of what a lost connection undid


class TransactionRunner:
    """Transactions for whoever asks. It is opened by the first one."""

    def __init__(self, url: PostgresUrl, password: SecretSource | None = None) -> None:
        self.pool = ConnectionPool(url, password)
        self.place = url.place
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._idle: list[Any] = []
        self._free: asyncio.Semaphore | None = None
        self._opened: asyncio.Lock | None = None
        self._examined = False

    async def run(
        self,
        work: Work[T],
        *,
        synced: bool = True,
        writes: bool = True,
        then: Callable[[T], None] | None = None,
    ) -> T:
        """`work` within a transaction, and `then` behind its commit. Raises `StoreError`."""
        running = self._run(work, synced=synced, writes=writes, then=then)
        done: T = await asyncio.wrap_future(self._begin(running))
        return done

    def run_blocking(self, work: Work[T]) -> T:
        """The same for who has no loop, or may not wait in it."""
        done: T = self._begin(self._run(work, synced=True, writes=True, then=None)).result()
        return done

    def close(self) -> None:
        """End the thread; what is asked afterwards begins another one."""
        with self._guard:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(self._leave(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _begin(self, work: Coroutine[Any, Any, T]) -> Any:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._free, self._opened = asyncio.Semaphore(CONNECTIONS), asyncio.Lock()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="postbearer-accounts", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _leave(self) -> None:
        while self._idle:
            await leave(self._idle.pop())

    async def _run(self, work: Work[T], *, synced: bool, writes: bool, then: Callable[[T], None] | None) -> T:
        assert self._free is not None
        async with self._free:
            for last in range(TRIES):
                try:
                    async with self._transaction(synced=synced, writes=writes) as (connection, time):
                        done = await work(connection, time)
                except (asyncpg.PostgresError, *LOST) as error:
                    if last == TRIES - 1 or not isinstance(error, LOST):
                        raise trouble(error, self.place) from error
                else:
                    if then is not None:
                        then(done)
                    return done
        raise AssertionError("it was tried")

    @asynccontextmanager
    async def _transaction(self, *, synced: bool, writes: bool) -> AsyncIterator[tuple[Any, float]]:
        connection = await self._connection()
        with dropped_on_failure(connection):
            _, time = await self.pool.begin(connection, hot=True, writes=writes, synced=synced)
            yield connection, time
            await self.pool.commit(connection)
        self._idle.append(connection)

    async def _connection(self) -> Any:
        assert self._opened is not None
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        connection = await self.pool.connect()
        with dropped_on_failure(connection):
            async with self._opened:
                if not self._examined:
                    await opening.examine(self.pool, connection, SystemClock().now())
                    await opening.migrate(self.pool, connection, read_only=False)
                    self._examined = True
        return connection


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


@cache
def link_to(url: PostgresUrl, password: Hashable | None) -> TransactionRunner:
    """The one of this process, however often a configuration is read."""
    return TransactionRunner(url, cast("SecretSource | None", password))
