"""What a queue in a database counts along is what there is, and costs the same to read of a long one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from postbearer.clock import SystemClock
from postbearer.errors import LeaseLost
from postbearer.store import Query, Spool, Status
from postbearer.store.lease import LEASE
from postbearer.store.postgres import opening, reads, tally, upkeep
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.transaction import Transaction
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.queries import migrations
from postbearer.store.records import NewDelivery
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql
from support.counting import counts_are_right
from support.spooling import START, TEXT, accept, claim, ending, message, postgresql

pytestmark = pytest.mark.servers

ENDS = (Status.DELIVERED, Status.FAILED, Status.DEFERRED, Status.HELD, Status.EXPIRED)
BEFORE = 11  # scripts of the schema that kept no counts


async def accept_for_several(spool: Spool, name: str, accounts: list[str], due: float = START) -> None:
    """A message with a delivery for each of the accounts."""
    content = spool.stage(name)
    await content.write(TEXT)
    people = [f"{number}@example.org" for number in range(len(accounts))]
    made = message(name, content, people, due)
    deliveries = [
        NewDelivery(account=account, recipients=(one,), client="app", due=due)
        for account, one in zip(accounts, made.envelope.recipients, strict=True)
    ]
    await spool.accept(made, content, deliveries)


async def test_counts_hold_while_several_nodes_do_everything_at_once(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries of one message end on different nodes in the same moment; parts are added up meanwhile."""
    monkeypatch.setattr(tally, "PART_FULL", 1)
    clock, dice = SystemClock(), random.Random(4711)
    now = clock.now()
    made = [
        PostgresSpool(PostgresUrl.parse(schema), clock=clock, node=name, events=True)
        for name in ("a", "b", "c")
    ]
    for each in made:
        await each.open()

    async def hand_in(spool: PostgresSpool, name: str) -> None:
        for number in range(25):
            accounts = [dice.choice(("work", "spare")) for _ in range(dice.choice((1, 1, 3)))]
            await accept_for_several(spool, f"{name}{number}", accounts, now)

    async def send(spool: PostgresSpool, account: str) -> None:
        for _ in range(25):
            for each in await claim(spool, clock.now(), most=3, account=account):
                end = ending(each, dice.choice(ENDS), at=clock.now(), due=clock.now())
                if dice.random() < 0.3:
                    end = replace(end, account=dice.choice(("work", "spare")))
                await spool.settle(each, end)

    async def operate(spool: PostgresSpool) -> None:
        for _ in range(25):
            for entry in await spool.search(Query(limit=200)):
                if dice.random() < 0.05:
                    status = dice.choice((Status.HELD, Status.READY, Status.CANCELLED))
                    await spool.change(entry.message.id, status, clock.now())
                if dice.random() < 0.05:
                    await spool.move(entry.message.id, dice.choice(("work", "spare")), clock.now())

    async def keep_house(spool: PostgresSpool) -> None:
        for _ in range(25):
            await upkeep.upkeep(spool._pool, retire=False)
            await spool.retire(clock.now() - 0.5)

    await asyncio.gather(
        *(hand_in(each, name) for each, name in zip(made, "abc", strict=True)),
        *(send(each, account) for each in made for account in ("work", "spare")),
        operate(made[0]),
        keep_house(made[1]),
    )
    await counts_are_right(made[2])
    assert await made[0].traffic(0.0, 60)
    await made[0].retire(clock.now() + 1)
    await counts_are_right(made[2])
    for each in made:
        await each.close()


async def test_counts_hold_when_a_node_dies_and_others_take_over(
    queue: PostgresSpool, schema: str, clock: ManualClock
) -> None:
    other = postgresql(schema, clock, node="other")
    await other.open()
    for number in range(3):
        await accept_for_several(queue, f"m{number}", ["work", "work", "spare"])
    taken = await claim(queue, most=4)
    clock.advance(LEASE + 1)
    assert await other.heartbeat()
    await counts_are_right(other)
    with pytest.raises(LeaseLost):
        await queue.settle(taken[0], ending(taken[0], Status.DELIVERED))
    await counts_are_right(other)
    await other.close()


