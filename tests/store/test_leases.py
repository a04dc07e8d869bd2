"""Who has leased what, and until when: with several nodes on one queue, none of which trusts the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from postbearer.errors import LeaseLost, StoreError
from postbearer.store import HEARTBEAT, LEASE, Entry, Pause, Query, Spool, SqliteSpool, Status
from postbearer.testing import ManualClock
from support.relay import Ears
from support.spooling import START, accept, beside, claim, delivery, ending, message, statuses

Another = Callable[[str], Coroutine[Any, Any, Spool]]


@pytest.fixture
async def another(spool: Spool, clock: ManualClock) -> AsyncIterator[Another]:
    """Makes another node on the same queue, by name. The first one is called ``local``."""
    async with AsyncExitStack() as stack:

        async def made(node: str) -> Spool:
            other = beside(spool, node, clock)
            await other.open()
            stack.push_async_callback(other.close)
            return other

        yield made


async def entries(spool: Spool) -> list[Entry]:
    return [entry for each in await spool.search(Query()) if (entry := await spool.show(each.message.id))]


async def test_what_a_node_has_leased_is_not_taken_back_by_another_that_starts(
    spool: Spool, another: Another
) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    other = await another("b")
    assert await statuses(other, "m1") == [Status.LEASED]
    assert await claim(other, START + 1) == []
    assert await other.heartbeat() == []
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    assert await statuses(other, "m1") == [Status.DELIVERED]


async def test_a_restart_takes_back_its_own_and_says_which_may_have_arrived(
    spool: Spool, another: Another
) -> None:
    other = await another("b")
    await accept(spool, "m1")
    await accept(spool, "m2")
    [mine], [others] = await claim(spool), await claim(other)
    again = await another("local")
    assert await again.heartbeat() == []
    assert await statuses(again, "m1") == [Status.DEFERRED]
    assert await statuses(again, "m2") == [Status.LEASED]
    with pytest.raises(LeaseLost):
        await spool.settle(mine, ending(mine, Status.DELIVERED))
    await other.settle(others, ending(others, Status.DELIVERED))
    entry = await again.show("m1")
    assert entry is not None
    assert [(row.status, row.unknown) for row in entry.rows] == [(Status.DEFERRED, True)]


async def test_what_was_found_is_found_until_it_is_told(spool: Spool, clock: ManualClock) -> None:
    await accept(spool, "m1")
    assert await claim(spool)
    found = []
    for tells in (False, True, False):  # the first of them is killed before it could say anything
        again = beside(spool, "local", clock)
        found.append((await again.open()).doubtful)
        if tells:
            await again.told()
        await again.close()
    assert found == [("m1",), ("m1",), ()]


async def test_a_lease_is_over_when_its_node_does_not_renew_it(
    spool: Spool, another: Another, clock: ManualClock
) -> None:
    other = await another("b")
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    clock.advance(LEASE - 1)
    assert await other.heartbeat() == []
    clock.advance(1)
    assert await other.heartbeat() == ["m1"]
    entry = await other.show("m1")
    assert entry is not None
    assert [(row.status, row.unknown) for row in entry.rows] == [(Status.DEFERRED, True)]
    assert [attempt.unknown for attempt in entry.attempts] == [True]
    [again] = await claim(other, clock.now())
    assert again.attempt == claimed.attempt + 1


async def test_a_heartbeat_holds_them_all(spool: Spool, another: Another, clock: ManualClock) -> None:
    other = await another("b")
    for name in ("m1", "m2"):
        await accept(spool, name)
    claimed = await claim(spool, most=2)
    for _ in range(10):
        clock.advance(HEARTBEAT)
        assert await spool.heartbeat() == []
        assert await other.heartbeat() == []
        assert all(spool.holds(each) for each in claimed)
    for each in claimed:
        await spool.settle(each, ending(each, Status.DELIVERED))


async def test_a_claim_holds_them_too(spool: Spool, another: Another, clock: ManualClock) -> None:
    other = await another("b")
    for name in ("m1", "m2"):
        await accept(spool, name)
    [first] = await claim(spool)
    clock.advance(LEASE - 1)
    [second] = await claim(spool, clock.now())
    clock.advance(LEASE - 1)
    assert await other.heartbeat() == []
    assert spool.holds(first)
    assert spool.holds(second)


async def test_who_comes_too_late_changes_nothing(spool: Spool, another: Another, clock: ManualClock) -> None:
    """Stopped for longer than its lease, and continued."""
    other = await another("b")
    await accept(spool, "m1", recipients=("you@example.org", "me@example.org"))
    [claimed] = await claim(spool)
    clock.advance(LEASE)
    assert not spool.holds(claimed)  # so that nothing of it leaves any more
    assert await other.heartbeat() == ["m1"]
    before = await entries(other)
    for end in (Status.DELIVERED, Status.FAILED, Status.DEFERRED):
        with pytest.raises(LeaseLost):
            await spool.settle(claimed, ending(claimed, end, at=clock.now()))
    assert await entries(other) == before
    [again] = await claim(other, clock.now())
    with pytest.raises(LeaseLost):
        await spool.settle(claimed, ending(claimed, Status.DELIVERED, at=clock.now()))
    await other.settle(again, ending(again, Status.DELIVERED, at=clock.now()))
    assert await statuses(other, "m1") == [Status.DELIVERED] * 2


async def test_who_comes_late_and_was_not_missed_still_marks_what_it_sent(
    spool: Spool, another: Another, clock: ManualClock
) -> None:
    other = await another("b")
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    clock.advance(10 * LEASE)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED, at=clock.now()))
    assert await other.heartbeat() == []
    assert await statuses(other, "m1") == [Status.DELIVERED]


async def test_who_was_taken_for_dead_goes_on_under_a_new_run(
    spool: Spool, another: Another, clock: ManualClock
) -> None:
    other = await another("b")
    for name in ("m1", "m2"):
        await accept(spool, name)
    [lost] = await claim(spool)
    clock.advance(LEASE)
    assert await other.heartbeat() == ["m1"]
    assert await spool.heartbeat() == []
    assert not spool.holds(lost)
    [claimed] = await claim(spool, clock.now())
    assert (claimed.message.id, spool.holds(claimed)) == ("m2", True)
    assert await other.heartbeat() == []
    await spool.settle(claimed, ending(claimed, Status.DELIVERED, at=clock.now()))


async def test_what_is_accepted_and_leased_at_once_is_the_nodes_too(
    spool: Spool, another: Another, clock: ManualClock
) -> None:
    content = spool.stage("m1")
    await content.write(b"Subject: hi\r\n\r\n")
    made = message("m1", content)
    clock.advance(LEASE)  # nothing was leased for so long
    [claimed] = await spool.accept(made, content, [delivery(made, at_once=True)])
    other = await another("b")
    assert (await other.heartbeat(), spool.holds(claimed)) == ([], True)
    clock.advance(LEASE)
    assert await other.heartbeat() == ["m1"]


async def test_who_only_looks_after_a_queue_leases_nothing_and_takes_what_is_over(
    spool: Spool, another: Another, clock: ManualClock
) -> None:
    """A command beside the nodes."""
    for name in ("m1", "m2"):
        await accept(spool, name)
    await claim(spool)
    command = await another("")
    assert await statuses(command, "m1") == [Status.LEASED]
    assert await command.change("m2", Status.HELD, START) == 1
    assert await command.change("m2", Status.READY, START) == 1
    with pytest.raises(StoreError, match="leases nothing"):
        await claim(command)
    clock.advance(LEASE)
    late = await another("")
    assert await statuses(late, "m1") == [Status.DEFERRED]


async def test_what_another_node_changes_is_heard_of_by_the_next_heartbeat(
    spool: Spool, another: Another, clock: ManualClock
) -> None:
    other = await another("b")
    await spool.heartbeat()
    heard: list[object] = []
    spool.subscribe(heard.append, lambda: heard.append("pauses"))
    await spool.heartbeat()
    assert heard == []
    await other.pause(Pause(account="work", since=START, reason="refused"))
    async with asyncio.timeout(30.0):
        while "pauses" not in heard:  # in a database, nodes wake each other a moment behind the commit
            await spool.heartbeat()
    assert [pause.account for pause in await spool.pauses()] == ["work"]
    heard.clear()
    await spool.heartbeat()
    assert heard == []


async def test_who_takes_over_hears_that_something_may_go_on(
    spool: Spool, another: Another, clock: ManualClock
) -> None:
    other = await another("b")
    await accept(spool, "m1")
    assert await claim(spool)
    heard: list[object] = []
    other.subscribe(heard.append, lambda: None)
    clock.advance(LEASE)
    assert await other.heartbeat() == ["m1"]
    assert None in heard


async def test_the_time_of_a_lease_does_not_run_backwards(
    spool: Spool, another: Another, clock: ManualClock
) -> None:
    other = await another("b")
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    clock.jump(-86_400)
    assert await spool.heartbeat() == []
    clock.advance(LEASE - 1)
    assert await other.heartbeat() == []
    assert spool.holds(claimed)
    clock.advance(1)
    assert await other.heartbeat() == ["m1"]


async def test_renewing_costs_no_commit_of_a_message_and_nothing_of_who_rests(
    tmp_path: Path, clock: ManualClock
) -> None:
    ears = Ears()
    spool = SqliteSpool(tmp_path / "spool.db", clock=clock, reserve=0, allow_ephemeral=True, observer=ears)
    await spool.open()

    async def commits(work: Coroutine[Any, Any, Any]) -> tuple[int, Any]:
        before = len(ears.events)
        given = await work
        return len(ears.events) - before, given

    for name in ("m1", "m2"):
        await accept(spool, name)
    clock.advance(HEARTBEAT)
    count, [claimed] = await commits(claim(spool, clock.now()))  # and renewed with it
    assert (count, spool.holds(claimed)) == (1, True)
    assert (await commits(spool.heartbeat()))[0] == 1
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    clock.advance(10 * LEASE)
    assert (await commits(spool.heartbeat()))[0] == 0
    await spool.close()
