"""The scripts that make tables are looked through by squawk: none may stop a queue that is used."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.errors import SchemaMismatch
from postbearer.store.lease import LEASE
from postbearer.store.postgres import opening, post_steps
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.queries import migrations
from postbearer.testing import ManualClock
from support.spooling import postgresql

FOLDER = Path(opening.__file__).parent / "migrations"
LATER = sorted(FOLDER.glob("*.post.sql"))
SCRIPTS = sorted({*FOLDER.iterdir()} - {*LATER})
# What squawk would have otherwise, and why it is right here.
LEFT_OUT = {
    "require-lock-timeout": "`opening.migrate` sets it for all scripts",
    "require-statement-timeout": "each transaction sets it (`session.sql`)",
    "require-concurrent-index-creation": "indexes are made with their tables, or for a column that is new",
    "prefer-bigint-over-smallint": "slots, rings and lanes have few values",
    "prefer-bigint-over-int": "counts of the tries or the chunks of one message",
}


# The second half of an upgrade takes away what nobody uses any more.
NOT_LATER = {"ban-drop-column", "ban-drop-table", "ban-drop-not-null", "adding-not-nullable-field"}
APART = ("token", "budget", "charge", "document", "hold")  # of programs that are in no registry


def squawk(scripts: list[Path], left_out: set[str]) -> None:
    program = Path(sys.executable).with_name("squawk")
    found = subprocess.run(
        [program, "--assume-in-transaction", "--exclude", ",".join(left_out), *scripts],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_squawk_finds_nothing_else() -> None:
    squawk(SCRIPTS, {*LEFT_OUT})
    if LATER:
        squawk(LATER, {*LEFT_OUT} | NOT_LATER)


def test_each_later_step_has_its_script_and_leaves_alone_who_is_in_no_registry() -> None:
    for each in LATER:
        assert each.with_name(each.name.replace(".post.", ".")) in SCRIPTS
        code = re.sub(r"--[^\n]*", "", each.read_text("utf-8"))
        assert not re.search(rf"\b({'|'.join(APART)})\b", code), each.name


@pytest.mark.servers
async def test_a_later_step_waits_until_no_older_node_is_left(
    schema: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, url = len(migrations("postgres")), PostgresUrl.parse(schema)
    steps = {known - 1: "CREATE TABLE first_step ()", known: "CREATE TABLE second_step ()"}
    monkeypatch.setattr(post_steps, "post_steps", lambda _: steps)
    spool = postgresql(schema, clock)
    await spool.open()
    pool = ConnectionPool(url)
    async with pool.apart() as connection:

        async def taken() -> list[str]:
            query = "SELECT relname FROM pg_class WHERE relname ~ '_step$' ORDER BY 1"
            return [row["relname"] for row in await connection.fetch(query)]

        row = "(run, name, expires, version, since, knows) VALUES (99, 'old', 9e9, '0.0', 0, $1)"
        await connection.execute(f"INSERT INTO {url.schema}.node {row}", known - 1)
        await spool.heartbeat()
        assert await taken() == [], "a node that runs may not have said so yet"
        clock.advance(LEASE + 1)
        renew = f"UPDATE {url.schema}.node SET expires = $1 WHERE run = 99"
        await connection.execute(renew, clock.now() + LEASE)
        await spool.heartbeat()
        assert await taken() == ["first_step"]
        await connection.execute(f"DELETE FROM {url.schema}.node WHERE run = 99")
        await spool.heartbeat()
        await spool.heartbeat()
        assert await taken() == ["first_step", "second_step"]
        await spool.close()
        await spool.open()  # and once only
        clock.advance(LEASE + 1)
        await spool.heartbeat()
        await spool.close()
        await connection.execute(f"DROP SCHEMA {url.schema} CASCADE")


@pytest.mark.parametrize("script", migrations("postgres"), ids=[each.stem for each in SCRIPTS])
def test_no_script_undoes_what_an_older_node_uses(script: str) -> None:
    """Old and new nodes run side by side: columns and tables are added, with defaults, and none goes."""
    code = re.sub(r"--[^\n]*", "", script)
    assert not re.search(r"\b(DROP|RENAME)\b", code, re.IGNORECASE)
    assert not re.search(r"ALTER\s+(COLUMN\s+)?\w+\s+(SET\s+DATA\s+)?TYPE\b", code, re.IGNORECASE)
    for column in re.findall(r"ADD COLUMN ([^;]*);", code):
        assert "NOT NULL" not in column or "DEFAULT" in column, column


@pytest.mark.servers
async def test_a_script_waits_for_no_lock_for_long_and_is_tried_again(
    schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever works on a table meanwhile goes first."""
    scripts, failed = migrations("postgres"), asyncio.Event()
    before = next(at for at, each in enumerate(scripts) if "ALTER TABLE delivery" in each)

    def pauses() -> Iterator[float]:
        failed.set()
        yield from [0.1] * 100

    url = PostgresUrl.parse(schema)
    pool = ConnectionPool(url)
    async with pool.apart() as connection, pool.apart() as other:
        await connection.execute(f"DROP SCHEMA IF EXISTS {url.schema} CASCADE")
        with monkeypatch.context() as older:
            older.setattr(opening, "migrations", lambda _: scripts[:before])
            await opening.migrate(pool, connection, read_only=False)
        monkeypatch.setattr(opening, "LOCK_TIMEOUT", "50ms")
        monkeypatch.setattr(opening, "PAUSES", pauses())
        async with other.transaction():
            await other.execute(f"LOCK TABLE {url.schema}.delivery")
            migrating = asyncio.create_task(opening.migrate(pool, connection, read_only=False))
            async with asyncio.timeout(60):
                await failed.wait()
        await migrating
        assert await opening.standing_version(pool, connection) == len(scripts)


@pytest.mark.servers
async def test_who_waited_for_a_newer_one_to_change_the_tables_does_not_take_them_for_its_own(
    schema: str,
) -> None:
    url = PostgresUrl.parse(schema)
    pool = ConnectionPool(url)
    known = len(migrations("postgres"))
    async with pool.apart() as connection, pool.apart() as newer:
        await connection.execute(f"DROP SCHEMA IF EXISTS {url.schema} CASCADE")
        await opening.migrate(pool, connection, read_only=False)
        await connection.execute(f"UPDATE {url.schema}.version SET version = {known - 1}")
        async with newer.transaction():
            await newer.execute(f"SELECT pg_advisory_xact_lock({opening.LOCK})")
            migrating = asyncio.create_task(opening.migrate(pool, connection, read_only=False))
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            async with asyncio.timeout(60):
                while not await newer.fetchval(waits):  # noqa: ASYNC110 - another process waits there
                    await asyncio.sleep(0.05)
            await newer.execute(f"UPDATE {url.schema}.version SET version = {known + 1}")
        with pytest.raises(SchemaMismatch, match=f"is of version {known + 1}; this postbearer knows {known}"):
            await migrating
        await newer.execute(f"DROP SCHEMA {url.schema} CASCADE")
