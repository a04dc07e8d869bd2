"""Opening: the database is one that can keep the promise, and its schema is ours and of this version."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg

from postbearer.errors import SchemaMismatch, StoreError
from postbearer.store.postgres.connection_pool import AGAIN, SQL, ConnectionPool
from postbearer.store.queries import migrations

OLDEST = 13  # PostgreSQL
APPLICATION = "postbearer spool"
LOCK = 0x70625370  # of who makes or migrates a schema
LOCK_TIMEOUT = "5s"  # for which a script waits for those who work on a table
PAUSES = (0.1, 0.3, 1.0, 2.0, 4.0)  # seconds between tries to migrate
SKEW = 60.0  # seconds by which a clock may differ from the database's

_VERSION = """
CREATE TABLE version (version integer NOT NULL, application text NOT NULL);
INSERT INTO version VALUES (0, '{application}');
"""


async def examine(pool: ConnectionPool, connection: Any, now: float) -> list[str]:
    """Refuse a server that cannot keep what is promised; return what should be known about it.

    Raises `StoreError`.
    """
    place = pool.place
    major = connection.get_server_version().major  # an older one does not know what is asked below
    if major < OLDEST:
        raise StoreError(
            f"The database ({place}) is PostgreSQL {major}; {OLDEST} or later is needed.",
            hint="Upgrade it.",
            configuration=True,
        )
    await pool.begin(connection, hot=False)
    found = await connection.fetchrow(SQL["server"])
    waited_for = await connection.fetchval(SQL["standbys"]) if found["standbys"] else 0
    await pool.commit(connection)
    if found["encoding"] != "UTF8":
        raise StoreError(
            f"The database ({place}) is in {found['encoding']}.",
            hint="Make one in UTF8: createdb --encoding UTF8 --template template0 NAME",
            configuration=True,
        )
    if found["standby"]:
        raise StoreError(f"The database ({place}) is a standby, which only reads.", hint="Name its primary.")
    if not found["procedures"]:
        raise StoreError(
            f"The database ({place}) lacks the extension plpgsql: somebody took it out.",
            hint="Have its owner run there: CREATE EXTENSION plpgsql",
            configuration=True,
        )
    for name in ("fsync", "full_page_writes"):
        if found[name] != "on":
            raise StoreError(
                f"The database ({place}) runs with {name} = {found[name]}: a crash loses the queue.",
                hint=f"Set {name} = on in postgresql.conf.",
                configuration=True,
            )
    return _remarks(found, waited_for, now)


def _remarks(found: Any, waited_for: int, now: float) -> list[str]:
    remarks = []
    if not found["standbys"]:
        remarks.append("No synchronous standby: a failover of the database loses what was accepted last.")
    elif not waited_for:
        remarks.append("No synchronous standby is there: commits wait until one comes.")
    if found["autovacuum"] != "on":
        remarks.append("The database runs with autovacuum = off, so its tables only grow. Set it to on.")
    if abs(found["time"] - now) > SKEW:
        how = "behind" if found["time"] > now else "ahead of"
        remarks.append(
            f"The clock of this machine is {abs(found['time'] - now):.0f} s {how} that of the database."
        )
    return remarks


async def migrate(pool: ConnectionPool, connection: Any, *, read_only: bool) -> None:
    """Make the schema, or bring it up to this version. Raises `StoreError`, `SchemaMismatch`."""
    wanted = migrations("postgres")
    there = await standing_version(pool, connection)
    standing = -1 if there is None else there
    if standing == len(wanted):
        return
    _refuse_newer(pool, standing, len(wanted))
    if read_only:
        if standing < 0:
            hint = "Start one by: postbearer serve."
            raise StoreError(f"There is no queue ({pool.place}).", hint=hint, configuration=True)
        raise SchemaMismatch(
            f"The queue is of the older version {standing} ({pool.place}).", hint="Start the relay once."
        )
    pauses = iter(PAUSES)
    while True:
        try:
            await _bring_up(pool, connection, wanted)
        except AGAIN:  # other nodes work on the tables meanwhile, and one of two had to give way
            pause = next(pauses, None)
            if pause is None:
                raise
            await asyncio.sleep(pause)
        else:
            return


async def _bring_up(pool: ConnectionPool, connection: Any, wanted: Sequence[str]) -> None:
    """In one transaction. Raises what `AGAIN` names, if another one was in the way."""
    there = None
    try:
        await pool.begin(connection, hot=False, writes=True)
        await connection.fetchval("SELECT pg_catalog.set_config('lock_timeout', $1, true)", LOCK_TIMEOUT)
        await connection.execute(f"SELECT pg_catalog.pg_advisory_xact_lock({LOCK})")
        there = await _standing(pool, connection)  # another node may have been faster
        standing = 0 if there is None else there
        _refuse_newer(pool, standing, len(wanted))
        if there is None:
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{pool.url.schema}"')
            await connection.execute(_VERSION.format(application=APPLICATION))
        for number, script in enumerate(wanted[standing:], standing + 1):
            await connection.execute(script)
            await connection.execute(SQL["set-version"], number)
        await pool.commit(connection)
    except (asyncpg.PostgresError, StoreError) as error:
        await connection.execute("ROLLBACK")
        if isinstance(error, asyncpg.DuplicateTableError | asyncpg.DuplicateObjectError) and there is None:
            raise _strangers(pool) from error
        raise


def _refuse_newer(pool: ConnectionPool, standing: int, known: int) -> None:
    if standing > known:
        raise SchemaMismatch(
            f"The queue ({pool.place}) is of version {standing}; this postbearer knows {known}.",
            hint="Install the newer postbearer on this node, too.",
        )


async def standing_version(pool: ConnectionPool, connection: Any) -> int | None:
    """The version of the schema that is there; None if there is none.

    Raises `StoreError` for a stranger's.
    """
    await pool.begin(connection, hot=False)
    try:
        return await _standing(pool, connection)
    finally:
        await connection.execute("ROLLBACK")


async def _standing(pool: ConnectionPool, connection: Any) -> int | None:
    if not await connection.fetchval(SQL["has-version"], f"{pool.url.schema}.version"):
        return None
    try:
        row = await connection.fetchrow(SQL["version"])
    except asyncpg.UndefinedColumnError:
        row = None
    if row is None or row["application"] != APPLICATION:
        raise _strangers(pool)
    return int(row["version"])


def _strangers(pool: ConnectionPool) -> StoreError:
    return StoreError(
        f"The schema {pool.url.schema} is another program's ({pool.place}).",
        hint="Name one of our own: postgresql://…?schema=postbearer",
        configuration=True,
    )
