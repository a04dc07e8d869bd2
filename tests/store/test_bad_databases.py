"""Databases that cannot keep the promise are refused, others are taken as they are: each on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from postbearer.errors import SchemaMismatch, StoreError
from postbearer.secret import Secret
from postbearer.store import Status, inspect_database
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.queries import migrations
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql, own_server
from support.aging import another_version
from support.spooling import accept, claim, ending, postgresql, statuses

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def own() -> Iterator[Postgresql]:
    with own_server() as made:
        yield made


def beside(server: Postgresql, database: str) -> str:
    """The URL of another database of it."""
    return f"{server.url.rpartition('/')[0]}/{database}"


async def refused(url: str, clock: ManualClock) -> StoreError:
    spool = postgresql(url, clock)
    with pytest.raises(StoreError) as error:
        await spool.open()
    await spool.close()
    with pytest.raises(StoreError) as same:
        await inspect_database(PostgresUrl.parse(url), clock, None)
    assert str(same.value) == str(error.value)
    assert error.value.hint
    return error.value


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_who_loses_what_was_committed_is_refused(
    own: Postgresql, clock: ManualClock, setting: str
) -> None:
    own.sql(f"ALTER SYSTEM SET {setting} = off", "SELECT pg_reload_conf()")
    try:
        error = await refused(own.url, clock)
    finally:
        own.sql(f"ALTER SYSTEM RESET {setting}", "SELECT pg_reload_conf()")
    assert f"runs with {setting} = off: a crash loses the queue" in error.message
    assert error.configuration


async def test_an_encoding_that_cannot_hold_every_name(own: Postgresql, clock: ManualClock) -> None:
    own.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    error = await refused(beside(own, "latin"), clock)
    assert "is in LATIN1" in error.message
    assert "createdb --encoding UTF8" in error.hint


async def test_a_missing_extension_is_named(own: Postgresql, clock: ManualClock) -> None:
    own.sql("CREATE DATABASE bare")
    url = beside(own, "bare")
    own.run("psql", "-X", "-q", "-c", "DROP EXTENSION plpgsql", url)
    error = await refused(url, clock)
    assert "lacks the extension plpgsql" in error.message
    assert error.hint.endswith("CREATE EXTENSION plpgsql")
    own.run("psql", "-X", "-q", "-c", "CREATE EXTENSION plpgsql", url)
    spool = postgresql(url, clock)  # and no other one is needed
    await spool.open()
    await accept(spool, "m1")
    await spool.close()


async def test_a_server_that_is_too_old(own: Postgresql, clock: ManualClock) -> None:
    async with another_version(own.port, b"15.", b"12.") as port:
        error = await refused(own.url.replace(str(own.port), str(port)), clock)
    assert "is PostgreSQL 12; 13 or later is needed" in error.message


async def test_a_standby_is_refused_and_its_primary_named(own: Postgresql, clock: ManualClock) -> None:
    spool = postgresql(own.url, clock)
    await spool.open()
    await spool.close()
    with own_server(copy_of=own) as standby:
        error = await refused(standby.url, clock)
    assert "is a standby, which only reads" in error.message
    assert "primary" in error.hint


async def test_a_database_that_was_made_read_only(own: Postgresql, clock: ManualClock) -> None:
    own.sql("CREATE DATABASE readonly", "ALTER DATABASE readonly SET default_transaction_read_only = on")
    spool = postgresql(beside(own, "readonly"), clock)
    with pytest.raises(StoreError, match="only reads"):
        await spool.open()
    await spool.close()


async def test_a_schema_in_which_others_have_tables(own: Postgresql, clock: ManualClock) -> None:
    own.sql("CREATE SCHEMA shop", "CREATE TABLE shop.message (id int)")
    spool = postgresql(f"{own.url}?schema=shop", clock)
    with pytest.raises(StoreError, match="The schema shop is another program's") as error:
        await spool.open()
    assert "?schema=postbearer" in error.value.hint
    await spool.close()
    assert own.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'shop'::regnamespace") == "1"


async def test_a_role_that_may_read_the_tables_only(own: Postgresql, clock: ManualClock) -> None:
    spool = postgresql(f"{own.url}?schema=guarded", clock)
    await spool.open()
    await spool.close()
    own.sql(
        "CREATE ROLE looker LOGIN",
        "GRANT USAGE ON SCHEMA guarded TO looker",
        "GRANT SELECT ON ALL TABLES IN SCHEMA guarded TO looker",
    )
    spool = postgresql(f"{own.url.replace('postgres@', 'looker@')}?schema=guarded", clock)
    with pytest.raises(StoreError, match="permission denied for") as error:
        await spool.open()
    assert error.value.configuration
    assert "own the schema" in error.value.hint
    await spool.close()


async def test_what_an_administrator_limits_for_all_is_not_what_the_queue_goes_by(
    own: Postgresql, clock: ManualClock
) -> None:
    own.sql("CREATE DATABASE strict")
    for setting in (
        "statement_timeout = '150ms'",
        "idle_in_transaction_session_timeout = '150ms'",
        "idle_session_timeout = '300ms'",
        "lock_timeout = '150ms'",
        "timezone = 'Pacific/Chatham'",
        "datestyle = 'SQL, DMY'",
        "synchronous_commit = off",
        "default_transaction_isolation = 'serializable'",
        "row_security = off",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "extra_float_digits = -3",
    ):
        own.sql(f"ALTER DATABASE strict SET {setting}")
    spool = postgresql(beside(own, "strict"), clock)
    await spool.open()
    connection = await spool._pool.connect()
    await spool._pool.begin(connection, hot=False, writes=True)
    await connection.execute("SELECT pg_sleep(0.4)")  # as a statement that waits for a disk
    await connection.execute("COMMIT")
    await connection.close()
    await accept(spool, "m1", text=b"\\\0x\r\n" * 400)
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    own.sql("SELECT pg_sleep(0.5)")  # its idle connections are ended meanwhile
    assert await statuses(spool, "m1") == [Status.DELIVERED]
    await accept(spool, "m2")
    assert b"".join((await spool.content(claimed.message)).blocks()) == b"\\\0x\r\n" * 400
    await spool.close()


async def test_autovacuum_that_is_off_is_told(clock: ManualClock) -> None:
    with own_server("autovacuum = off\n") as made:
        spool = postgresql(made.url, clock)
        await spool.open()
        assert any("autovacuum = off, so its tables only grow" in each for each in spool.remarks)
        await spool.close()
        info = await inspect_database(PostgresUrl.parse(made.url), clock, None)
        assert info.autovacuum == "off"


async def test_an_older_schema_is_brought_up_and_is_not_looked_at(
    own: Postgresql, clock: ManualClock
) -> None:
    own.sql("CREATE SCHEMA older", "SET search_path = older", *_made(1))
    url = f"{own.url}?schema=older"
    spool = postgresql(url, clock)
    with pytest.raises(SchemaMismatch, match="of the older version 1"):
        await spool.open(read_only=True)
    info = await inspect_database(PostgresUrl.parse(url), clock, None)
    assert (info.version, info.wanted) == (1, len(migrations("postgres")))
    await spool.open()
    await accept(spool, "m1")
    await spool.close()
    assert own.sql("SELECT version FROM older.version") == str(len(migrations("postgres")))


def _made(version: int) -> list[str]:
    from postbearer.store.postgres.opening import _VERSION, APPLICATION

    return [
        _VERSION.format(application=APPLICATION),
        *migrations("postgres")[:version],
        f"UPDATE version SET version = {version}",
    ]


async def test_an_old_snapshot_and_dead_rows_are_told(
    own: Postgresql, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbearer.store.postgres.inspection.OLD_SNAPSHOT", 0.0)
    spool = postgresql(own.url, clock)
    await spool.open()
    connection = await spool._pool.connect()
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await connection.fetch("SELECT 1")
    info = await inspect_database(PostgresUrl.parse(own.url), clock, None)
    assert info.snapshot > 0.0
    assert any("keeps room from coming back" in each for each in info.remarks)
    await connection.close()
    await spool.close()


async def test_two_clusters_in_one_schema(own: Postgresql) -> None:
    class Key:
        reference = "env:KEY"

        def __init__(self, text: str) -> None:
            self.text = text

        async def read(self) -> Secret:
            return Secret(self.text)

    url = PostgresUrl.parse(f"{own.url}?schema=clusters")
    old, new = "b" * 43 + "=", "c" * 43 + "="
    states = [
        PostgresState(url, Key(each))
        for each in (old, new, f"v1 2 {new}\nv1 given {old}")  # the last one replaces its key
    ]
    try:
        await states[1].verify()  # who only looks does not mark it
        await states[0].verify(mark=True)
        await states[0].verify(mark=True)
        with pytest.raises(StoreError, match=r"relays with another vault\.key") as error:
            await states[1].verify(mark=True)
        assert error.value.configuration
        assert "?schema=name" in error.value.hint
        await states[2].verify(mark=True)
    finally:
        states[0].close()
