"""Nodes behind PgBouncer in transaction mode, where each transaction may run on another connection."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postbearer.clock import SystemClock
from postbearer.errors import ConfigError
from postbearer.store import Query, Status, inspect_database
from postbearer.store.postgres import listening
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from postbearer.testing import ManualClock
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


async def test_a_direct_url_wakes_nodes_behind_it(
    schema: str, pooled: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "POLL", 3600.0)
    monkeypatch.setattr(listening, "LISTENED", 3600.0)
    url = PostgresUrl.parse(pooled).woken_by(schema)
    first, second = (PostgresSpool(url, clock=clock, node=name) for name in "ab")
    for each in (first, second):
        await each.open()
        assert not any("wake" in each for each in each.remarks)
    await asyncio.sleep(2 * listening.LOOK)  # what came before is looked for
    heard = asyncio.Event()
    second.subscribe(lambda _: heard.set(), lambda: None)
    await accept(first, "m1")
    async with asyncio.timeout(30.0):
        await heard.wait()
    for each in (first, second):
        await each.close()


@pytest.mark.parametrize(
    ("wake", "said"),
    [
        (lambda schema, pooled: "", "wake-url in [relay] can name the server itself"),
        (lambda schema, pooled: pooled, "there is a pooler, too"),
        (lambda schema, pooled: "postgresql://nobody@127.0.0.1:9/none", "cannot be reached"),
    ],
    ids=["none", "a pooler", "nothing there"],
)
async def test_a_node_that_nobody_can_wake_says_so_and_looks(
    schema: str, pooled: str, clock: ManualClock, wake: Callable[[str, str], str], said: str
) -> None:
    url = PostgresUrl.parse(pooled)
    found = wake(schema, pooled)
    first, second = (
        PostgresSpool(url.woken_by(found) if found else url, clock=clock, node=name) for name in "ab"
    )
    for each in (first, second):
        await each.open()
    assert [each for each in first.remarks if said in each]
    heard = asyncio.Event()
    second.subscribe(lambda _: heard.set(), lambda: None)
    await accept(first, "m1")
    async with asyncio.timeout(30.0):
        await heard.wait()
    for each in (first, second):
        await each.close()


async def test_a_direct_url_of_another_database_is_found_by_check(
    database: Postgresql, schema: str, pooled: str, clock: ManualClock
) -> None:
    url = PostgresUrl.parse(pooled)
    right = await inspect_database(url.woken_by(schema), clock, None)
    wrong = await inspect_database(url.woken_by(schema.replace("/postgres?", "/template1?")), clock, None)
    assert not any("wake-url" in each for each in right.remarks)
    assert [each for each in wrong.remarks if "another database" in each]


@pytest.mark.parametrize(
    ("wake", "said"),
    [
        ("db.example.org", "is no URL of a database"),
        ("postgresql://mail:hidden@db.example.org/mail", "cannot hold a password"),
        ("postgresql://mail@db.example.org/mail?statement_cache_size=0", "names a pooler"),
    ],
)
def test_a_wake_url_that_cannot_serve_is_refused(wake: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        PostgresUrl.parse("postgresql://mail@pooler.example.org/mail").woken_by(wake)
    assert caught.value.key == "relay.wake-url"
    assert "hidden" not in str(caught.value)
