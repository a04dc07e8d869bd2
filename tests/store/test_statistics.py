"""What is counted along is what there is: in every spool, through a whole life of its messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from postbearer.store import Query, Spool, Status, reads
from postbearer.testing import ManualClock
from support.spooling import START, accept, claim, ending, sqlite


async def test_what_is_counted_along_is_what_there_is(spool: Spool) -> None:
    """Through a whole life: taken, moved to another account, delivered, failed, held, cancelled, removed."""

    async def counted() -> None:
        kept = await spool.statistics()
        found: dict[str, Counter[Status]] = {}
        for entry in await spool.search(Query(limit=1_000)):
            for row in entry.rows:
                found.setdefault(row.account, Counter())[row.status] += 1
        assert kept.by_account == found
        assert kept.counts == sum(found.values(), Counter())

    for number in range(12):
        recipients = [f"{each}@example.org" for each in range(number % 3 + 1)]
        await accept(spool, f"m{number}", recipients=recipients, accepted=START + number)
    await counted()
    ends = (Status.DELIVERED, Status.FAILED, Status.DEFERRED, Status.HELD)
    for number, claimed in enumerate(await claim(spool, most=9)):
        await counted()
        end = ending(claimed, ends[number % 4], at=START + 1, due=START + 60)
        await spool.settle(claimed, replace(end, account="spare" if number % 4 == 2 else ""))
        await counted()
    assert (await spool.statistics()).oldest == START + 2  # the first two are at their end
    [claimed] = await claim(spool, START + 60, account="spare")
    await counted()
    await spool.change("m10", Status.CANCELLED, START)
    await spool.change("m11", Status.HELD, START)
    await counted()
    assert await spool.retire(START + 2) > 0
    await counted()


async def test_the_oldest_is_found_among_few_and_among_many(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, age in enumerate((50, 30, 90, 10)):
        await accept(spool, f"m{number}", accepted=START - age)
    assert (await spool.statistics()).oldest == START - 90
    monkeypatch.setattr(reads, "FEW", 0)
    assert (await spool.statistics()).oldest == START - 90
    for number in range(4):
        await spool.change(f"m{number}", Status.HELD, START)
    assert (await spool.statistics()).oldest == START - 90


async def test_an_attempt_that_a_restart_ended_is_counted_as_what_it_is_now(tmp_path: Path) -> None:
    for _ in range(2):
        spool = sqlite(tmp_path, ManualClock(START))
        await spool.open()
        if await spool.search(Query()):
            break
        await accept(spool, "m1")
        await claim(spool)
        assert (await spool.statistics()).counts == {Status.LEASED: 1}
        await spool.close()
    assert (await spool.statistics()).counts == {Status.DEFERRED: 1}
    await spool.close()
