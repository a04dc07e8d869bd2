"""A webhook at work: each event at least once, those of one message in order, whatever the receiver does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from postbearer.events import WebhookDisabled, WebhookFailing, WebhookWorks
from postbearer.http_addresses import AddressRules
from postbearer.secret import GivenSecret, Secret
from postbearer.store import Status, WebhookRow
from postbearer.timestamps import format_timestamp
from postbearer.webhooks.schedule import WAITS
from support.hooks import Hooks, hang_up, huge, no_http, receiving
from support.spooling import accept
from support.webhooks import Hooked

QUEUED, CANCELED = "message.queued", "message.canceled"
DAY = 86_400.0


async def test_what_becomes_of_a_message_is_told_signed_and_in_order(hooked: Hooked) -> None:
    await hooked.happens("m1")
    await hooked.until(lambda: len(hooked.hooks.calls) == 2)
    assert hooked.told() == [("m1", QUEUED), ("m1", CANCELED)]
    first, second = hooked.hooks.calls
    assert first.json["timestamp"] == format_timestamp(first.json["data"]["at"])
    assert first.json["data"]["recipient"] == "a@example.net"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["webhook-id"].startswith("evt_")
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    assert b"canary" not in first.body + repr(first.headers).encode()


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ((500, {}), "It answered 500."),
        ((302, {"location": "http://127.0.0.1:1/else"}), "a redirect, which is not followed"),
        ((404, {}), "It answered 404."),
        (hang_up, "127.0.0.1"),
        (no_http, "did not answer in HTTP"),
    ],
)
async def test_it_is_tried_again_by_the_schedule(hooked: Hooked, odd: object, why: str) -> None:
    hooked.hooks.answers += [odd, odd]  # type: ignore[list-item]
    await hooked.happens("m1")
    await hooked.until(lambda: len(hooked.hooks.calls) == 1)
    await hooked.until(lambda: hooked.worker._row.failing is not None)
    state = await hooked.state()
    assert why in state.row.error
    assert state.word == "failing"
    assert state.next_try is not None
    assert abs(state.next_try - hooked.clock.now() - WAITS[0]) < 2
    hooked.clock.advance(WAITS[0])
    await hooked.until(lambda: len(hooked.hooks.calls) == 2)
    await hooked.until(lambda: hooked.worker._backlog.next_due is not None)
    hooked.clock.advance(WAITS[0])
    await asyncio.sleep(0.1)
    assert len(hooked.hooks.calls) == 2  # now it is five minutes
    hooked.clock.advance(WAITS[1])
    await hooked.until(lambda: len(hooked.hooks.calls) == 4)
    assert hooked.told() == [("m1", QUEUED)] * 3 + [("m1", CANCELED)]
    assert len({call.headers["webhook-id"] for call in hooked.hooks.calls[:3]}) == 1
    times = [int(call.headers["webhook-timestamp"]) for call in hooked.hooks.calls[:3]]
    assert times[1] - times[0] >= WAITS[0] - 1  # of the attempt, so that no receiver takes it for a replay
    await hooked.until(lambda: hooked.worker._row.failing is None)
    assert (await hooked.state()).word == "working"


async def test_a_receiver_that_does_not_answer_is_left_in_time(hooked: Hooked) -> None:
    hooked.wants(timeout=0.2)
    hooked.hooks.delay = 0.6
    await hooked.happens("m1")
    await hooked.until(lambda: hooked.worker._row.failing is not None)
    assert "did not answer within 0.2 s" in hooked.worker._row.error


async def test_an_answer_without_an_end_is_an_answer(hooked: Hooked) -> None:
    hooked.hooks.answers.append(huge)
    await hooked.happens("m1")
    await hooked.until(lambda: len(hooked.hooks.calls) == 2)
    assert hooked.told() == [("m1", QUEUED), ("m1", CANCELED)]


async def test_what_the_receiver_asks_for_is_heeded(hooked: Hooked) -> None:
    hooked.hooks.answers.append((429, {"retry-after": "7200"}))
    await hooked.happens("m1")
    await hooked.until(lambda: hooked.worker._row.failing is not None)
    await hooked.happens("m2")  # nor is it called for anything else
    hooked.clock.advance(7000.0)
    await asyncio.sleep(0.1)
    assert len(hooked.hooks.calls) == 1
    hooked.clock.advance(300.0)
    await hooked.until(lambda: len(hooked.hooks.calls) == 5)


async def test_one_message_that_fails_holds_up_no_other(hooked: Hooked) -> None:
    hooked.hooks.by_message["m1"] = 500
    await hooked.happens("m1", *(f"n{number}" for number in range(10)))
    await hooked.until(lambda: sum(name != "m1" for name, _ in hooked.told()) == 20)
    for number in range(10):
        told = [word for name, word in hooked.told() if name == f"n{number}"]
        assert told == [QUEUED, CANCELED]
    assert {word for name, word in hooked.told() if name == "m1"} == {QUEUED}
    hooked.hooks.by_message.clear()
    hooked.clock.advance(DAY)
    await hooked.until(lambda: ("m1", CANCELED) in hooked.told())


async def test_an_event_nobody_takes_is_given_up_in_days_and_said(hooked: Hooked) -> None:
    hooked.hooks.by_message["m1"] = 500
    await hooked.happens("m1")
    for number in range(40):
        hooked.clock.advance(DAY / 4)
        await hooked.happens(f"n{number}")
        await hooked.until(lambda number=number: (f"n{number}", CANCELED) in hooked.told())  # type: ignore[misc]
        if hooked.worker._row.dropped:
            break
    assert hooked.told().count(("m1", QUEUED)) == len(WAITS) + 1
    [warning] = [each for each in hooked.warnings() if "given up" in each]
    assert "postbearer hooks replay shop --from 1 --message m1" in warning
    assert hooked.worker._row.dropped == 1
    await hooked.until(lambda: ("m1", CANCELED) in hooked.told())  # what comes behind it has its own tries


async def test_an_endpoint_that_is_dead_is_asked_little_and_disabled_in_days(hooked: Hooked) -> None:
    hooked.hooks.always = (500, {})
    await hooked.happens(*(f"m{number}" for number in range(50)))
    await hooked.until(lambda: len(hooked.heard(WebhookFailing)) == 1)
    for _ in range(6 * 24):
        hooked.clock.advance(3600.0)
        for _ in range(5):
            await asyncio.sleep(0.002)
    await hooked.until(lambda: bool(hooked.heard(WebhookDisabled)))
    assert "Nothing has arrived since" in hooked.worker._row.disabled
    assert len(hooked.hooks.calls) < 6 * 24 * 5  # five in an hour
    assert len(hooked.heard(WebhookFailing)) == 1
    # And that lasts, also over a restart, until somebody enables it: then all of it arrives.
    await hooked.stop()
    hooked.hooks.always = (204, {})
    hooked.hooks.calls.clear()
    await hooked.start()
    await hooked.happens("late")
    hooked.clock.advance(2 * DAY)
    await asyncio.sleep(0.2)
    assert hooked.hooks.calls == []
    assert (await hooked.state()).word == "disabled"
    await hooked.worker.enable()
    await hooked.until(lambda: len(hooked.hooks.calls) == 102)
    for name in (*(f"m{number}" for number in range(50)), "late"):
        assert [word for message, word in hooked.told() if message == name] == [QUEUED, CANCELED]


async def test_one_that_is_gone_is_called_no_more(hooked: Hooked) -> None:
    hooked.hooks.answers.append((410, {}))
    await hooked.happens("m1")
    await hooked.until(lambda: bool(hooked.heard(WebhookDisabled)))
    await hooked.until(lambda: hooked.worker._written.disabled != "")
    await hooked.happens("m2")
    await hooked.stop(killed=True)
    await hooked.start()
    hooked.clock.advance(DAY)
    await asyncio.sleep(0.1)
    assert len(hooked.hooks.calls) == 1
    await hooked.worker.enable()
    await hooked.until(lambda: len(hooked.hooks.calls) == 5)


async def test_an_endpoint_that_is_back_gets_all_at_once(hooked: Hooked) -> None:
    hooked.hooks.always = (503, {})
    await hooked.happens(*(f"m{number}" for number in range(20)))
    await hooked.until(lambda: len(hooked.heard(WebhookFailing)) == 1)
    await asyncio.sleep(0.1)
    for wait in WAITS[:4]:
        hooked.clock.advance(wait + 1)
        await asyncio.sleep(0.1)
    before = len(hooked.hooks.calls)
    hooked.hooks.always = (204, {})
    _, result = await hooked.worker.test()
    assert result.arrived
    await hooked.until(lambda: len(hooked.hooks.calls) == before + 1 + 40)
    assert len(hooked.heard(WebhookWorks)) == 1


async def test_nothing_is_lost_by_a_kill_and_no_message_out_of_order(hooked: Hooked) -> None:
    hooked.hooks.by_message["m3"] = 500
    for number in range(12):
        await hooked.happens(f"m{number}")
        await hooked.until(lambda number=number: len(hooked.hooks.calls) > number)  # type: ignore[misc]
        if number % 3 == 2:
            await hooked.stop(killed=True)
            await hooked.start()
    hooked.hooks.by_message.clear()
    hooked.clock.advance(DAY)
    await hooked.until(lambda: {(f"m{n}", CANCELED) for n in range(12)} <= {*hooked.told()})
    await asyncio.sleep(0.1)
    for number in range(12):
        told = [word for message, word in hooked.told() if message == f"m{number}"]
        assert list(dict.fromkeys(told)) == [QUEUED, CANCELED]
        assert set(told) == {QUEUED, CANCELED}
    ids = {
        (call.json["data"]["message"], call.json["type"]): call.headers["webhook-id"]
        for call in hooked.hooks.calls
    }
    assert len(set(ids.values())) == 24  # however often each came


async def test_after_an_orderly_end_nothing_comes_twice(hooked: Hooked) -> None:
    await hooked.happens("m1", "m2")
    await hooked.until(lambda: len(hooked.hooks.calls) == 4)
    await hooked.all_answered()
    await hooked.stop()
    await hooked.start()
    await hooked.happens("m3")
    await hooked.until(lambda: len(hooked.hooks.calls) == 6)
    assert hooked.told()[4:] == [("m3", QUEUED), ("m3", CANCELED)]


async def test_only_what_is_wanted(hooked: Hooked) -> None:
    hooked.wants(events=frozenset({CANCELED}), accounts=frozenset({"out"}))
    await hooked.happens("m1")
    now = hooked.clock.now()
    await accept(hooked.spool, "m2", account="other", accepted=now, due=now)
    await hooked.spool.change("m2", Status.CANCELLED, now)
    await hooked.happens("m3")
    await hooked.until(lambda: len(hooked.hooks.calls) == 2)
    assert sorted(hooked.told()) == [("m1", CANCELED), ("m3", CANCELED)]
    [first, *_] = await hooked.spool.history(0, 1)
    hooked.wants(events=frozenset(), clients=frozenset({"app"}))
    assert hooked.target.wants(first)
    assert not hooked.target.wants(replace(first, client="web"))
    hooked.wants(clients=frozenset(), tags=frozenset({("customer", "42"), ("customer", "43")}))
    assert hooked.target.wants(replace(first, tags=(("customer", "43"), ("kind", "bill"))))
    assert not hooked.target.wants(replace(first, tags=(("customer", "4"), ("kind", "42"))))
    assert not hooked.target.wants(first)


async def test_replay_from_an_event_and_of_one_message(hooked: Hooked) -> None:
    assert await hooked.worker.replay(0) == await hooked.worker.replay(0, "m1") == 0
    await hooked.happens("m1", "m2", "m3")
    await hooked.until(lambda: len(hooked.hooks.calls) == 6)
    before = {call.json["data"]["id"]: call.headers["webhook-id"] for call in hooked.hooks.calls}
    hooked.hooks.calls.clear()
    assert await hooked.worker.replay(3) == 4
    await hooked.until(lambda: len(hooked.hooks.calls) == 4)
    again = {call.json["data"]["id"]: call.headers["webhook-id"] for call in hooked.hooks.calls}
    assert again == {number: before[number] for number in "3456"}
    hooked.hooks.calls.clear()
    assert await hooked.worker.replay(1, "m1") == 2
    await hooked.until(lambda: len(hooked.hooks.calls) == 2)
    assert hooked.told() == [("m1", QUEUED), ("m1", CANCELED)]
    assert [call.headers["webhook-id"] for call in hooked.hooks.calls] == [before["1"], before["2"]]
    await asyncio.sleep(0.1)
    assert len(hooked.hooks.calls) == 2


async def test_what_was_forgotten_is_said(hooked: Hooked) -> None:
    """Events are kept for seven days for who needs them, and then go: loudly."""
    hooked.hooks.answers.append((410, {}))
    await hooked.happens("m1")
    await hooked.until(lambda: bool(hooked.worker._row.disabled))
    await hooked.happens("m2")
    keep = 3 * DAY
    hooked.clock.advance(5 * DAY)
    await hooked.happens("m3")
    await hooked.spool.retire(hooked.clock.now() - keep)
    assert await hooked.spool.history_kept() == (1, 6)  # longer than without a webhook that needs them
    hooked.clock.advance(3 * DAY)
    await hooked.spool.retire(hooked.clock.now() - keep)
    assert (await hooked.spool.history_kept())[0] == 5
    await hooked.stop()
    await hooked.start()
    hooked.clock.advance(3601.0)
    await hooked.until(lambda: hooked.worker._row.dropped == 4)
    assert any("4 events were forgotten" in each for each in hooked.warnings())
    await hooked.worker.enable()
    await hooked.until(lambda: len(hooked.hooks.calls) == 3)
    assert hooked.told()[1:] == [("m3", QUEUED), ("m3", CANCELED)]


async def test_a_secret_that_no_receiver_could_use_is_named_and_not_shown(hooked: Hooked) -> None:
    for text in ("canary-plain-text", "whsec_Y2FuYXJ5", "whsec_canary!"):
        hooked.wants(secrets=(GivenSecret(Secret(text), "env:HOOK_SECRET"),))
        _, result = await hooked.worker.test()
        assert not result.arrived
        assert "env:HOOK_SECRET is not whsec_" in result.error
        assert "canary" not in result.error + result.hint
    assert hooked.hooks.calls == []


async def test_a_private_address_is_not_called_unless_it_is_allowed(hooked: Hooked) -> None:
    hooked.wants(rules=AddressRules())
    _, result = await hooked.worker.test()
    assert "127.0.0.1 is an address of this machine or of a private network" in result.error
    assert "allow-private" in result.hint
    assert hooked.hooks.calls == []


async def test_few_calls_at_once_and_never_two_of_one_message(hooked: Hooked) -> None:
    hooked.hooks.delay = 0.02
    await hooked.happens(*(f"m{number}" for number in range(30)))
    await hooked.until(lambda: len(hooked.hooks.calls) == 60)
    assert 2 <= hooked.hooks.most_at_once <= 8


async def test_ten_thousand_events_behind(tmp_path: Path, hooks: Hooks, long: bool) -> None:
    """They are read piece by piece, and all of them arrive in order."""
    count = 5000 if long else 500
    hooked = Hooked(tmp_path, hooks)
    await hooked.start()
    await hooked.worker.stop(0.0)
    await hooked.happens(*(f"m{number}" for number in range(count)))
    await hooked.stop()
    await hooked.start()
    worker, most = hooked.worker, 0

    def done() -> bool:
        nonlocal most
        most = max(most, len(worker._backlog))
        return len(hooks.calls) >= 2 * count

    await hooked.until(done, 120.0)
    assert most <= 700
    words: dict[str, list[str]] = {}
    for message, word in hooked.told():
        words.setdefault(message, []).append(word)
    assert len(words) == count
    assert set(map(tuple, words.values())) == {(QUEUED, CANCELED)}
    await hooked.stop()
    assert (await _position(hooked)) == 2 * count


async def test_clocks_that_are_set_lose_nothing_and_hurry_nothing(hooked: Hooked) -> None:
    hooked.hooks.always = (500, {})
    await hooked.happens("m1")
    await hooked.until(lambda: len(hooked.hooks.calls) == 1)
    await hooked.until(lambda: hooked.worker._row.failing is not None)
    hooked.clock.jump(10 * DAY)
    await asyncio.sleep(0.1)
    assert len(hooked.hooks.calls) == 1
    hooked.clock.advance(WAITS[0] + 1)
    await hooked.until(lambda: len(hooked.hooks.calls) == 2)
    assert not hooked.worker._row.disabled  # ten days, by a clock that was wrong
    await hooked.stop()
    hooked.clock.jump(-30 * DAY)
    await hooked.start()
    hooked.hooks.always = (204, {})
    hooked.clock.advance(1.2 * DAY)
    await hooked.until(lambda: len(hooked.hooks.calls) == 4)


async def test_an_endpoint_that_is_dead_holds_up_no_other(tmp_path: Path, hooks: Hooks) -> None:
    with receiving() as dead:
        dead.always = hang_up
        first, second = Hooked(tmp_path, dead, name="dead"), Hooked(tmp_path, hooks, name="alive")
        await first.start()
        second.spool, second.feed, second.clock, second.ears = (
            first.spool,
            first.feed,
            first.clock,
            first.ears,
        )
        second.worker = type(first.worker)(
            second.target,
            WebhookRow("alive", 0),
            (),
            store=first.spool,
            feed=first.feed,
            clock=first.clock,
            observer=first.observers,
        )
        second.worker.start()
        await first.happens(*(f"m{number}" for number in range(20)))
        await second.until(lambda: len(hooks.calls) == 40)
        assert len(dead.calls) < 30
        await second.worker.stop(0.0)
        await first.stop()


async def _position(hooked: Hooked) -> int:
    spool = hooked.spool
    await spool.open()
    (row, kept) = (await spool.webhooks())["shop"]
    await spool.close()
    assert kept == []
    return row.position
