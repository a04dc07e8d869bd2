"""A database whose clock is set back, as by a failover to a server with a slow one: nothing waits for it."""

from __future__ import annotations

import pytest

from postbearer.store import LaneKey, Priority, Status
from postbearer.store.lease import LEASE
from postbearer.store.postgres import cursors
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql
from support.persisting import GivenKey
from support.spooling import accept, beside, claim, ending, statuses

pytestmark = pytest.mark.servers

LANE: LaneKey = ("work", Priority.NORMAL, "app")
HOURS = 3 * 3600.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look raises the floors."""
    monkeypatch.setattr(cursors, "HELD", 0.0)
    monkeypatch.setattr(cursors, "TIMES", 0.0)


async def test_what_another_node_takes_afterwards_is_found(queue: PostgresSpool, clock: ManualClock) -> None:
    await accept(queue, "before", due=clock.now())
    for each in await claim(queue, clock.now()):
        await queue.settle(each, ending(each, Status.DELIVERED))
    clock.advance(60.0)
    await queue.lanes(clock.now(), [LANE])  # nothing waits before that
    clock.jump(-HOURS)
    other = beside(queue, "b", clock)
    await other.open()
    await accept(other, "after", due=clock.now())
    await other.close()
    await queue.lanes(clock.now(), [LANE])
    [lane] = await queue.lanes(clock.now(), [LANE])
    [claimed] = await queue.claim({lane: 1}, clock.now())
    assert claimed.message.id == "after"


async def test_what_was_due_stays_due(queue: PostgresSpool, clock: ManualClock) -> None:
    """A relay goes by `time`, which goes on."""
    await accept(queue, "m1", due=clock.now())
    clock.jump(-HOURS)
    await accept(queue, "m2", due=clock.now())
    clock.advance(1.0)
    now = queue.time()
    assert now is not None
    found = await claim(queue, now, most=2)
    assert {each.message.id for each in found} == {"m1", "m2"}


async def test_what_a_dead_node_had_is_taken_as_soon_as_ever(
    queue: PostgresSpool, clock: ManualClock
) -> None:
    other = beside(queue, "dies", clock)
    await other.open()
    await accept(queue, "m1", due=clock.now())
    assert len(await claim(other, clock.now())) == 1
    clock.jump(-HOURS)
    await queue.heartbeat()
    assert await statuses(queue, "m1") == [Status.LEASED], "it may live"
    clock.advance(LEASE + 1)
    await queue.heartbeat()
    assert await statuses(queue, "m1") == [Status.DEFERRED]
    await other.close()


async def test_who_renewed_a_token_and_died_is_not_waited_for_all_that_time(
    schema: str, database: Postgresql, clock: ManualClock
) -> None:
    state = PostgresState(PostgresUrl.parse(schema), GivenKey())
    name = schema.rpartition("=")[2]
    try:
        store = state.token_store("work", "binding", clock=clock)
        async with store.lock():
            pass
        ahead = f"holder = 'dead', held = extract(epoch FROM now()) + {HOURS}"
        database.sql(f"UPDATE {name}.token SET {ahead}")
        document = state.document("alerts")
        async with document.alone() as alone:
            assert alone
        database.sql(f"UPDATE {name}.hold SET {ahead}")
        with pytest.raises(Exception, match="Another node renews the token"):
            async with store.lock():
                pass
        async with document.alone() as alone:
            assert not alone
        for table in ("token", "hold"):
            left = f"SELECT held - extract(epoch FROM now()) < 300 FROM {name}.{table} WHERE holder = 'dead'"
            assert database.sql(left) == "t"
    finally:
        state.close()
