"""The order in which deliveries wait: what is over is not walked over again, and nothing is passed over."""

from __future__ import annotations

import asyncio

import pytest

from postbearer.errors import ConfigError
from postbearer.store import LaneKey, Priority, Status
from postbearer.store.postgres import cursors, upkeep
from postbearer.store.postgres.cursors import LATE, STEP, LaneCursors, StoreClock
from postbearer.store.postgres.cursors import START as FIRST
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.url import PostgresUrl
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql
from support.spooling import START, accept, beside, claim, ending

LANE: LaneKey = ("work", Priority.NORMAL, "app")


def settled(when: float) -> StoreClock:
    """The clock of a database that does not go back."""
    return StoreClock(when, 0.0, 0.0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look raises the floors."""
    monkeypatch.setattr(cursors, "HELD", 0.0)
    monkeypatch.setattr(cursors, "TIMES", 0.0)


def test_a_floor_is_where_the_first_one_waits_or_where_others_may_still_put_something() -> None:
    known = LaneCursors()
    known.settle(0.0, [LANE], {LANE: (500.0, 0)}, settled(900.0))
    assert known.floor(LANE) == (500.0, 0)
    known.settle(0.0, [LANE], {}, settled(700.0))
    assert known.floor(LANE) == (700.0 - LATE - STEP, 0)
    known.settle(0.0, [LANE], {LANE: (9000.0, 0)}, settled(800.0))
    assert known.floor(LANE) == (800.0 - LATE - STEP, 0)
    known.settle(0.0, [LANE], {LANE: (1.0, 0)}, settled(2.0))
    assert known.floor(LANE) == (800.0 - LATE - STEP, 0), "it never sinks"


def test_there_is_no_floor_once_the_clock_went_back() -> None:
    known = LaneCursors()
    known.settle(0.0, [LANE], {}, StoreClock(settled=900.0, least=99.9, most=100.1))
    known.settle(0.0, [LANE], {}, StoreClock(settled=901.0, least=99.6, most=103.0))  # slow to answer
    assert known.floor(LANE) == (901.0 - LATE - STEP, 0)
    known.settle(0.0, [LANE], {}, StoreClock(settled=300.0, least=-500.1, most=-500.0))
    assert known.floor(LANE) == FIRST
    known.settle(0.0, [LANE], {}, StoreClock(settled=301.0, least=-500.1, most=-500.0))
    assert known.floor(LANE) == (301.0 - LATE - STEP, 0)


@pytest.mark.servers
async def test_the_walk_begins_behind_what_is_over(queue: PostgresSpool, clock: ManualClock) -> None:
    for number in range(20):
        await accept(queue, f"m{number}")
    for each in await claim(queue, most=20):
        await queue.settle(each, ending(each, Status.DELIVERED))
    clock.advance(60.0)
    known = queue._places.cursors
    assert known.floor(LANE) == FIRST
    assert await queue.lanes(clock.now(), [LANE]) == []
    assert START + 50 < known.floor(LANE)[0] <= clock.now()


@pytest.mark.servers
async def test_what_another_node_puts_before_is_found(queue: PostgresSpool, clock: ManualClock) -> None:
    """Its own clock is behind, or it took its time."""
    await queue.lanes(clock.now(), [LANE])
    clock.advance(600.0)
    await queue.lanes(clock.now(), [LANE])
    other = beside(queue, "b", clock)
    await other.open()
    await accept(other, "late", due=START - 3600)
    [lane] = await queue.lanes(clock.now(), [LANE])
    [claimed] = await queue.claim({lane: 1}, clock.now())
    assert claimed.message.id == "late"
    await other.close()


@pytest.mark.servers
async def test_a_floor_stays_behind_who_writes_for_long(
    queue: PostgresSpool, database: Postgresql, clock: ManualClock
) -> None:
    """What it puts there is due, at the earliest, when it began."""
    writing = await queue._pool.connect()
    await writing.execute("BEGIN")
    await writing.fetchval("SELECT pg_current_xact_id()")
    await asyncio.sleep(0.3)
    await queue.lanes(clock.now(), [LANE])
    assert queue._places.cursors.floor(LANE)[0] <= clock.now() - 0.3 - LATE - STEP
    await writing.execute("ROLLBACK")
    await writing.close()
    await queue.lanes(clock.now(), [LANE])
    assert queue._places.cursors.floor(LANE)[0] > clock.now() - 0.3 - LATE - STEP


@pytest.mark.servers
async def test_a_part_goes_to_the_end_in_pieces_while_others_claim(
    queue: PostgresSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "RING_FULL", 0)
    monkeypatch.setattr(upkeep, "MOSTLY", 0)  # whatever is in it
    monkeypatch.setattr(upkeep, "AT_ONCE", 3)
    for number in range(20):
        await accept(queue, f"m{number}")
    found: list[str] = []

    async def claims() -> None:
        while len(found) < 20:
            for each in await claim(queue, most=2):
                found.append(each.message.id)
                await queue.settle(each, ending(each, Status.DELIVERED))

    async def turns() -> None:
        for _ in range(10):
            await upkeep.upkeep(queue._pool, retire=False)

    async with asyncio.timeout(60.0):
        await asyncio.gather(claims(), turns())
    assert sorted(found) == sorted({f"m{number}" for number in range(20)})


def test_a_cache_of_statements_is_left_out_or_nothing() -> None:
    with pytest.raises(ConfigError, match="statement_cache_size=7"):
        PostgresUrl.parse("postgresql://db.example.org/mail?statement_cache_size=7")
