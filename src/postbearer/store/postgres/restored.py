"""A queue that was restored from a dump: what the dump may lack is made anew.

`pg_dump` looks at the database as it was at one moment, and locks the tables a little later. Of a part of a
table that is emptied in between, it sees neither what was in it nor what was put elsewhere meanwhile: the
order in which deliveries wait, and counts. Both follow from deliveries, which stay while they matter.
"""

from __future__ import annotations

from typing import Any

from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.queries import queries

SQL = queries("restored", "postgres")


async def complete(pool: ConnectionPool, connection: Any) -> None:
    """Do so, once, if the tables were restored. Other nodes wait meanwhile. Raises `StoreError`."""
    await pool.begin(connection, hot=False, writes=True)
    if await connection.fetchval(SQL["is-restored"]):
        for each in ("no-hurry", "add-ready", "recount", "is-known"):
            await connection.execute(SQL[each])
    await pool.commit(connection)
