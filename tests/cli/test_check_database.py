"""postbearer check where the queue is in a database: what it shows of that, and what it says of a bad one."""

from __future__ import annotations

import json

import pytest

from cli.conftest import Home, Ran
from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.testing import Sandbox
from servers.postgresql import Postgresql
from support.persisting import KEY
from support.spooling import postgresql

pytestmark = pytest.mark.servers


@pytest.fixture
def sandbox(sandbox_microsoft: Sandbox) -> Sandbox:
    return sandbox_microsoft


def check(home: Home, sandbox: Sandbox, spool: str, *arguments: str, key: str = KEY) -> Ran:
    (home.folder / "key").write_text(key)
    (home.folder / "key").chmod(0o600)
    relay = f'[relay]\nspool = "{spool}"\n[vault]\nkey = "file:{home.folder}/key"\n'
    home.write(sandbox.configuration() + relay)
    return home.run("check", *arguments)


async def test_it_shows_the_database(home: Home, sandbox: Sandbox, schema: str, database: Postgresql) -> None:
    spool = postgresql(schema, SystemClock(), node="one")
    await spool.open()
    ran = check(home, sandbox, schema)
    await spool.close()
    assert (ran.code, ran.err) == (0, "")
    told = " ".join(ran.out.split())
    assert "as postgres: PostgreSQL 15." in told
    assert "in UTF8, without TLS" in told
    assert "commits are synced; synchronous standbys: none" in told
    assert "! No synchronous standby: a failover of the database loses" in told
    assert "relays: 1; autovacuum on, last" in told
    assert "✓ AUTH" in ran.out
    found = json.loads(check(home, sandbox, schema, "--json").out)
    assert [each["account"] for each in found["accounts"]] == ["", "sandbox"]
    details = found["accounts"][0]["findings"][0]["details"]
    assert details["version"] == details["wanted"] > 0
    assert details["size"] > 0
    assert details["role"] == "postgres"


def test_where_no_queue_is_yet(home: Home, sandbox: Sandbox, database: Postgresql) -> None:
    database.sql("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    url = f"{database.url.replace('postgres@', 'guest@')}?schema=not_made"
    told = " ".join(check(home, sandbox, url).out.split())
    assert "– database there is no queue yet: the first relay makes it" in told
    assert "! The role guest may make no schema there" in told


@pytest.mark.parametrize(
    ("spool", "code", "told"),
    [
        (
            "postgresql://me:canary-77@db/x",
            78,
            "relay.spool: cannot hold a password. → host operator: Keep it in",
        ),
        ("postgresql://me@127.0.0.1:9/x", 75, "The database cannot be reached (postgresql://127.0.0.1:9/x,"),
    ],
)
def test_a_database_that_cannot_be_used(
    home: Home, sandbox: Sandbox, spool: str, code: int, told: str
) -> None:
    ran = check(home, sandbox, spool)
    assert ran.code == code
    assert told in " ".join(ran.out.split()).replace("The configuration is wrong. ", "")
    assert "canary" not in ran.out + ran.err


async def test_relays_with_another_key(home: Home, sandbox: Sandbox, schema: str) -> None:
    assert check(home, sandbox, schema).code == 0
    assembly = Assembly.load(home.config)
    await assembly.persistence.verify(mark=True)
    assert check(home, sandbox, schema).code == 0
    ran = check(home, sandbox, schema, key="c" * 43 + "=")
    assert ran.code == 78
    assert "This queue is that of relays with another vault.key" in " ".join(ran.out.split())
