"""What the queue asks the database for: few statements, shared by all that wait, and by an index each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from postbearer.errors import StoreError
from postbearer.store import IdempotencyKey, Query, Status
from postbearer.store.postgres import additions
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.queries import queries
from postbearer.testing import ManualClock
from support.spooling import TEXT, accept, beside, claim, delivery, ending, message

pytestmark = pytest.mark.servers

BEGUN = ("BEGIN", "settings")


@asynccontextmanager
async def asked(queue: PostgresSpool) -> AsyncIterator[list[str]]:
    """The statements by which the queue writes meanwhile, each waited for: how they begin."""
    await accept(queue, "before", account="other")  # whatever is done once has been done
    found: list[str] = []

    def note(query: asyncpg.connection.LoggedQuery) -> None:
        code = re.sub(r"--[^\n]*", "", query.query).strip()
        found.append("settings" if "set_config" in code else code.split()[0])

    with queue._writer._connection.query_logger(note):
        yield found


async def test_an_accept_is_one_statement_between_begin_and_commit(queue: PostgresSpool) -> None:
    async with asked(queue) as statements:
        await accept(queue, "m1")
    assert statements == [*BEGUN, "WITH", "COMMIT"]


async def test_those_who_come_together_share_these_statements(queue: PostgresSpool) -> None:
    commits = queue._writer.commits
    async with asked(queue) as statements:
        await asyncio.gather(*(accept(queue, f"m{number}") for number in range(50)))
    assert queue._writer.commits - commits <= 3  # one of them was before
    assert len(statements) <= 2 * 4
    assert len(await claim(queue, most=99)) == 50


async def test_a_key_costs_one_statement_more(queue: PostgresSpool) -> None:
    async with asked(queue) as statements:
        content = queue.stage("m1")
        await content.write(TEXT)
        made = message("m1", content)
        key = IdempotencyKey(client="app", key="k", digest="d")
        await queue.accept(made, content, [delivery(made)], key=key)
    assert statements == [*BEGUN, "SELECT", "WITH", "COMMIT"]


async def test_large_content_is_written_in_pieces(
    queue: PostgresSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbearer.store.postgres.transaction.CHUNK", 1000)
    monkeypatch.setattr("postbearer.store.postgres.transaction.AT_ONCE", 2)
    text = bytes(range(256)) * 20
    async with asked(queue) as statements:
        await accept(queue, "m1", text=text)
    assert statements == [*BEGUN, "WITH", "WITH", "WITH", "COMMIT"]
    [claimed] = await claim(queue)
    queue._recent.drop("m1")
    assert b"".join((await queue.content(claimed.message)).blocks()) == text


async def test_ends_that_come_together_share_their_statements(queue: PostgresSpool) -> None:
    for number in range(20):
        await accept(queue, f"m{number}")
    claimed = await claim(queue, most=20)
    async with asked(queue) as statements:
        await asyncio.gather(*(queue.settle(each, ending(each, Status.DELIVERED)) for each in claimed))
    assert statements == [*BEGUN, "UPDATE", "WITH", "COMMIT"]


async def test_who_accepts_what_is_there_already_is_refused_and_nobody_else(
    queue: PostgresSpool, clock: ManualClock
) -> None:
    """What came in the same commit is accepted, whichever node had the other one."""
    other = beside(queue, "b", clock)
    await other.open()
    await accept(other, "m1")
    together = [accept(queue, name) for name in ("m0", "m1", "m2")]
    _, second, _ = await asyncio.gather(*together, return_exceptions=True)
    assert isinstance(second, StoreError)
    assert "There is a message m1 already" in str(second)
    assert sorted(entry.message.id for entry in await queue.search(Query())) == ["m0", "m1", "m2"]
    await other.close()


PLANNED = {  # as in a long table: of one whose statistics say that it is empty, all is read
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
BY_ID = [
    pytest.param(query, id=f"{file}-{name}")
    for file in ("accept", "look", "turn")
    for name, query in queries(file, "postgres").items()
    if "FROM message" in re.sub(r"--[^\n]*", "", query) and re.search(r"\bid = ", query)
]
BY_ID += [
    pytest.param(additions.statement(("messages",)), id="additions"),
    pytest.param(queries("look", "postgres")["search"] + "\n   AND " + "{where-id}", id="search"),
]


@pytest.mark.parametrize("query", BY_ID)
async def test_a_message_is_found_by_its_id_however_many_there_are(queue: PostgresSpool, query: str) -> None:
    """An index of two columns, of which only the second one is given, would be read as a whole."""
    query = query.replace("{where-id}", queries("look", "postgres")["where-id"].replace("?", "$6"))
    count = max(map(int, re.findall(r"\$(\d+)", query)))
    writer = queue._writer._connection
    await queue._pool.begin(writer, hot=True, writes=True, synced=False)
    await writer.execute("TRUNCATE message CASCADE")  # forgets that it is known to be short
    await writer.execute("COMMIT")
    async with queue._pool.reading(hot=True) as connection:
        await connection.execute(f"PREPARE looked AS {query.rstrip(';')}")
        for name, value in PLANNED.items():
            await connection.execute(f"SELECT pg_catalog.set_config('{name}', '{value}', true)")
        rows = await connection.fetch(f"EXPLAIN EXECUTE looked ({', '.join(['NULL'] * count)})")
        await connection.execute("DEALLOCATE looked")
    plan = "\n".join(row[0] for row in rows)
    used = re.findall(r"using message_\d_slot_id_key.*\n +Index Cond: (.*)", plan)
    assert len(used) >= 8, plan  # each slot
    assert all("slot = " in condition and "id = " in condition for condition in used), plan
    assert "Seq Scan on message" not in plan
