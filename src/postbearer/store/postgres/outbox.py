"""The outbox: what programs handed over within transactions of their own, taken from there by one relay each.

Its rows are locked while they are brought into the queue, and removed once they stand there. Whoever dies in
between leaves them to others, and the queue knows them by their keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from postbearer.secret import SecretSource
from postbearer.store.outbox import OutboxRow, Taken
from postbearer.store.postgres.connection_pool import ConnectionPool, dropped_on_failure, leave
from postbearer.store.postgres.listening import NotificationListener
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.queries import queries

SQL = queries("outbox", "postgres")

PEEK = "SELECT EXISTS (SELECT 1 FROM {schema}.outbox)"
POLL = 1.0  # seconds between looks where nobody wakes us …
LISTENED = 5.0  # … and where somebody does
LARGEST = 32 * 1024 * 1024  # octets of content that are taken at once, but for a single message that has more


class PostgresOutbox:
    """The `Outbox` beside the spool at `url`."""

    def __init__(self, url: PostgresUrl, password: SecretSource | None = None) -> None:
        self._pool = ConnectionPool(url, password)
        self._schema = url.schema
        self._connection: Any = None
        self.listener = NotificationListener(self._pool, f"{url.schema}.outbox")

    @asynccontextmanager
    async def taken(self, most: int, but: Collection[str], roles: Collection[str]) -> AsyncIterator[Taken]:
        async with self._connected() as connection:
            _, time = await self._pool.begin(connection, hot=True, writes=True)
            taken = Taken(await _rows(connection, most, but, roles))
            yield taken
            if taken.done:
                await connection.execute(SQL["taken"], taken.done)
            for each, why in taken.refused.items():
                await connection.execute(SQL["refuse"], each, time, why)
            await self._pool.commit(connection)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        with self._pool.translated():
            connection, self._connection = self._connection, None
            if connection is None or connection.is_closed():
                connection = await self._pool.connect()
            with dropped_on_failure(connection):
                yield connection
            self._connection = connection

    async def stay_awake(self, seconds: float) -> None:
        async with self._short() as (connection, time):
            await connection.execute(SQL["awake"], int((time + seconds) * 1000))

    async def forget(self, age: float) -> None:
        async with self._short() as (connection, time):
            await connection.execute(SQL["forget"], time - age)

    async def wait(self) -> bool:
        return await self.listener.wait(POLL, LISTENED)

    async def is_empty(self) -> bool:
        async with self._connected() as connection:
            return not await connection.fetchval(PEEK.format(schema=self._schema))

    @asynccontextmanager
    async def _short(self) -> AsyncIterator[tuple[Any, float]]:
        """A transaction for what may be lost in a crash."""
        async with self._connected() as connection:
            _, time = await self._pool.begin(connection, hot=True, writes=True, synced=False)
            yield connection, time
            await self._pool.commit(connection)

    async def close(self) -> None:
        await self.listener.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            await leave(connection)


async def _rows(
    connection: Any, most: int, but: Collection[str], roles: Collection[str]
) -> Sequence[OutboxRow]:
    rows: list[OutboxRow] = []
    size = 0
    for row in await connection.fetch(SQL["take"], list(but), list(roles), most):
        size += row["size"]
        if rows and size > LARGEST:
            break
        content = await connection.fetchval(SQL["content"], row["id"]) if row["size"] else None
        rows.append(
            OutboxRow(
                id=row["id"],
                role=row["role"],
                request=row["request"],
                parts=row["parts"],
                content=None if content is None else bytes(content),
            )
        )
    return rows
