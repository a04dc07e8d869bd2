"""A PostgreSQL of the benchmark's own, relays on it, and what its tables hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from _relays import folder

from postbearer.clock import SystemClock
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.url import PostgresUrl
from relay.running import Relay, relay_table
from servers.postgresql import USER, Postgresql
from support.persisting import KEY

SETTINGS = "shared_buffers = 256MB\nmax_wal_size = 4GB\ncheckpoint_timeout = 15min\n"
QUEUE_TABLES = ("message", "content", "delivery", "outcome", "ready")
_names = (f"bench{number}" for number in count(1))


@contextmanager
def server(settings: str = "") -> Iterator[Postgresql]:
    """It syncs, as PostgreSQL does."""
    with folder() as at:
        at.chmod(0o755)
        made = Postgresql(at / "pg", SETTINGS + settings)
        try:
            yield made
        finally:
            made.remove()


@contextmanager
def database(on: Postgresql) -> Iterator[str]:
    """The URL of an empty database, which is gone at the end."""
    name = next(_names)
    on.sql(f"CREATE DATABASE {name}")
    try:
        yield f"postgresql://{USER}@127.0.0.1:{on.port}/{name}"
    finally:
        on.sql(f"DROP DATABASE {name} WITH (FORCE)")


def spool(url: str, node: str = "bench") -> PostgresSpool:
    return PostgresSpool(PostgresUrl.parse(url), clock=SystemClock(), node=node)


def relay(at: Path, url: str, account: str, *lines: str, node: str = "bench") -> Relay:
    """A relay that is not started yet."""
    key = at / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    table = relay_table(f'spool = "{url}"', f'node = "{node}"', 'size = "200MiB"', *lines)
    return Relay(at, f'{account}{table}[vault]\nkey = "file:{key}"\n')


def sizes(on: Postgresql, url: str) -> tuple[float, float]:
    """MiB of the queue's tables with their indexes, and of what counts in them, written anew."""
    total = on_database(on, url, f"SELECT {_sum(QUEUE_TABLES)}")
    kept = f"SELECT slot, message AS number FROM postbearer.delivery WHERE {_counts('')}"
    statements = [f"CREATE TEMP TABLE kept AS {kept} GROUP BY 1, 2"]
    for table, column in (("message", "number"), ("content", "message"), ("delivery", "message")):
        statements += _copied(table, f"(slot, {column}) IN (SELECT slot, number FROM kept)")
    statements += _copied("outcome", "(slot, delivery) IN (SELECT slot, number FROM copy_delivery)")
    statements += _copied(
        "ready",
        "(delivery, turn) IN (SELECT number, turn FROM copy_delivery WHERE state = 'w')",
    )
    fresh = on_database(on, url, *statements, f"SELECT {_sum(QUEUE_TABLES, 'pg_temp.copy_')}")
    return float(total) / 2**20, float(fresh) / 2**20


def _counts(name: str) -> str:
    retired = "(SELECT value FROM postbearer.meta WHERE name = 'retired')"
    return f"{name}state <> 'x' OR {name}ended >= {retired}"


def _copied(table: str, where: str) -> list[str]:
    options = {"delivery": " WITH (fillfactor = 40)", "content": " WITH (toast_tuple_target = 8160)"}
    return [
        f"CREATE TEMP TABLE copy_{table} (LIKE postbearer.{table}_0 INCLUDING ALL){options.get(table, '')}",
        f"INSERT INTO copy_{table} SELECT * FROM postbearer.{table} WHERE {where}",
    ]


def _sum(tables: tuple[str, ...], prefix: str = "") -> str:
    if prefix:
        return " + ".join(f"pg_total_relation_size('{prefix}{table}')" for table in tables)
    return (
        "sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'postbearer' AND c.relkind = 'r' AND c.relname ~ "
        f"'^({'|'.join(tables)})_[0-9]+$'"
    )


def on_database(on: Postgresql, url: str, *statements: str) -> str:
    """What psql printed last."""
    words = [word for each in statements for word in ("-c", each)]
    text = on.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *words, url)
    return text.strip().splitlines()[-1] if text.strip() else ""


def numbered(text: str, *values: str) -> str:
    """A statement with its parameters put in: for pgbench, which numbers none."""
    code = re.sub(r"--[^\n]*", "", text)
    return re.sub(r"\$(\d+)", lambda found: values[int(found[1]) - 1], code).strip().rstrip(";")
