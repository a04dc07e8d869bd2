"""What only a queue in a database does: room comes back, and a database that cannot keep it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import asyncpg
import pytest

from postbearer.errors import LeaseLost, OutcomeUnknown, SchemaMismatch, StoreError
from postbearer.store import IdempotencyKey, Query, Status
from postbearer.store.lease import LEASE
from postbearer.store.postgres import changes, reads, tally, upkeep
from postbearer.store.postgres.reads import LOOK
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql
from support.spooling import START, TEXT, accept, claim, delivery, ending, message, postgresql, statuses

pytestmark = pytest.mark.servers


def lose_a_commit(
    monkeypatch: pytest.MonkeyPatch, queue: PostgresSpool, meanwhile: Callable[[], Awaitable[None]]
) -> list[str]:
    """The database loses the next commit of the queue; `meanwhile` comes before it can be asked for that.

    What was lost is noted in the list.
    """
    execute, lost = asyncpg.Connection.execute, list[str]()

    async def losing(connection: asyncpg.Connection, query: str, *given: Any, **how: Any) -> str:
        if query == "COMMIT" and connection is queue._writer._connection and not lost:
            lost.append(query)
            connection.terminate()
            await meanwhile()
            raise ConnectionResetError
        return await execute(connection, query, *given, **how)

    monkeypatch.setattr(asyncpg.Connection, "execute", losing)
    return lost


def counted(database: Postgresql, schema: str, table: str) -> dict[int, int]:
    """How many rows each part of a table has, of those that have any."""
    name = schema.rpartition("=")[2]
    column = "ring" if table == "ready" else "slot"
    rows = database.sql(f"SELECT {column}, count(*) FROM {name}.{table} GROUP BY 1").splitlines()
    return {int(row.partition("|")[0]): int(row.partition("|")[2]) for row in rows}


async def deliver(spool: PostgresSpool, now: float) -> None:
    for each in await claim(spool, now=now, most=100):
        await spool.settle(each, ending(each, Status.DELIVERED, at=now))


async def test_the_order_goes_on_in_another_part_and_what_waits_goes_along(
    queue: PostgresSpool, database: Postgresql, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "RING_FULL", 0)
    await accept(queue, "late", due=START + 60)
    for turn in range(90):
        await accept(queue, f"m{turn}")
        await deliver(queue, START)
        if turn % 5 == 4:
            await upkeep.upkeep(queue._pool, retire=False)
            await queue.heartbeat()
    assert sum(counted(database, schema, "ready").values()) < 50  # of 91 that waited
    assert [each.message.id for each in await claim(queue, now=START + 60, most=9)] == ["late"]


async def test_who_rests_looks_after_nothing(
    schema: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []

    async def upkeep(session: object, *, retire: bool) -> None:
        looked.append(retire)

    monkeypatch.setattr("postbearer.store.postgres.spool.upkeep", upkeep)
    monkeypatch.setattr("postbearer.store.postgres.spool.UPKEEP", 0.01)
    spool = postgresql(schema, clock)
    await spool.open()
    await asyncio.sleep(0.1)
    assert len(looked) <= 1  # behind the commit of the start
    looked.clear()
    await accept(spool, "m1")
    await asyncio.sleep(0.1)
    assert looked == [False]
    await spool.close()


async def test_a_slot_is_emptied_once_all_in_it_is_retired(
    queue: PostgresSpool, database: Postgresql, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SLOT_AGE", 0.0)
    await accept(queue, "old", text=b"x" * 300_000)
    await deliver(queue, START)
    await queue.retire(START - 1)  # and the next slot is begun
    await accept(queue, "new")
    assert len(counted(database, schema, "message")) == 2
    assert await queue.retire(START + 1) == 1
    for table in ("message", "content", "delivery", "outcome"):
        assert sum(counted(database, schema, table).values()) <= 1
    assert await statuses(queue, "new") == [Status.READY]
    assert [entry.message.id for entry in await queue.search(Query())] == ["new"]


async def test_what_is_held_for_long_keeps_no_room_for_others(
    queue: PostgresSpool, database: Postgresql, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SLOT_AGE", 0.0)
    for name in ("held", "old"):
        await accept(queue, name)
    await queue.change("held", Status.HELD, START)
    await deliver(queue, START)
    await queue.retire(START - 1)
    assert await queue.retire(START + 1) == 1
    assert counted(database, schema, "message") == {0: 1}
    assert await statuses(queue, "held") == [Status.HELD]


async def test_who_reads_for_long_keeps_room_from_coming_back_and_nobody_waits(
    queue: PostgresSpool, database: Postgresql, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump, for example: its lock is not waited for."""
    monkeypatch.setattr(upkeep, "SLOT_AGE", 0.0)
    await accept(queue, "old")
    await deliver(queue, START)
    await queue.retire(START - 1)
    connection = await queue._pool.connect()
    await queue._pool.begin(connection, hot=False)
    await connection.fetch("SELECT * FROM message")
    assert await queue.retire(START + 1) == 1
    assert await queue.show("old") is None
    assert counted(database, schema, "message") == {0: 1}
    await connection.close()
    await queue.retire(START + 1)
    assert counted(database, schema, "message") == {}


