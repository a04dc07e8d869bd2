"""A queue in a database with its outbox, a relay that picks up, and a role that may hand over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from postbearer.clock import SystemClock
from postbearer.engine import Intake, IntakeSettings, Router
from postbearer.events import Event
from postbearer.store import Entry, Query
from postbearer.store.postgres.outbox import PostgresOutbox
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.url import PostgresUrl
from postbearer.submission import Access, Admission, OutboxCollector, RateLimit
from servers.postgresql import Postgresql
from support.relay import account

ROLE = "shop"  # may do nothing but hand over


@dataclass
class Picking:
    """One relay at the outbox of `url`; nothing of what it takes leaves."""

    url: str
    database: Postgresql
    spool: PostgresSpool
    outbox: PostgresOutbox
    collector: OutboxCollector
    events: list[Event] = field(default_factory=list)

    @property
    def schema(self) -> str:
        return self.url.rpartition("=")[2]

    @property
    def dsn(self) -> str:
        """For programs, as the role that may hand over."""
        return self.database.url.replace("postgres@", f"{ROLE}@")

    async def messages(self) -> Sequence[Entry]:
        return await self.spool.search(Query(limit=1000))

    async def content(self, entry: Entry) -> bytes:
        return b"".join((await self.spool.content(entry.message)).blocks())

    def waiting(self) -> int:
        return int(self.database.sql(f"SELECT count(*) FROM {self.schema}.outbox"))

    def refused(self) -> str:
        return self.database.sql(f"SELECT reason FROM {self.schema}.outbox_refused")

    def notice(self, event: Event) -> None:
        self.events.append(event)


@asynccontextmanager
async def picking(
    database: Postgresql, url: str, *admissions: Admission, node: str = "a"
) -> AsyncIterator[Picking]:
    clock, place = SystemClock(), PostgresUrl.parse(url)
    spool = PostgresSpool(place, clock=clock, node=node)
    await spool.open()
    outbox, made = PostgresOutbox(place), account("alerts", sender="allow")
    events: list[Event] = []

    class Ears:
        def notice(self, event: Event) -> None:
            events.append(event)

    intake = Intake(
        spool,
        Router([], "alerts"),
        {"alerts": made},
        clock=clock,
        observer=Ears(),
        settings=IntakeSettings(hostname="relay.example.org", size=200_000),
    )
    access, limit = Access(admissions), RateLimit(clock)
    collector = OutboxCollector(outbox, intake, access, limit, clock=clock, observer=Ears())
    schema = url.rpartition("=")[2]
    if database.sql(f"SELECT count(*) FROM pg_roles WHERE rolname = '{ROLE}'") == "0":
        database.sql(f"CREATE ROLE {ROLE} LOGIN")
    database.sql(
        f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}",
        f"GRANT EXECUTE ON FUNCTION {schema}.send, {schema}.send_raw, {schema}.refused TO {ROLE}",
    )
    try:
        yield Picking(url, database, spool, outbox, collector, events)
    finally:
        await outbox.close()
        await spool.close()


@pytest.fixture
async def relay(database: Postgresql, schema: str) -> AsyncIterator[Picking]:
    async with picking(database, schema) as made:
        yield made


async def ended(*tasks: asyncio.Task[None]) -> None:
    """Cancelled, and done with what they had to put in order."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
