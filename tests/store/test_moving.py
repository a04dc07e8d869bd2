"""A queue moves from a file to a database and back, while mail comes and the old one drains."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from postbearer.clock import SystemClock
from postbearer.control.acts import AuditRecorder
from postbearer.control.principal import Principal
from postbearer.control.transfer import Transfer
from postbearer.errors import StoreError
from postbearer.events import Silent
from postbearer.store import Query, Spool, SqliteSpool, Status
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.url import PostgresUrl
from support.spooling import TEXT, accept, claim, ending
from support.waiting import until

pytestmark = pytest.mark.servers

BY = Principal("anna", "uid 1000", frozenset())
OPEN = (Status.READY, Status.DEFERRED, Status.HELD, Status.LEASED)
BEFORE, MEANWHILE = 60, 40  # messages


class Queue:
    """A spool, the programs that hand in to it, and the workers that send from it."""

    def __init__(self, spool: Spool, name: str) -> None:
        self.spool = spool
        self.transfer = Transfer(spool, AuditRecorder(spool, SystemClock(), Silent()))
        self.accepted: list[str] = []
        self.sent: Counter[str] = Counter()
        self._name = name

    async def take(self, count: int) -> None:
        for number in range(count):
            name = f"{self._name}{number}"
            await accept(self.spool, name, text=TEXT + name.encode() + b"\r\n")
            self.accepted.append(name)

    async def send(self, until: Callable[[], bool]) -> None:
        while not until():
            for each in await claim(self.spool, most=3):
                content = b"".join((await self.spool.content(each.message)).blocks())
                assert content.endswith(each.message.id.encode() + b"\r\n")
                self.sent[each.message.id] += 1
                await asyncio.sleep(0.001)  # its server answers
                await self.spool.settle(each, ending(each, Status.DELIVERED))
            await asyncio.sleep(0.001)

    async def open(self, *statuses: Status) -> list[str]:
        entries = await self.spool.search(Query(statuses=statuses or OPEN, limit=1000))
        return [entry.message.id for entry in entries]


@pytest.fixture
async def queues(tmp_path: Path, schema: str) -> AsyncIterator[dict[str, Queue]]:
    clock = SystemClock()
    spools: dict[str, Spool] = {
        "sqlite": SqliteSpool(tmp_path / "spool.db", clock=clock, reserve=0, allow_ephemeral=True),
        "postgresql": PostgresSpool(PostgresUrl.parse(schema), clock=clock, node="one"),
    }
    for spool in spools.values():
        await spool.open()
    yield {name: Queue(spool, f"{name}-") for name, spool in spools.items()}
    for spool in spools.values():
        await spool.close()


async def moved(old: Queue, new: Queue) -> int:
    """As the page says: hold until all is held, export, import, cancel what was moved, release it there."""
    now = SystemClock().now()
    while others := await old.open(*(each for each in OPEN if each is not Status.HELD)):
        for name in others:
            await old.spool.change(name, Status.HELD, now)  # what is being sent now is not touched
        await asyncio.sleep(0.001)
    lines = [json.dumps(record).encode() async for record in old.transfer.export()]
    held = {entry.message.id for entry in await old.spool.search(Query(statuses=(Status.HELD,), limit=1000))}

    async def records() -> AsyncIterator[bytes]:
        for line in lines:
            yield line

    taken = await new.transfer.import_(records(), by=BY)
    assert await new.transfer.import_(records(), by=BY) == 0  # a second time changes nothing
    for name in held:
        await old.spool.change(name, Status.CANCELLED, now)
        await new.spool.change(name, Status.READY, now)
    return taken


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
async def test_nothing_is_lost_and_nothing_is_sent_twice(
    queues: dict[str, Queue], source: str, target: str
) -> None:
    old, new = queues[source], queues[target]
    await old.take(BEFORE)
    done = asyncio.Event()
    workers = [asyncio.create_task(each.send(done.is_set)) for each in (old, new)]
    programs = asyncio.create_task(new.take(MEANWHILE))  # they hand in at the new one by now
    await until(lambda: old.sent)
    taken = await moved(old, new)
    await programs
    async with asyncio.timeout(30.0):
        while await old.open() or await new.open():  # noqa: ASYNC110 - they send
            await asyncio.sleep(0.01)
    done.set()
    await asyncio.gather(*workers)
    assert taken > 0
    assert set(old.sent) & set(new.sent) == set()
    assert set(old.sent) | set(new.sent) == {*old.accepted, *new.accepted}
    assert max((old.sent + new.sent).values()) == 1


async def test_an_import_that_breaks_off_is_begun_again(queues: dict[str, Queue]) -> None:
    old, new = queues["sqlite"], queues["postgresql"]
    await old.take(6)
    lines = [json.dumps(record).encode() async for record in old.transfer.export()]

    async def records(most: int) -> AsyncIterator[bytes]:
        for line in lines[:most]:
            yield line
        if most < len(lines):
            raise StoreError("The other end went away.")

    with pytest.raises(StoreError):
        await new.transfer.import_(records(8), by=BY)  # within the third message
    assert len(await new.open()) == 2
    assert await new.transfer.import_(records(len(lines)), by=BY) == 4
    assert sorted(await new.open()) == sorted(old.accepted)
