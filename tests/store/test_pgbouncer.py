"""Nodes behind PgBouncer in transaction mode, where each transaction may run on another connection."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.clock import SystemClock
from postbearer.store import Query, Status
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from servers.pgbouncer import PgBouncer
from servers.postgresql import Postgresql
from store.test_postgres_faults import Load, judged, opened
from support.persisting import GivenKey
from support.spooling import accept

pytestmark = pytest.mark.servers


@pytest.fixture
def pooled(database: Postgresql, schema: str) -> Iterator[str]:
    """The URL of an empty place, by way of PgBouncer."""
    with tempfile.TemporaryDirectory(prefix="postbearer-pgb-") as name:
        Path(name).chmod(0o755)
        bouncer = PgBouncer(Path(name), database)
        yield schema.replace(str(database.port), str(bouncer.port))
        bouncer.stop()


async def test_nodes_that_share_two_connections_lose_nothing(pooled: str) -> None:
    async with opened(pooled, "a") as first, opened(pooled, "b") as second:
        loads = [Load(first, "a"), Load(second, "b")]
        await asyncio.gather(*(load.run(asyncio.ensure_future(asyncio.sleep(0)), 60) for load in loads))
        sent = loads[0].sent + loads[1].sent
        assert {*loads[0].accepted, *loads[1].accepted} == set(sent)
        assert max(sent.values()) == 1
        entries = await second.search(Query(limit=10_000))
        assert {row.status for entry in entries for row in entry.rows} == {Status.DELIVERED}


async def test_statements_are_prepared_unless_a_pooler_stands_between(schema: str, pooled: str) -> None:
    for url, direct in ((schema, True), (pooled, False), (f"{schema}&statement_cache_size=0", False)):
        async with opened(url) as spool:
            connection = await spool._pool.connect()
            await connection.fetch("SELECT 1")
            prepared = await connection.fetchval("SELECT count(*) FROM pg_prepared_statements")
            assert (prepared > 0) is direct
            await connection.close()


async def test_one_node_alone(pooled: str) -> None:
    async with opened(pooled) as spool:
        load = Load(spool)
        await load.run(asyncio.ensure_future(asyncio.sleep(0)), 60)
        await judged(load, spool)


async def test_large_content_and_what_accounts_keep(pooled: str) -> None:
    async with opened(pooled) as spool:
        made = await accept(spool, "m1", text=b"x" * 3_000_000)
        assert sum(map(len, (await spool.content(made)).blocks())) == 3_000_000
    state = PostgresState(PostgresUrl.parse(pooled), GivenKey())
    ledger = state.ledger("a@example.org", "a", clock=SystemClock())
    await asyncio.gather(*(ledger.charge(1, lambda past, now: now) for _ in range(20)))
    assert await ledger.look(lambda past, now: len(past)) == 20
    document = state.document("notices")
    await document.write(b"told")
    assert await document.read() == b"told"
    state.close()
