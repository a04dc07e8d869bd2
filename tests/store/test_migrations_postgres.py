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
from postbearer.store.postgres import opening
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.queries import migrations

FOLDER = Path(opening.__file__).parent / "migrations"
SCRIPTS = sorted(FOLDER.iterdir())
# What squawk would have otherwise, and why it is right here.
LEFT_OUT = {
    "require-lock-timeout": "`opening.migrate` sets it for all scripts",
    "require-statement-timeout": "each transaction sets it (`session.sql`)",
    "require-concurrent-index-creation": "indexes are made with their tables, or for a column that is new",
    "prefer-bigint-over-smallint": "slots, rings and lanes have few values",
    "prefer-bigint-over-int": "counts of the tries or the chunks of one message",
}


def test_squawk_finds_nothing_else() -> None:
    program = Path(sys.executable).with_name("squawk")
    found = subprocess.run(
        [program, "--assume-in-transaction", "--exclude", ",".join(LEFT_OUT), *SCRIPTS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


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
