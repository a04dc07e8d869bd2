"""How far webhooks are, as the queue keeps it, and the events that they need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from postbearer.store import WaitingEvent, WebhookRow
from postbearer.store.spool import DurableSpool
from postbearer.testing import ManualClock
from store.conftest import Make
from support.spooling import START, accept

DAY = 86_400.0


@pytest.fixture
async def spool(make: Make) -> AsyncIterator[DurableSpool]:
    spool = make(True)
    await spool.open()
    yield spool
    await spool.close()


async def told(spool: DurableSpool) -> list[str]:
    return [each.message for each in await spool.history(0, 100)]


async def test_it_can_begin_while_the_queue_is_open(make: Make) -> None:
    spool = make(False)
    await spool.open()
    await accept(spool, "m1")
    for _ in range(2):
        await spool.keep_history()
    await accept(spool, "m2")
    assert await told(spool) == ["m2"]
    await spool.close()
    await (spool := make(None)).open()
    await accept(spool, "m3")
    assert await told(spool) == ["m2", "m3"]
    await spool.close()


async def test_how_far_a_webhook_is_outlives_the_process(spool: DurableSpool, clock: ManualClock) -> None:
    assert await spool.webhooks() == {}
    row = WebhookRow("shop", 7, arrived=1.0, failing=2.0, error="500", dropped=3)
    waiting = [WaitingEvent(number, "m1", 1.0, 2.0, tries) for number, tries in ((5, 1), (9, 0))]
    await spool.keep_webhook(row, waiting)
    await spool.keep_webhook(WebhookRow("other", 2))
    await spool.close()
    await spool.open()
    assert await spool.webhooks() == {"shop": (row, waiting), "other": (WebhookRow("other", 2), [])}
    row = replace(row, position=9, failing=None, disabled="gone", disabled_at=4.0)
    await spool.keep_webhook(row, [replace(waiting[1], tries=1)], [5])
    await spool.drop_webhook("other")
    assert await spool.webhooks() == {"shop": (row, [replace(waiting[1], tries=1)])}


async def test_what_a_webhook_needs_is_kept_for_longer_and_not_for_ever(
    spool: DurableSpool, clock: ManualClock
) -> None:
    for name in ("m1", "m2", "m3"):
        await accept(spool, name)
        clock.advance(DAY)
    first, second, third = [each.number for each in await spool.history(0, 10)]
    await spool.keep_webhook(WebhookRow("shop", third), [WaitingEvent(second, "m2", START, START, 1)])
    await spool.retire(clock.now() - 0.1)
    assert await spool.history_kept() == (second, third)
    await spool.keep_webhook(WebhookRow("shop", first), done=[second])
    await spool.retire(clock.now() - 0.1)
    assert await spool.history_kept() == (second, third)
    await spool.retire(clock.now() + 10 * DAY)
    assert await spool.history_kept() == (third, third)
    assert await spool.history_since(START + DAY) == third
    assert await spool.history_since(START + 9 * DAY) == 0
    assert [each.number for each in await spool.history(0, 10, "m3")] == [third]
    assert await spool.history(0, 10, "m1") == []
