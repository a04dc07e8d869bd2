"""What is counted for charts is counted by the commit that makes it so, and goes on over a restart."""

from __future__ import annotations

import pytest

from postbearer.store import Status
from postbearer.store.spool import DurableSpool
from postbearer.testing import ManualClock
from store.conftest import Make
from support.spooling import START, accept, claim, ending

MINUTE, HOUR, DAY = 60, 3600, 86_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


async def end(
    spool: DurableSpool, clock: ManualClock, status: Status, said: str, *, due: float | None = None
) -> None:
    """End the attempt that is due."""
    [claimed] = await claim(spool, now=clock.now() + DAY)
    await spool.settle(claimed, ending(claimed, status, at=clock.now(), reply=said, due=due))


async def counted(spool: DurableSpool, width: int = MINUTE, since: float = 0.0) -> list[dict[Status, int]]:
    return [dict(each.counts) for each in await spool.traffic(since, width)]


async def test_each_recipient_is_counted_in_the_minute_in_which_its_state_changed(
    make: Make, clock: ManualClock
) -> None:
    spool = make(True)
    await spool.open()
    await accept(spool, "m1", recipients=("a@example.net", "b@example.net"))
    clock.advance(MINUTE)
    await end(spool, clock, Status.DEFERRED, "451 4.3.0 Later", due=START + 60)
    clock.advance(MINUTE)
    await end(spool, clock, Status.DEFERRED, "451 4.3.0 Later", due=START + 120)  # they are deferred already
    await end(spool, clock, Status.DELIVERED, "250 Ok")
    each = [{Status.READY: 2}, {Status.DEFERRED: 2}, {Status.DELIVERED: 2}]
    assert await counted(spool) == each
    [begins, *_] = [one.begins for one in await spool.traffic(0.0, MINUTE)]
    assert begins <= START < begins + MINUTE
    assert await counted(spool, since=START + 2 * MINUTE) == each[2:]
    await spool.close()

    again = make(True)
    await again.open()
    await accept(again, "m2")
    [*_, last] = await counted(again)
    assert last == {Status.DELIVERED: 2, Status.READY: 1}
    whole = {Status.READY: 3, Status.DEFERRED: 2, Status.DELIVERED: 2}
    spans = await counted(again, HOUR)
    assert {state: sum(span.get(state, 0) for span in spans) for state in whole} == whole
    await again.close()


async def test_what_is_held_and_released_was_accepted_once(make: Make, clock: ManualClock) -> None:
    spool = make(True)
    await spool.open()
    await accept(spool, "m1")
    await spool.change("m1", Status.HELD, START)
    await spool.change("m1", Status.READY, START)
    assert await counted(spool) == [{Status.READY: 1, Status.HELD: 1}]
    await spool.close()


async def test_old_counts_are_forgotten(make: Make, clock: ManualClock) -> None:
    spool = make(True)
    await spool.open()
    await accept(spool, "m1")
    assert await counted(spool) == [{Status.READY: 1}]
    clock.advance(9 * DAY)
    await spool.retire(clock.now() - DAY)
    assert await counted(spool) == []
    await spool.close()


async def test_a_spool_that_keeps_no_events_counts_nothing(make: Make, clock: ManualClock) -> None:
    spool = make(False)
    await spool.open()
    await accept(spool, "m1")
    assert await counted(spool) == []
    await spool.close()
