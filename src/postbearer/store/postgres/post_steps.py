"""The second half of an upgrade: what older nodes could not live with is done once none of them is left.

A script of ``migrations/`` only adds, so old and new nodes work side by side. What it makes superfluous, or
what has to hold from then on, stands beside it in ``NAME.post.sql``. Programs that use accounts only are in
no registry: so no step touches the tables of tokens, charges and documents.
"""

from __future__ import annotations

from typing import Any

from postbearer.store.postgres.connection_pool import AGAIN, ConnectionPool
from postbearer.store.postgres.opening import LOCK, LOCK_TIMEOUT
from postbearer.store.queries import post_steps, queries

SQL = queries("post_steps", "postgres")


async def finish(pool: ConnectionPool) -> bool:
    """Take the steps whose time has come; whether none is left. Raises `StoreError`."""
    steps = sorted(post_steps("postgres").items())
    if not steps:
        return True
    async with pool.apart() as connection:
        for number, step in steps:
            if not await _take(pool, connection, number, step):
                return False
    return True


async def _take(pool: ConnectionPool, connection: Any, number: int, step: str) -> bool:
    """Take one, each in a transaction of its own; whether it is taken."""
    await pool.begin(connection, hot=False, writes=True)
    await connection.fetchval("SELECT pg_catalog.set_config('lock_timeout', $1, true)", LOCK_TIMEOUT)
    try:
        if not await connection.fetchval(SQL["alone"], LOCK):
            await connection.execute("ROLLBACK")
            return False
        found = await connection.fetchrow(SQL["posted"])
        due = found["posted"] < number and (found["oldest"] is None or found["oldest"] >= number)
        if due:
            await connection.execute(step)
            await connection.execute(SQL["set-posted"], number)
    except AGAIN:  # somebody works on a table, and goes first
        await connection.execute("ROLLBACK")
        return False
    await pool.commit(connection)
    return due or found["posted"] >= number
