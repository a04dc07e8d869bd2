"""What a person wants to know of a database: that it can keep the promise, and how it fares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from postbearer.clock import Clock
from postbearer.secret import SecretSource
from postbearer.store.postgres import opening
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.listening import NotificationListener
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.queries import migrations, queries

SQL = queries("inspection", "postgres")

OLD_SNAPSHOT = 300.0  # seconds after which a transaction keeps too much room from coming back
HEARD = 3.0  # seconds in which a notification arrives
MANY_ROWS = 100_000  # of which, if they are dead and more than those alive, autovacuum is behind


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseInfo:
    """Sizes are in octets, times in seconds. `version` is None where there is no queue yet."""

    place: str
    server: str  # the version of PostgreSQL, and its encoding
    role: str
    encrypted: bool  # the connection
    standbys: str  # synchronous_standby_names
    synchronous: int  # of these are there
    synchronous_commit: str  # as the role, the database or the server has it: the relay sets its own
    autovacuum: str
    version: int | None
    wanted: int  # the version that this postbearer makes
    nodes: int
    size: int  # of the queue
    database_size: int
    live_rows: int
    dead_rows: int
    vacuumed: float | None  # since a table of the queue was last looked after
    snapshot: float  # age of the oldest one that somebody holds
    remarks: tuple[str, ...]


async def inspect_database(url: PostgresUrl, clock: Clock, password: SecretSource | None) -> DatabaseInfo:
    """What is known of the database at `url`; nothing is written in it. Raises `StoreError`."""
    pool = ConnectionPool(url, password)
    async with pool.apart() as connection:
        remarks = await opening.examine(pool, connection, clock.now())
        version = await opening.standing_version(pool, connection)
        await pool.begin(connection, hot=False)
        found = dict(await connection.fetchrow(SQL["database"], url.schema))
        may_create = found.pop("may_create")
        nodes = await connection.fetchval(SQL["nodes"]) if version is not None else 0
        await pool.commit(connection)
    if version is None and not may_create:
        remarks.append(f"The role {found['role']} may make no schema there: GRANT CREATE ON DATABASE.")
    remarks += _remarks(found)
    remarks += await unwoken(pool, password)
    wanted = len(migrations("postgres"))
    return DatabaseInfo(
        place=pool.place, version=version, wanted=wanted, nodes=nodes, remarks=tuple(remarks), **found
    )


async def unwoken(pool: ConnectionPool, password: SecretSource | None) -> list[str]:
    """What keeps relays from being woken: tried, as another database would take the connection as well."""
    channel = f"{pool.url.schema}.check"
    wake = ConnectionPool(pool.url.wake, password) if pool.url.wake else None
    listener = NotificationListener(pool, channel, wake)
    try:
        remarks = await listener.remarks()
        if wake is None or remarks:
            return remarks
        await listener.wait(0, 0)  # which looks once, whatever came
        await pool.ask(f"SELECT pg_catalog.pg_notify('{channel}', '')")
        if await listener.wait(HEARD, HEARD):
            return []
        return [f"wake-url leads to another database than relay.spool does ({wake.place}): nobody is woken."]
    finally:
        await listener.close()
        await pool.close()


def _remarks(found: dict[str, Any]) -> Iterator[str]:
    if found["snapshot"] > OLD_SNAPSHOT:
        yield (
            f"A transaction is open for {found['snapshot']:.0f} s, and keeps room from coming back: see "
            "pg_stat_activity, pg_prepared_xacts and pg_replication_slots."
        )
    if found["dead_rows"] > max(MANY_ROWS, found["live_rows"]):
        yield f"Autovacuum does not keep up: {found['dead_rows']} rows of the queue's tables are dead."
