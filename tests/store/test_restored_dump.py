"""A dump that was made while a part of the queue was emptied: once restored, what it lacks is there again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from postbearer.store import Status
from postbearer.store.postgres import upkeep
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql
from support.counting import counts_are_right
from support.spooling import accept, claim, ending, postgresql

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "RING_FULL", 0)
    monkeypatch.setattr(upkeep, "MOSTLY", 0)


@asynccontextmanager
async def restored(database: Postgresql, dump: str) -> AsyncIterator[str]:
    """The URL of a database in which the dump was restored."""
    database.sql("CREATE DATABASE again")
    url = database.url.rpartition("/")[0] + "/again"
    try:
        connection = await asyncpg.connect(url)
        await connection.execute("\n".join(line for line in dump.splitlines() if not line.startswith("\\")))
        await connection.close()
        yield url
    finally:
        database.sql("DROP DATABASE again WITH (FORCE)")


async def test_nothing_that_waits_is_left_out(fragile: Postgresql, clock: ManualClock) -> None:
    """The dump has its moment; then all that waits goes to another part; then the dump locks the tables."""
    with fragile.schema() as url:
        schema = url.rpartition("=")[2]
        spool = postgresql(url, clock)
        await spool.open()
        for number in range(6):
            await accept(spool, f"m{number}")
        [claimed] = await claim(spool)
        await spool.settle(claimed, ending(claimed, Status.DELIVERED))
        moment = await asyncpg.connect(fragile.url)
        await moment.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        snapshot = await moment.fetchval("SELECT pg_export_snapshot()")
        for _ in range(12):  # until the first part is come to again
            await upkeep.upkeep(spool._pool, retire=False)
        assert await moment.fetchval(f"SELECT count(*) FROM {schema}.ready") == 0, "no part was emptied"
        words = ("--snapshot", snapshot, "--schema", schema, "--inserts", fragile.url)
        dump = await asyncio.to_thread(fragile.run, "pg_dump", *words)
        await moment.close()
        await spool.close()
        async with restored(fragile, dump) as there:
            again = postgresql(f"{there}?schema={schema}", clock)
            await again.open()
            found = await claim(again, clock.now() + 10**9, most=10)
            assert len(found) == 5
            for each in found:
                await again.settle(each, ending(each, Status.DELIVERED))
            await counts_are_right(again)
            await again.close()


async def test_a_queue_that_was_not_restored_is_left_alone(queue: PostgresSpool, clock: ManualClock) -> None:
    await accept(queue, "m1")
    await queue.close()
    await queue.open()
    async with queue._pool.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ready") == 1
