"""Room that comes back: parts of the tables whose rows do not count any more are emptied as a whole.

Each step is a transaction of its own, on a connection of its own. It takes the lock it needs if it can be had
at once, looks again what is there once it has it, and else leaves the part as it is until the next time. So a
node that still writes where another one does not any more loses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from postbearer.store.postgres import tally
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.nodes import NODES
from postbearer.store.postgres.reads import store_clock
from postbearer.store.queries import queries

SQL = queries("upkeep", "postgres")

SLOTS: Final = 8
RINGS: Final = 4
RING_FULL: Final = 256 * 1024  # octets of a part of `ready` after which the next one is begun
SLOT_AGE: Final = 3 * 3600.0  # seconds
SLOT_FULL: Final = 256 * 1024 * 1024  # octets of deliveries
SAMPLE: Final = 64 * 1024  # octets of a part that are looked at, to know how much of it counts
MOSTLY: Final = 4  # a part is worth emptying when at most one row in so many counts
AT_ONCE: Final = 1000  # rows that are moved, and messages that are removed, in one transaction


async def upkeep(pool: ConnectionPool, *, retire: bool) -> None:
    """Begin new parts where it is time, and empty what is over. `retire`: also slots. Raises `StoreError`."""
    async with pool.apart() as connection:
        await _turn_ring(pool, connection)
        await _add_up(pool, connection)
        if retire:
            await _empty_slots(pool, connection)
            await _turn_slot(pool, connection)


@asynccontextmanager
async def _alone(pool: ConnectionPool, connection: Any) -> AsyncIterator[Any | None]:
    """A transaction, and what `sizes` tells; None where another node is at it."""
    await pool.begin(connection, hot=True, writes=True)
    try:
        alone = await connection.fetchval(SQL["alone"])
        await connection.execute(SQL["patience"])
        yield await connection.fetchrow(SQL["sizes"]) if alone else None
    except BaseException:  # also when who waits goes away
        await connection.execute("ROLLBACK")
        raise
    await pool.commit(connection)


def _table(pool: ConnectionPool, name: str, part: int) -> str:
    return f"{pool.url.schema}.{name}_{part}"


async def _turn_ring(pool: ConnectionPool, connection: Any) -> None:
    """Have new rows of `ready` go to another part, once what counts in that waits behind the others."""
    try:
        part = await _next_ring(pool, connection)
        if part is None:
            return
        last: Sequence[Any] | None = ("", -1, "", float("-inf"), 0)
        while last is not None:
            last = await _requeue(pool, connection, part, last)
        async with _alone(pool, connection) as now:
            if now is None or now["ring"] == part:
                return
            await connection.execute(SQL["lock-ready"].replace("PART", str(part)))
            await connection.execute(SQL["empty-ready"].replace("PART", str(part)))
            await connection.execute(NODES["set"], "ring", float(part))
            await connection.execute(NODES["set"], "ring_since", 0.0)
    except asyncpg.LockNotAvailableError:
        return


async def _next_ring(pool: ConnectionPool, connection: Any) -> int | None:
    """The part to go on in, when that in use is full: one into which nobody puts anything any more."""
    async with _alone(pool, connection) as now:
        if now is None:
            return None
        if (
            not 0.0 < now["ring_since"] <= now["time"]
        ):  # everybody who begins from now on sees which one is in use
            await connection.execute(NODES["set"], "ring_since", now["time"])
            return None
        if await connection.fetchval(SQL["size"], _table(pool, "ready", now["ring"])) < RING_FULL:
            return None
        if (await store_clock(connection)).settled <= now["ring_since"]:
            return None
        for step in range(1, RINGS):
            part = (int(now["ring"]) + step) % RINGS
            size = await connection.fetchval(SQL["size"], _table(pool, "ready", part))
            share = min(100.0, 100.0 * SAMPLE / max(size, 1))
            found = await connection.fetchrow(SQL["sample-ready"].replace("PART", str(part)), share)
            if found["live"] * MOSTLY <= found["rows"]:
                return part
    return None


async def _requeue(pool: ConnectionPool, connection: Any, part: int, last: Sequence[Any]) -> Any | None:
    """Have what counts of some rows behind `last` wait in the part that is in use; the last of them."""
    async with _alone(pool, connection) as now:
        if now is None or now["ring"] == part:
            raise asyncpg.LockNotAvailableError
        return await connection.fetchrow(SQL["requeue"].replace("PART", str(part)), *last, AT_ONCE)


async def _add_up(pool: ConnectionPool, connection: Any) -> None:
    try:
        async with _alone(pool, connection) as now:
            if now is not None:
                await tally.add_up(connection)
    except asyncpg.LockNotAvailableError:
        return


async def _empty_slots(pool: ConnectionPool, connection: Any) -> None:
    for slot in range(SLOTS):
        try:
            async with _alone(pool, connection) as now:
                if now is None or slot == now["slot"]:
                    continue
                if await connection.fetchval(SQL["is-empty"], slot):
                    continue
                if await _is_retired(connection, slot, now["retired"]):
                    await connection.execute(SQL["lock-slot"].replace("PART", str(slot)))
                    # What a node has put there since, which did not know better, counts: nobody looks for it.
                    if not await tally.in_slot(connection, slot):
                        await connection.execute(SQL["empty-slot"].replace("PART", str(slot)))
                        continue
            await _drop_retired(pool, connection, slot)
        except asyncpg.LockNotAvailableError:
            continue


async def _is_retired(connection: Any, slot: int, retired: float) -> bool:
    """Whether nothing in it matters any more. However long it takes to look, nobody waits for that."""
    if await tally.in_slot(connection, slot):
        return False
    return bool(await connection.fetchval(SQL["is-retired"], slot, retired))


async def _drop_retired(pool: ConnectionPool, connection: Any, slot: int) -> None:
    """Remove what is retired in a slot that something else keeps from being emptied, in small steps."""
    last: int | None = -1
    while last is not None:
        async with _alone(pool, connection) as now:
            if now is None or slot == now["slot"]:
                return
            query = SQL["drop-retired"].replace("PART", str(slot))
            last = await connection.fetchval(query, now["retired"], AT_ONCE, last)


async def _turn_slot(pool: ConnectionPool, connection: Any) -> None:
    """Have new messages go to an empty slot, if there is one, when the one in use is old or large."""
    async with _alone(pool, connection) as now:
        if now is None or await connection.fetchval(SQL["is-empty"], now["slot"]):
            return
        size = await connection.fetchval(SQL["size"], _table(pool, "delivery", now["slot"]))
        if now["time"] - now["slot_since"] < SLOT_AGE and size < SLOT_FULL:
            return
        for step in range(1, SLOTS):
            slot = (now["slot"] + step) % SLOTS
            if await connection.fetchval(SQL["is-empty"], slot):
                await connection.execute(NODES["set"], "slot", float(slot))
                await connection.execute(NODES["set"], "slot_since", now["time"])
                return