async def test_a_message_of_several_deliveries_goes_once_all_of_it_is_old_enough(
    queue: PostgresSpool, clock: ManualClock
) -> None:
    await accept_for_several(queue, "m1", ["work", "work"])
    [first] = await claim(queue)
    await queue.settle(first, ending(first, Status.DELIVERED, at=START + 1))
    assert await queue.retire(START + 10) == 0
    [second] = await claim(queue)
    await queue.settle(second, ending(second, Status.FAILED, at=START + 20))
    assert await queue.retire(START + 15) == 0
    await counts_are_right(queue)
    assert (await queue.statistics()).counts == {Status.DELIVERED: 1, Status.FAILED: 1}
    assert await queue.retire(START + 21) == 1
    assert (await queue.statistics()).counts == {}


async def test_what_is_retired_goes_in_steps(
    queue: PostgresSpool, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them holds up what is accepted for long; of those that ended at once, none is left out."""
    monkeypatch.setattr(tally, "AT_ONCE", 3)
    for number in range(11):
        await accept(queue, f"m{number}")
    for number, each in enumerate(await claim(queue, most=11)):
        await queue.settle(each, ending(each, Status.DELIVERED, at=START + number // 5))
    before = queue._writer.commits
    assert await queue.retire(START + 100) == 11
    assert queue._writer.commits - before >= 3
    assert (await queue.statistics()).counts == {}
    assert await queue.search(Query()) == []


async def test_a_long_look_at_the_changes_keeps_nobody_waiting(
    queue: PostgresSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump, for example: they are added up once it is over."""
    monkeypatch.setattr(tally, "PART_FULL", 1)
    async with queue._pool.reading() as dump:
        await dump.fetch("SELECT * FROM tally_change")
        for number in range(3):
            await accept(queue, f"m{number}")
            await upkeep.upkeep(queue._pool, retire=False)
            await counts_are_right(queue)
    for _ in range(2):
        await upkeep.upkeep(queue._pool, retire=False)
    await counts_are_right(queue)
    async with queue._pool.reading() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tally_change") == 0


MESSAGE = """(slot, number, id, accepted, client, envelope, received, size, sha256, eight_bit, is_binary,
              expires, message_id, author, subject, report_of, people)"""
OF_MESSAGE = "'app', '', '', 1, '', false, false, 1e10, '', '', '', '', ''"
DELIVERY = """(slot, number, message, priority, client, account, state, due, ended, states, doubts,
               recipients)"""
# Of each six, two have ended, one is held, one waits for its time, and one has two deliveries.
OLD_MESSAGES = f"""
INSERT INTO message {MESSAGE}
SELECT 0, n << 6, 'm' || n, {START} + n, {OF_MESSAGE}
  FROM generate_series({{first}}, {{last}}) AS n;
UPDATE message SET send_at = {START} + 1000 WHERE number >> 6 >= {{first}} AND (number >> 6) % 6 = 2;
INSERT INTO delivery {DELIVERY}
SELECT 0, (n * 2 + part) << 6, n << 6, 1, 'app', 'work',
       CASE WHEN n % 6 < 2 THEN 'x' WHEN n % 6 = 3 THEN 'h' ELSE 'w' END, {START},
       CASE WHEN n % 6 < 2 THEN {START} ELSE 0 END,
       CASE WHEN n % 6 < 2 THEN 'of' WHEN n % 6 = 3 THEN 'hh' WHEN n % 6 = 4 THEN 'do' ELSE 'rr' END, '00',
       '[["a@example.org",[],""],["b@example.org",[],""]]'
  FROM generate_series({{first}}, {{last}}) AS n,
       generate_series(0, CASE n % 6 WHEN 5 THEN 1 ELSE 0 END) AS part;
"""


def fill(database: Postgresql, schema: str, first: int, last: int, *, several: bool = True) -> None:
    """Have messages wait with these numbers; `several`: whether each may have more deliveries than one."""
    database.sql(
        f"SET search_path = {schema.rpartition('=')[2]}",
        f"INSERT INTO message {MESSAGE} SELECT 0, n << 6, 'm' || n, {START} + n % 60, {OF_MESSAGE} "
        f"FROM generate_series({first}, {last}) AS n",
        f"INSERT INTO delivery {DELIVERY} SELECT 0, n << 6, n << 6, 1, 'app', 'work', 'w', {START}, 0, "
        f"'r', '0', '[]' FROM generate_series({first}, {last}) AS n",
        f"UPDATE delivery SET several = {several} WHERE several <> {several}",
        "ANALYZE",
    )


READ = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
LOOKS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "statistics": lambda connection: tally.statistics(connection, START),
    "waiting": lambda connection: tally.waiting(connection, START),
    "traffic": lambda connection: tally.traffic(connection, START - 86_400, 3600),
    "pauses": reads.pauses,
    "in a slot": lambda connection: tally.in_slot(connection, 0),
}


