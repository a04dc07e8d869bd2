"""Relays at the outbox: each message is taken once, whoever dies, and soon."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from outbox.conftest import Picking, ended, picking
from outbox.test_outbox_sql import call
from postbearer.errors import StoreError
from postbearer.store.postgres import outbox as module
from servers.pgbouncer import PgBouncer
from servers.postgresql import Postgresql
from support.waiting import until

pytestmark = pytest.mark.servers


@contextmanager
def pooling(database: Postgresql) -> Iterator[PgBouncer]:
    with tempfile.TemporaryDirectory(prefix="postbearer-pgb-") as name:
        Path(name).chmod(0o755)
        bouncer = PgBouncer(Path(name), database)
        yield bouncer
        bouncer.stop()


async def taken(relay: Picking, count: int) -> None:
    async with asyncio.timeout(20.0):
        while len(await relay.messages()) < count or relay.waiting():  # noqa: ASYNC110 - by another task
            await asyncio.sleep(0.02)


async def test_two_relays_take_each_message_once(database: Postgresql, schema: str) -> None:
    async with picking(database, schema) as one, picking(database, schema, node="b") as two:
        running = [asyncio.create_task(each.collector.run()) for each in (one, two)]
        connections = [await asyncpg.connect(one.dsn) for _ in range(4)]

        async def program(connection: asyncpg.Connection) -> set[str]:
            return {await call(connection, one) for _ in range(60)}

        made = set[str]().union(*await asyncio.gather(*map(program, connections)))
        await taken(one, len(made))
        await ended(*running)
        for connection in connections:
            await connection.close()
        found = [entry.message.id for entry in await one.messages()]
        assert sorted(found) == sorted(made)


async def test_it_is_woken_by_the_commit(relay: Picking, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not by a look: those are too far apart here."""
    monkeypatch.setattr(module, "LISTENED", 60.0)
    running = asyncio.create_task(relay.collector.run())
    connection = await asyncpg.connect(relay.dsn)
    await until(lambda: relay.outbox.listener.connection)
    await asyncio.sleep(0.05)
    for count in range(1, 4):
        async with connection.transaction():
            await call(connection, relay)
            await asyncio.sleep(0.05)
            assert len(await relay.messages()) == count - 1
        await taken(relay, count)
    await ended(running)
    await connection.close()


async def test_commits_do_not_wait_for_each_other_while_much_comes(relay: Picking) -> None:
    """No notification goes with them then: those would."""
    await relay.outbox.stay_awake(60.0)
    connection, heard = await asyncpg.connect(relay.database.url), list[object]()
    await connection.add_listener(f"{relay.schema}.outbox", lambda *args: heard.append(args))
    await call(connection, relay)
    await connection.fetchval("SELECT 1")
    assert heard == []
    relay.database.sql(f"SELECT setval('{relay.schema}.outbox_awake', 1)")
    await call(connection, relay)
    await connection.fetchval("SELECT 1")
    await until(lambda: heard)
    await connection.close()


async def test_a_relay_that_dies_between_queue_and_outbox_sends_nothing_twice(
    relay: Picking, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(relay.dsn)
    made = [await call(connection, relay) for _ in range(3)]
    await connection.close()

    monkeypatch.setitem(module.SQL, "taken", "SELECT 1 / cardinality($1::text[]) - 1 / 0")
    with pytest.raises(StoreError):
        await relay.collector.collect()
    monkeypatch.undo()
    assert relay.waiting() == 3  # they stand in the queue, and still here
    assert len(await relay.messages()) == 3
    assert await relay.collector.collect() == 3
    assert relay.waiting() == 0
    assert sorted(entry.message.id for entry in await relay.messages()) == sorted(made)


async def test_a_program_that_is_killed_before_its_commit_sends_nothing(relay: Picking) -> None:
    program = (
        "import asyncio, asyncpg, os, sys\n"
        "async def main():\n"
        "    connection = await asyncpg.connect(sys.argv[1])\n"
        "    async with connection.transaction():\n"
        f"        await connection.execute(\"SELECT {relay.schema}.send('a@example.org', "
        "ARRAY['a@example.org'], 'x', 'x')\")\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, relay.dsn], timeout=30)
    assert done.returncode == -9
    await relay.collector.collect()
    assert await relay.messages() == []


async def test_a_database_that_goes_away_is_told_once_and_then_it_goes_on(
    relay: Picking, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = asyncio.create_task(relay.collector.run())
    connection = await asyncpg.connect(relay.dsn)
    await call(connection, relay)
    await taken(relay, 1)
    relay.database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postbearer'"
    )
    await call(connection, relay)
    await taken(relay, 2)
    await ended(running)
    await connection.close()


async def test_it_ends_though_it_is_woken_in_the_same_moment(relay: Picking) -> None:
    running = asyncio.create_task(relay.collector.run())
    await until(lambda: relay.outbox.listener.connection)
    await asyncio.sleep(0.1)
    relay.outbox.listener._rings.set()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=10.0)
    assert done == {running}
    assert running.cancelled()


async def test_behind_a_pooler_it_looks_once_a_second_and_listens_to_nobody(
    database: Postgresql, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL", 0.05)
    with pooling(database) as bouncer:
        pooled = schema.replace(str(database.port), str(bouncer.port))
        async with picking(database, pooled) as relay:
            running = asyncio.create_task(relay.collector.run())
            connection = await asyncpg.connect(relay.dsn)
            await call(connection, relay)
            await taken(relay, 1)
            await call(connection, relay)
            await taken(relay, 2)
            assert relay.outbox.listener.connection is None
            await ended(running)
            await connection.close()
