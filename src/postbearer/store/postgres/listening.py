"""Being woken by the database, where the server itself answers: behind a pooler nobody can listen.

There another URL may lead to the server, which serves for nothing but this.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg

from postbearer.errors import StoreError
from postbearer.store.postgres.connection_pool import LOST, ConnectionPool, dropped_on_failure, leave, trouble

POLL = 0.9  # seconds between looks whether other nodes changed something, where nobody wakes us …
LISTENED = 5.0  # … and where somebody does
LOOK = 0.2  # seconds between two looks, however often we are woken
WAKE_TIME = 3.0  # seconds for a connection by a way of its own …
WAKE_AGAIN = 30.0  # … which is tried again, if it failed, after so many
NOTIFY = 0.05  # seconds between two times that we wake others …
FAILED = 1.0  # … and where that failed
COUNT = "SELECT pg_catalog.nextval('{channel}')"
WAKE = "SELECT pg_catalog.pg_notify('{channel}', '')"


class NotificationListener:
    """Hears when others notify `channel`; what they did is to be looked for. `wake` is the way to listen.

    A sequence of that name counts how often, for those whom nobody can wake.
    """

    def __init__(self, pool: ConnectionPool, channel: str, wake: ConnectionPool | None = None) -> None:
        self._pool = pool
        self._wake = wake
        self._wake_at = -math.inf  # when that is tried again, monotonic
        self._trouble = ""  # with it
        self._channel = channel
        self._rings = asyncio.Event()
        self._opening = asyncio.Lock()
        self.connection: Any = None

    async def wait(self, poll: float, listened: float) -> bool:
        """Until somebody notifies, or seconds have passed: `listened` where we are woken, else `poll`.

        Whether somebody did.
        """
        listens = await self._listens()
        try:
            async with asyncio.timeout(listened if listens else poll):
                await self._rings.wait()
        except TimeoutError:
            return False
        self._rings.clear()
        return True

    async def notify(self) -> int | None:
        """Wake the others; the number of this change, None if that failed.

        It is a transaction of its own: those with a notification commit one by one.
        """
        with suppress(asyncpg.PostgresError, StoreError, *LOST):
            number = int(await self._pool.ask(COUNT.replace("{channel}", self._channel)))
            ask = self.connection.fetchval if await self._listens() else self._pool.ask
            await ask(WAKE.replace("{channel}", self._channel))
            return number
        return None

    async def remarks(self) -> list[str]:
        """What to say of how relays are woken, before anybody waits."""
        if self._wake is None:
            if self._pool.direct:
                return []
            return [
                "A pooler stands before the database, so relays look for changes instead of being woken: "
                "wake-url in [relay] can name the server itself."
            ]
        if await self._listens():
            return []
        return [f"Relays look for changes, as wake-url does not serve to wake them: {self._trouble}"]

    async def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            await leave(connection)

    async def _listens(self) -> bool:
        """Whether we are woken; where the connection for that was lost, by another one."""
        async with self._opening:
            if self.connection is None or self.connection.is_closed():
                self.connection = await self._open()
        return self.connection is not None

    async def _open(self) -> Any:
        if self._wake is not None:
            return await self._open_at(self._wake)
        if self._pool.direct is False:
            return None
        with suppress(asyncpg.PostgresError, StoreError, *LOST):
            return await self._listening(self._pool)
        return None

    async def _open_at(self, wake: ConnectionPool) -> Any:
        """By the way that serves for this alone, now and again, and without letting the others wait."""
        now = asyncio.get_running_loop().time()
        if now < self._wake_at:
            return None
        self._wake_at = now + WAKE_AGAIN
        try:
            async with asyncio.timeout(WAKE_TIME):
                connection = await self._listening(wake)
        except (asyncpg.PostgresError, StoreError, *LOST) as error:
            self._trouble = str(trouble(error, wake.place))
            return None
        if connection is None:
            self._trouble = f"there is a pooler, too ({wake.place})."
        return connection

    async def _listening(self, pool: ConnectionPool) -> Any:
        """A connection on which we are woken; None behind a pooler."""
        connection = await pool.connect()
        with dropped_on_failure(connection):
            if pool.direct:
                await connection.add_listener(self._channel, self._on)
                self._rings.set()  # what came before is looked for
                return connection
        await leave(connection)
        return None

    def _on(self, connection: Any, process: int, *_: object) -> None:
        if process != connection.get_server_pid():
            self._rings.set()


async def look_around(listener: NotificationListener, look: Callable[[], Awaitable[None]]) -> None:
    """Have `look` find what other nodes did: at once where the database wakes us, else soon."""
    while True:
        await listener.wait(POLL, LISTENED)
        with suppress(StoreError):
            await look()
        await asyncio.sleep(LOOK)


async def wake_others(
    listener: NotificationListener, stirred: asyncio.Event, woke: Callable[[int], object]
) -> None:
    """Notify behind commits that others should look at, by a connection that commits nothing else.

    `woke` is told the number of each change.
    """
    while True:
        await stirred.wait()
        stirred.clear()
        try:
            number = await listener.notify()
        except asyncio.CancelledError:  # whoever closes does it
            stirred.set()
            raise
        if number is None:
            stirred.set()
        else:
            woke(number)
        await asyncio.sleep(NOTIFY if number is not None else FAILED)