async def test_what_is_shown_costs_as_much_of_a_long_queue_as_of_a_short_one(
    queue: PostgresSpool, database: Postgresql, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "PART_FULL", 1)

    async def looked() -> dict[str, int]:
        for _ in range(2):
            await upkeep.upkeep(queue._pool, retire=False)
        found = {}
        for look, do in LOOKS.items():
            async with queue._pool.reading() as connection:
                before = await connection.fetchval(READ)
                await do(connection)
                found[look] = int(await connection.fetchval(READ) - before)
        return found

    fill(database, schema, 1, 100)
    few = await looked()
    fill(database, schema, 101, 20_000)
    many = await looked()
    # Rows that were read: sums, and what is not added up yet.
    assert all(many[look] <= few[look] + 300 for look in LOOKS), (few, many)
    counts = (await queue.statistics()).counts
    assert counts == {Status.READY: 20_000}


ONE = "slot = 0 AND number = 50 << 6"
WRITES = {
    "claim": f"UPDATE delivery SET state = 'l', lease = 1, attempt = 1 WHERE {ONE}",
    "defer": f"UPDATE delivery SET state = 'w', lease = 0, states = 'd', turn = turn + 1 WHERE {ONE}",
    "end": f"UPDATE delivery SET state = 'x', states = 'f', ended = 1 WHERE {ONE}",
    "move": f"UPDATE delivery SET account = 'other' WHERE {ONE}",
    "name a time": f"UPDATE message SET send_at = 9e9 WHERE {ONE}",
    "accept": f"INSERT INTO delivery {DELIVERY} "
    "VALUES (0, 1000000 << 6, 50 << 6, 1, 'app', 'work', 'w', 1, 0, 'r', '0', '[]')",
}


@pytest.mark.parametrize("several", [False, True])
async def test_what_is_written_costs_as_much_in_a_long_queue_as_in_a_short_one(
    queue: PostgresSpool, database: Postgresql, schema: str, several: bool
) -> None:
    """Also for a message that may have other deliveries."""

    async def written(transaction: Transaction) -> dict[str, int]:
        found = {}
        await transaction.connection.execute("SAVEPOINT written")
        for write, statement in WRITES.items():
            before = await transaction.connection.fetchval(READ)
            await transaction.connection.execute(statement)
            found[write] = int(await transaction.connection.fetchval(READ) - before)
        await transaction.connection.execute("ROLLBACK TO written")
        return found

    fill(database, schema, 1, 100, several=several)
    few = await queue._write(written)
    fill(database, schema, 101, 20_000, several=several)
    many = await queue._write(written)
    assert all(many[write] <= few[write] + 10 for write in WRITES), (few, many)


async def test_an_older_queue_is_counted_and_so_is_what_an_older_node_does(
    schema: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it runs beside newer ones while all are upgraded: it knows nothing of the columns for that."""
    scripts = migrations("postgres")
    url = PostgresUrl.parse(schema)
    pool = ConnectionPool(url)
    async with pool.apart() as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {url.schema} CASCADE")
        with monkeypatch.context() as older:
            older.setattr(opening, "migrations", lambda _: scripts[:BEFORE])
            await opening.migrate(pool, connection, read_only=False)
        await connection.execute(f"SET search_path = {url.schema}")
        await connection.execute(OLD_MESSAGES.format(first=1, last=6))
        queue = postgresql(schema, clock)
        await queue.open()
        await counts_are_right(queue)
        await connection.execute(OLD_MESSAGES.format(first=7, last=12))
        await counts_are_right(queue)
        assert await queue.retire(START + 1) == 4
        await counts_are_right(queue)
        await queue.change("m10", Status.READY, START + 5)
        await queue.change("m8", Status.READY, START + 5)
        await queue.change("m9", Status.CANCELLED, START + 5)
        await counts_are_right(queue)
        await connection.execute("DELETE FROM tally; SELECT recount()")
        await counts_are_right(queue)
    await queue.close()
