"""Each change of a recipient's state is kept by the commit that makes it: none is lost, none is made up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from postbearer.errors import LeaseLost
from postbearer.store import Status
from postbearer.store.spool import DurableSpool
from postbearer.testing import ManualClock
from store.conftest import Make
from support.spooling import START, accept, claim, ending

DAY = 86_400.0


@pytest.fixture
async def spool(make: Make) -> AsyncIterator[DurableSpool]:
    spool = make(True)
    await spool.open()
    yield spool
    await spool.close()


async def told(spool: DurableSpool, after: int = 0) -> list[tuple[str, str, str]]:
    """Message, recipient and state of each."""
    return [
        (each.message, each.recipient.partition("@")[0], f"{each.status}{'?' if each.unknown else ''}")
        for each in await spool.history(after, 1000)
    ]


async def end(
    spool: DurableSpool,
    clock: ManualClock,
    status: Status,
    said: str = "",
    *,
    due: float | None = None,
    unknown: bool = False,
) -> None:
    """End the attempt that is due, with the same for each recipient."""
    now = clock.now()
    [claimed] = await claim(spool, now=now + DAY)
    settlement = ending(claimed, status, at=now, reply=said, due=due)
    await spool.settle(claimed, replace(settlement, unknown=unknown))


async def test_the_way_of_a_message(spool: DurableSpool, clock: ManualClock) -> None:
    await accept(spool, "m1", recipients=("a@example.net", "b@example.net"), account="work", client="app")
    clock.advance(5.0)
    await end(spool, clock, Status.DEFERRED, "451 4.3.0 Later", due=START + 60)
    clock.advance(60.0)
    await end(spool, clock, Status.DEFERRED, "451 4.3.0 Later", due=START + 120)  # it stays as it is
    clock.advance(60.0)
    await end(spool, clock, Status.DELIVERED, "250 2.0.0 Ok")
    assert await told(spool) == [
        *[("m1", "a", "ready"), ("m1", "b", "ready")],
        *[("m1", "a", "deferred"), ("m1", "b", "deferred")],
        *[("m1", "a", "delivered"), ("m1", "b", "delivered")],
    ]
    found = await spool.history(0, 100)
    first, *_, last = found
    assert (first.at, first.client, first.account, first.said) == (START, "app", "work", "")
    assert (last.at, last.said) == (START + 125, "250 2.0.0 Ok")
    numbers = [each.number for each in found]
    assert numbers == sorted({*numbers})
    assert list(await spool.history(numbers[2], 2)) == found[3:5]
    assert await spool.history_kept() == (numbers[0], numbers[-1])


async def test_what_people_do_and_an_outcome_that_is_not_known(
    spool: DurableSpool, clock: ManualClock
) -> None:
    await accept(spool, "m1")
    await end(spool, clock, Status.DEFERRED, "451 4.3.0 Later", due=START)
    await end(spool, clock, Status.DEFERRED, unknown=True, due=START)
    await spool.change("m1", Status.HELD, clock.now())
    await spool.change("m1", Status.HELD, clock.now())
    await spool.change("m1", Status.READY, clock.now())
    await spool.change("m1", Status.CANCELLED, clock.now())
    found = await spool.history(0, 100)
    assert [f"{each.status}{'?' if each.unknown else ''}" for each in found] == [
        *("ready", "deferred", "deferred?", "held?", "ready?", "cancelled?"),
    ]
    assert [each.said for each in found] == ["", "451 4.3.0 Later", "", "", "", ""]  # a reply is told once


async def test_what_is_rolled_back_did_not_happen(spool: DurableSpool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    settlement = ending(claimed, Status.DELIVERED)
    await spool.settle(claimed, settlement)
    with pytest.raises(LeaseLost):
        await spool.settle(claimed, settlement)
    assert [each for _, _, each in await told(spool)] == ["ready", "delivered"]


async def test_they_outlive_the_process_and_go_on_where_they_were(make: Make) -> None:
    spool = make(True)
    await spool.open()
    await accept(spool, "m1")
    await claim(spool)
    await spool.close()
    spool = make(None)  # a command, for which it is as the relay wished
    await spool.open()  # what was under way is of unknown fate
    await spool.change("m1", Status.CANCELLED, START)
    await spool.close()
    spool = make(True)
    await spool.open()
    assert [each for _, _, each in await told(spool)] == ["ready", "deferred?", "cancelled?"]
    await spool.close()


@pytest.mark.parametrize("events", [False, None])
async def test_without_a_wish_for_it_nothing_is_kept(make: Make, events: bool | None) -> None:
    spool = make(events)
    await spool.open()
    await accept(spool, "m1")
    assert await told(spool) == []
    assert await spool.history_kept() == (0, 0)
    await spool.close()


async def test_what_is_old_goes_and_no_number_comes_twice(spool: DurableSpool, clock: ManualClock) -> None:
    for name in ("m1", "m2"):
        await accept(spool, name)
        await end(spool, clock, Status.DELIVERED, "250 Ok")
    *_, last = await spool.history(0, 100)
    await spool.retire(START + 1.0)
    assert await spool.history_kept() == (last.number, last.number)
    clock.advance(4 * DAY)
    await accept(spool, "m3")
    kept = await spool.history(0, 100)
    assert kept[0] == last
    assert kept[1].number > last.number
    await spool.retire(clock.now() - 3 * DAY)
    assert list(await spool.history(0, 100)) == kept[1:]
    await spool.close()
    await spool.open()
    await accept(spool, "m4")
    third, fourth = await spool.history(0, 100)
    assert (third, fourth.message) == (kept[1], "m4")
    assert fourth.number > third.number


async def test_a_message_that_is_gone_is_told_all_the_same(spool: DurableSpool, clock: ManualClock) -> None:
    await accept(spool, "m1", accepted=START - DAY, due=START - DAY)
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.FAILED, at=START - DAY, reply="550 No"))
    assert await spool.retire(START - 1.0) == 1
    assert await spool.show("m1") is None
    assert [each for _, _, each in await told(spool)] == ["ready", "failed"]
