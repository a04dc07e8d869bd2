"""Mail that is to leave at a later time: when it does, what counts from there, and what it never disturbs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbearer.engine import LONGEST_HOLD, Route, Router, RouteRule, Submission
from postbearer.envelope import Envelope
from postbearer.events import DeliveryEnded, Reported
from postbearer.reply import Reply
from postbearer.settings import Limits
from postbearer.store import Pause, Priority
from support.relay import APP, account, most_in_any, relaying

HOUR, DAY = 3600.0, 86_400.0


@pytest.mark.parametrize("days", [1, 10, 30])
async def test_it_leaves_at_its_time_and_not_before(days: int) -> None:
    async with relaying() as relay:
        at = relay.clock.now() + days * DAY
        message = await relay.submit(send_at=at)
        await relay.pass_time(days * DAY - 1)
        assert await relay.statuses(message) == ["scheduled"]
        await relay.pass_time(2)
        assert await relay.statuses(message) == ["delivered"]
        assert relay.providers["alerts"].sent[0].at == pytest.approx(at, abs=1)


@pytest.mark.parametrize("past", [-1.0, -40 * DAY, -1_800_000_000.0, 0.0])
async def test_what_is_past_is_now(past: float) -> None:
    async with relaying() as relay:
        message = await relay.submit(send_at=relay.clock.now() + past)
        await relay.settle()
        entry = await relay.entry(message)
        assert (entry.message.send_at, entry.rows[0].status) == (None, "delivered")


async def test_nothing_is_kept_for_longer_than_thirty_days() -> None:
    async with relaying() as relay:
        now = relay.clock.now()
        envelope = Envelope.of("app@example.org", ["a@example.net"])
        for send_at in (now + LONGEST_HOLD + 1, 253_402_300_799.0):
            begun = await relay.intake.begin(Submission(client=APP, envelope=envelope, send_at=send_at))
            assert isinstance(begun, Reply)
            assert str(begun) == "501 5.5.4 A message is held for 30 days at most"
        await relay.submit(send_at=now + LONGEST_HOLD)


async def test_its_life_and_the_warning_count_from_its_time() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = "451 4.3.0 later"
        message = await relay.submit(send_at=relay.clock.now() + 10 * DAY)
        await relay.pass_time(10 * DAY + 3.9 * HOUR)
        assert not relay.said(Reported)
        await relay.pass_time(2 * HOUR)
        assert [each.id for each in relay.said(Reported)] == [message]
        await relay.pass_time(4.7 * DAY)
        assert await relay.statuses(message) == ["deferred"]
        await relay.pass_time(DAY / 2)
        assert await relay.statuses(message) == ["expired"]


async def test_a_route_says_how_long_it_is_worth_from_then_on() -> None:
    rule = RouteRule(to=("*",), route=Route(account="alerts", priority=Priority.URGENT, expire_after=600.0))
    async with relaying(router=Router([rule])) as relay:
        at = relay.clock.now() + DAY
        message = await relay.submit(send_at=at)
        entry = await relay.entry(message)
        assert (entry.message.expires, entry.rows[0].priority) == (at + 600, Priority.URGENT)
        await relay.pass_time(DAY + 1)
        assert await relay.statuses(message) == ["delivered"]


async def test_who_is_paused_warns_nobody_of_what_was_not_to_leave_yet() -> None:
    pause = Pause(account="alerts", since=1_800_000_000.0, reason="by hand")
    async with relaying(account(), account("news"), pauses=[pause]) as relay:
        message = await relay.submit(send_at=relay.clock.now() + DAY)
        await relay.pass_time(DAY)
        assert await relay.dispatcher.warn_late() == 0
        await relay.pass_time(5 * HOUR)
        assert await relay.dispatcher.warn_late() == 1
        assert [each.id for each in relay.said(Reported)] == [message]


async def test_a_report_tells_that_it_was_to_wait() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].rcpt["anna@example.net"] = "550 5.1.1 no such user"
        at = relay.clock.now() + DAY
        await relay.submit(send_at=at)
        await relay.pass_time(DAY + 1)
        (report,) = relay.providers["alerts"].sent
        assert b"\r\nFuture-Release-Request: until; 2027-01-16T08:00:00Z\r\n" in report.content
        assert at == 1_800_086_400.0


async def test_its_age_counts_from_its_time() -> None:
    async with relaying() as relay:
        await relay.submit(send_at=relay.clock.now() + DAY)
        await relay.pass_time(DAY + 1)
        (ended,) = relay.said(DeliveryEnded)
        assert ended.age < 1


async def test_it_takes_no_slot_and_holds_up_nobody_before_its_time() -> None:
    async with relaying() as relay:
        late = [await relay.submit(send_at=relay.clock.now() + DAY) for _ in range(5)]
        soon = await relay.submit("ben@example.net")
        await relay.settle()
        assert await relay.statuses(soon) == ["delivered"]
        assert [await relay.statuses(each) for each in late] == [["scheduled"]] * 5


async def test_a_thousand_that_are_due_in_the_same_second_keep_to_the_limits(long: bool) -> None:
    many = 1000 if long else 150
    limited = account(limits=Limits(messages_per_minute=30))
    async with relaying(limited) as relay:
        at = relay.clock.now() + DAY
        messages = [await relay.submit(f"a{number}@example.net", send_at=at) for number in range(many)]
        await relay.pass_time(DAY - 1)
        assert relay.providers["alerts"].attempts == 0
        await relay.pass_time(60.0 * many / 30 + 120)
        times = [each.at for each in relay.providers["alerts"].sent]
        assert len(times) == many
        assert min(times) >= at
        assert most_in_any(60.0, times) <= 30
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * many


async def test_a_clock_that_is_set_forward_brings_the_time_near() -> None:
    async with relaying() as relay:
        message = await relay.submit(send_at=relay.clock.now() + 10 * DAY)
        await relay.settle()
        relay.clock.jump(10 * DAY)
        await relay.pass_time(600)  # looked at by then
        assert await relay.statuses(message) == ["delivered"]


async def test_a_clock_that_is_set_back_moves_it_away() -> None:
    async with relaying() as relay:
        message = await relay.submit(send_at=relay.clock.now() + DAY)
        relay.clock.jump(-DAY)
        await relay.pass_time(1.5 * DAY)
        assert await relay.statuses(message) == ["scheduled"]
        await relay.pass_time(0.6 * DAY)
        assert await relay.statuses(message) == ["delivered"]


async def test_every_part_of_it_waits() -> None:
    split = replace(account(), limits=Limits(recipients_per_message=2))
    async with relaying(split) as relay:
        to = [f"a{number}@example.net" for number in range(5)]
        message = await relay.submit(*to, send_at=relay.clock.now() + DAY)
        assert await relay.statuses(message) == ["scheduled"] * 5
        await relay.pass_time(DAY + 1)
        assert await relay.statuses(message) == ["delivered"] * 5