async def test_a_large_slot_is_looked_through_without_a_lock(
    queue: PostgresSpool, database: Postgresql, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads and writes meanwhile does not wait; and what comes into the slot just then stays."""
    monkeypatch.setattr(upkeep, "SLOT_AGE", 0.0)
    looks = upkeep.SQL["is-retired"].replace("SELECT NOT", "SELECT pg_sleep(10) IS NOT NULL AND NOT")
    monkeypatch.setitem(upkeep.SQL, "is-retired", looks)
    await accept(queue, "old")
    await deliver(queue, START)
    first = queue._places.slot
    await queue.retire(START - 1)
    assert queue._places.slot != first
    retiring = asyncio.create_task(queue.retire(START + 1))
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    async with asyncio.timeout(60):
        while await asyncio.to_thread(database.sql, sleeping) == "0":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    queue._places.slot = first  # as of a node that does not know of the next one
    await accept(queue, "late")
    assert await statuses(queue, "late") == [Status.READY]
    assert not retiring.done(), "they waited for it"
    await retiring
    assert await statuses(queue, "late") == [Status.READY]
    assert counted(database, schema, "message") == {first: 1}


async def test_keys_go_in_pieces(
    queue: PostgresSpool, database: Postgresql, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "AT_ONCE", 3)
    name = schema.rpartition("=")[2]
    key = "'app', 'key-' || n, 'digest', 'gone', n"
    database.sql(f"INSERT INTO {name}.idempotency SELECT {key} FROM generate_series(1, 10) AS n")
    left = f"SELECT count(*) FROM {name}.idempotency"
    await queue._writer.submit(partial(changes.retire, before=START))
    assert database.sql(left) == "7", "the oldest ones, in one transaction"
    await queue.retire(START)
    assert database.sql(left) == "0"


async def test_a_newer_schema_is_refused_and_so_is_a_strangers(
    database: Postgresql, schema: str, clock: ManualClock
) -> None:
    name = schema.rpartition("=")[2]
    spool = postgresql(schema, clock)
    await spool.open()
    await spool.close()
    number = database.sql(f"SELECT version FROM {name}.version")
    database.sql(f"UPDATE {name}.version SET version = 99")
    with pytest.raises(SchemaMismatch, match="of version 99; this postbearer knows"):
        await spool.open()
    database.sql(f"UPDATE {name}.version SET version = {number}, application = 'calendar'")
    with pytest.raises(StoreError, match="is another program's"):
        await spool.open()
    database.sql(f"UPDATE {name}.version SET application = 'postbearer spool'")


async def test_who_only_looks_makes_no_queue(database: Postgresql, clock: ManualClock) -> None:
    spool = postgresql(f"{database.url}?schema=nothing_here", clock)
    with pytest.raises(StoreError, match="There is no queue"):
        await spool.open(read_only=True)
    await spool.close()
    assert database.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'nothing_here'") == "0"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://nobody_here@127.0.0.1:{port}/postgres", 'role "nobody_here" does not exist'),
        ("postgresql://postgres@127.0.0.1:{port}/nowhere", 'database "nowhere" does not exist'),
        ("postgresql://postgres@127.0.0.1:9/postgres", "cannot be reached"),
        ("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=require", "SSL"),
    ],
)
async def test_what_cannot_be_reached_is_named(
    database: Postgresql, clock: ManualClock, url: str, told: str
) -> None:
    spool = postgresql(url.format(port=database.port), clock)
    with pytest.raises(StoreError, match=told) as refused:
        await spool.open()
    assert str(database.port) in str(refused.value) or ":9/" in str(refused.value)
    await spool.close()


async def test_a_role_without_rights_is_told_what_it_needs(database: Postgresql, clock: ManualClock) -> None:
    database.sql("DROP ROLE IF EXISTS visitor", "CREATE ROLE visitor LOGIN")
    spool = postgresql(f"postgresql://visitor@127.0.0.1:{database.port}/postgres?schema=forbidden", clock)
    with pytest.raises(StoreError, match="permission denied") as refused:
        await spool.open()
    assert "own the schema" in refused.value.hint
    await spool.close()


async def test_a_database_that_only_reads_is_refused(database: Postgresql, clock: ManualClock) -> None:
    database.sql("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN SUPERUSER")
    database.sql("ALTER ROLE reader SET default_transaction_read_only = on")
    spool = postgresql(f"postgresql://reader@127.0.0.1:{database.port}/postgres?schema=readonly", clock)
    with pytest.raises(StoreError, match="only reads"):
        await spool.open()
    await spool.close()


async def test_what_an_administrator_set_for_the_role_does_not_weaken_a_commit(
    database: Postgresql, schema: str, clock: ManualClock
) -> None:
    name = schema.rpartition("=")[2]
    database.sql("DROP ROLE IF EXISTS weak", "CREATE ROLE weak LOGIN SUPERUSER")
    for setting in (
        "synchronous_commit = off",
        "statement_timeout = '5s'",
        "idle_in_transaction_session_timeout = '1s'",
        "timezone = 'Asia/Kathmandu'",
        "search_path = pg_temp",
        "default_transaction_isolation = 'serializable'",
    ):
        database.sql(f"ALTER ROLE weak SET {setting}")
    spool = postgresql(f"postgresql://weak@127.0.0.1:{database.port}/postgres?schema={name}", clock)
    await spool.open()
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    assert await statuses(spool, "m1") == [Status.DELIVERED]
    connection = await spool._pool.connect()
    await spool._pool.begin(connection, hot=True, writes=True)
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    assert await connection.fetchval("SHOW statement_timeout") == "30s"
    await connection.close()
    await spool.close()


async def test_tags_are_found_by_an_index(queue: PostgresSpool, database: Postgresql, schema: str) -> None:
    """Also where the planner would rather walk through a queue as small as this one."""
    name = schema.rpartition("=")[2]
    condition = LOOK["where-tags"].replace("?", '\'["a","b"]\'')
    sql = f"SET search_path TO {name}; SET enable_seqscan TO off; EXPLAIN SELECT m.id FROM message AS m WHERE"
    plan = database.sql(f"{sql} {condition.partition(chr(10))[2]}")
    assert "Bitmap Index Scan on message_0_tags" in plan
    assert "Seq Scan" not in plan


async def test_what_is_broken_off_is_not_said_to_be_kept(schema: str, clock: ManualClock) -> None:
    """Whoever waits for a commit that is cancelled hears that nobody knows, and never that it stands."""
    spool = postgresql(schema, clock)
    await spool.open()
    async with spool._pool.apart() as other:
        await other.execute(f"BEGIN; LOCK TABLE {schema.rpartition('=')[2]}.message IN ACCESS EXCLUSIVE MODE")
        accepting = asyncio.ensure_future(accept(spool, "m1"))
        while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer, spool._writing = spool._writer, None
        await writer._tasks.stop()
        with pytest.raises(OutcomeUnknown, match="broken off"):
            await accepting
        await other.execute("ROLLBACK")
    writer._drop()
    await spool.close()


async def test_a_slot_that_is_begun_in_the_middle_of_a_commit_is_for_the_next_one(
    queue: PostgresSpool, schema: str
) -> None:
    """Else a message would stand in another part than its number says, where nobody would find it."""
    async with queue._pool.apart() as other:
        await other.execute(f"BEGIN; LOCK TABLE {schema.rpartition('=')[2]}.idempotency IN SHARE MODE")
        content = queue.stage("m1")
        await content.write(TEXT)
        made = message("m1", content)
        key = IdempotencyKey(client="app", key="k", digest="d")
        accepting = asyncio.ensure_future(queue.accept(made, content, [delivery(made)], key=key))
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'"
        while not await other.fetchval(query):  # noqa: ASYNC110 - by the server
            await asyncio.sleep(0.01)
        queue._places.slot += 1
        await other.execute("ROLLBACK")
    await accepting
    await deliver(queue, START)
    assert await statuses(queue, "m1") == [Status.DELIVERED]


async def test_a_commit_that_was_lost_is_not_taken_for_what_another_node_wrote(
    queue: PostgresSpool, schema: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of an attempt and a new message go into one commit, which the database loses. Before it can be
    asked for it, another node has taken over the lease, and so has ended the same attempt."""
    other = postgresql(schema, clock, node="other")
    await other.open()
    await accept(queue, "m1")
    (claimed,) = await claim(queue, now=START)

    async def taken_over() -> None:
        clock.advance(LEASE + 1)
        await other.heartbeat()

    lost = lose_a_commit(monkeypatch, queue, taken_over)
    told = await asyncio.gather(
        queue.settle(claimed, ending(claimed, Status.DELIVERED)), accept(queue, "m2"), return_exceptions=True
    )
    await other.close()
    assert lost
    assert isinstance(told[0], LeaseLost)
    kept = [each.message.id for each in await queue.search(Query())]
    assert kept == ["m1", "m2"]


async def test_a_run_of_a_commit_that_was_lost_is_nobodys(
    queue: PostgresSpool, schema: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that crashes may give the number of a sequence again, to another node."""
    other = postgresql(schema, clock, node="other")
    third = postgresql(schema, clock, node="third")
    await other.open()
    clock.advance(LEASE + 1)
    await accept(other, "m0")
    await other.heartbeat()  # the queue's own run is over

    async def crashed() -> None:
        async with queue._pool.apart() as connection:
            await queue._pool.begin(connection, hot=False, writes=True)
            # The next node takes one for its series, and one for its run.
            await connection.execute("SELECT setval('run', last_value - 2) FROM run")
            await connection.execute("COMMIT")
        await third.open()

    lost = lose_a_commit(monkeypatch, queue, crashed)
    await queue.heartbeat()
    assert lost
    assert sorted(each.name for each in await queue.nodes()) == ["local", "other", "third"]
    assert [each.name for each in await queue.nodes() if each.own] == ["local"]
    assert [each.name for each in await third.nodes() if each.own] == ["third"]
    for spool in (third, other):
        await spool.close()


async def test_what_is_leased_in_the_commit_that_begins_a_run_is_of_that_run(
    queue: PostgresSpool, schema: str, clock: ManualClock
) -> None:
    other = postgresql(schema, clock, node="other")
    await other.open()
    await accept(other, "m0")
    clock.advance(LEASE + 1)
    await other.heartbeat()  # the queue's own run is over
    content = queue.stage("m1")
    await content.write(TEXT)
    made = message("m1", content)
    (claimed,) = await queue.accept(made, content, [delivery(made, at_once=True)])
    assert queue.holds(claimed)
    clock.advance(LEASE + 1)
    await other.heartbeat()
    assert await statuses(other, "m1") == [Status.DEFERRED]
    await other.close()


async def test_what_is_small_comes_with_its_claim_and_is_proven(
    queue: PostgresSpool,
    schema: str,
    clock: ManualClock,
    database: Postgresql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another node claims what this one took: it asks for no content but for what is large, or damaged."""
    for name, size in (("small", 10), ("large", 5000), ("damaged", 10)):
        await accept(queue, name, text=TEXT * size)
    name = schema.rpartition("=")[2]
    damaged = f"(SELECT number FROM {name}.message WHERE id = 'damaged')"
    database.sql(f"UPDATE {name}.content SET data = data || 'x' WHERE message = {damaged}")
    other, asked = postgresql(schema, clock, node="other"), list[str]()
    await other.open()
    content = reads.content

    async def asking(connection: Any, message: Any) -> Any:
        asked.append(message.id)
        return await content(connection, message)

    monkeypatch.setattr(reads, "content", asking)
    claimed = {each.message.id: each.message for each in await claim(other, now=START, most=10)}
    for name, size in (("small", 10), ("large", 5000)):
        found = await other.content(claimed[name])
        assert b"".join(found.blocks()) == TEXT * size
    with pytest.raises(StoreError, match="hash differs"):
        await other.content(claimed["damaged"])
    assert asked == ["large", "damaged"]
    await other.close()
