"""Twenty open pages ask the queue as often as one; what was done is seen at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from console.conftest import Person, statements_read
from console.test_pages import ids
from postbearer.console.shared_reads import EVERY, SharedReads
from postbearer.testing import ManualClock
from support.shown_relay import fill

ROUNDS = 12  # looks of each open page: a minute


@pytest.fixture
def statements() -> Iterator[Counter[str]]:
    """How often each statement was run by a connection that only reads."""
    found: Counter[str] = Counter()

    def note(statement: str, values: object) -> None:
        found[statement] += 1

    with statements_read(note):
        yield found


@pytest.mark.parametrize("kind", ["overview", "queue", "filtered", "message"])
async def test_twenty_open_pages_cost_at_most_a_tenth_more_than_one(
    statements: Counter[str], person: Person, kind: str
) -> None:
    """Each looks every five seconds, counted from when it was opened: not all of them at once."""
    shown = person.shown
    await fill(shown)
    await shown.pause("billing")  # so that the relay asks nothing itself
    await person.open()
    [waits, _] = await ids(shown, account="news")
    paths = {
        "overview": "/",
        "queue": "/queue",
        "filtered": "/queue?q=newer:1h",
        "message": f"/messages/{waits}",
    }
    clock = ManualClock()
    shown.running._http._state.looks._clock = clock

    async def watch(pages: int) -> int:
        statements.clear()
        for _ in range(ROUNDS * pages):
            answer = await person.get(paths[kind], headers={"hx-request": "true"})
            assert answer.status_code == 200
            clock.advance(EVERY / pages)
        return statements.total()

    await watch(1)
    one, twenty = await watch(1), await watch(20)
    assert one >= ROUNDS  # each look of a page that is alone sees what is new
    assert twenty <= one * 1.1, statements


async def test_what_was_done_is_seen_at_once_by_everybody(person: Person) -> None:
    await fill(person.shown)
    await person.open()
    [waits, _] = await ids(person.shown, account="news")
    place = f"/messages/{waits}"
    for act, seen in (("hold", ">held<"), ("release", ">waiting<"), ("cancel", ">cancelled<")):
        assert seen not in (await person.page(place)).partition('id="way"')[0]
        await person.send(f"{place}/act", {"act": act, "confirmed": "1"})
        for polled in ({}, {"hx-request": "true"}):
            assert seen in (await person.get(place, headers=polled)).text
            assert seen in (await person.get(f"/queue?q={waits}", headers=polled)).text


async def test_what_is_read_while_something_is_done_is_not_kept() -> None:
    reads, begun, goes_on, count = SharedReads(ManualClock()), asyncio.Event(), asyncio.Event(), 0

    async def read(before: int | None) -> int:
        nonlocal count
        count += 1
        begun.set()
        await goes_on.wait()
        return count

    first = asyncio.create_task(reads.take("x", 60.0, read))
    await begun.wait()
    reads.forget()
    goes_on.set()
    assert await first == 1
    assert await reads.take("x", 60.0, read) == 2
    assert await reads.take("x", 60.0, read) == 2
    assert await reads.take("y", 60.0, read) == 3


async def test_what_fails_is_read_again_and_many_readings_take_little_room() -> None:
    reads = SharedReads(ManualClock())

    async def fail(before: int | None) -> int:
        raise OSError("no")

    async def read(before: int | None) -> int:
        return 1

    with pytest.raises(OSError, match="no"):
        await reads.take("x", 60.0, fail)
    assert await reads.take("x", 60.0, read) == 1
    for number in range(1000):
        await reads.take(number, 60.0, read)
    assert len(reads._kept) <= 200
