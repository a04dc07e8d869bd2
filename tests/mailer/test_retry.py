"""`retry=`: what may pass is tried again, for those who are still open; what may have arrived, never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from postbearer import Retry
from postbearer.errors import GrantRefused, NetworkError, Rejected, TokenUnavailable, UsageError
from postbearer.mailer import AsyncMailer
from postbearer.outcome import State
from postbearer.testing import AsyncRecordingMailer, Faults, ManualClock, RecordingMailer, Sandbox, SmtpFault
from support.waiting import until

HELLO: dict[str, Any] = {"to": ["you@example.org", "busy@example.org"], "subject": "Hello", "text": "x"}


async def test_only_the_deferred_are_tried_again(sandbox: Sandbox) -> None:
    sandbox.set_faults(
        Faults(smtp=[SmtpFault(at="rcpt", match="busy", reply="451 4.2.1 mailbox is busy", times=2)])
    )
    clock = ManualClock()
    async with AsyncMailer(sandbox.account(), state="memory", clock=clock) as mailer:
        receipt = await mailer.send(**HELLO, retry=3)
    assert [outcome.state for outcome in receipt.outcomes] == [State.DELIVERED] * 2
    assert [each.recipients for each in sandbox.inbox.messages] == [
        ("you@example.org",),
        ("busy@example.org",),
    ]
    assert clock.slept == [5.0, 10.0]


async def test_what_lasts_is_told_in_the_end() -> None:
    clock = ManualClock()
    mailer = AsyncRecordingMailer(clock=clock)
    mailer.refuse("busy@example.org", "451 4.2.1 mailbox is busy")
    receipt = await mailer.send(**HELLO, retry=Retry(2, first=1, factor=3))
    assert [outcome.state for outcome in receipt.outcomes] == [State.DELIVERED, State.DEFERRED]
    assert clock.slept == [1, 3]
    assert len(mailer.messages) == 1


def test_a_server_that_is_away_is_asked_again() -> None:
    mailer = RecordingMailer()
    mailer.fail(NetworkError("away"), times=2)
    assert mailer.send(**HELLO, retry=2).delivered
    mailer.fail(TokenUnavailable("later"), times=2)
    with pytest.raises(TokenUnavailable):
        mailer.send(**HELLO, retry=1)


@pytest.mark.parametrize(
    ("error", "reply"),
    [(GrantRefused("consent is gone"), ""), (UsageError("not so"), ""), (None, "550 5.1.1 No such user")],
)
async def test_what_does_not_pass_is_not_tried_again(error: Any, reply: str) -> None:
    clock = ManualClock()
    mailer = AsyncRecordingMailer(clock=clock)
    if error is not None:
        mailer.fail(error, times=9)
    else:
        mailer.refuse("busy@example.org", reply)
    with pytest.raises(Rejected if error is None else type(error)):
        await mailer.send(to="busy@example.org", text="x", retry=5)
    assert clock.slept == []


async def test_what_may_have_arrived_is_never_sent_again(sandbox: Sandbox) -> None:
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="content", reply="", times=1, after_commit=True)]))
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        with pytest.raises(Rejected) as unknown:
            await mailer.send(**HELLO, retry=5)
    assert unknown.value.receipt is not None
    assert {outcome.state for outcome in unknown.value.receipt.outcomes} == {State.UNKNOWN}
    assert len(sandbox.inbox.messages) == 1


async def test_the_callers_time_bounds_the_tries() -> None:
    clock = ManualClock()
    mailer = AsyncRecordingMailer(clock=clock)
    mailer.fail(NetworkError("away"), times=9)
    with pytest.raises(NetworkError):
        await mailer.send(**HELLO, retry=9, timeout=20)
    assert clock.slept == [5.0, 10.0]


@pytest.mark.parametrize("wrong", [-1, True, "3", 1.5])
async def test_what_is_no_retry_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError):
        await AsyncRecordingMailer().send(**HELLO, retry=wrong)


@pytest.fixture
async def slow() -> AsyncIterator[Sandbox]:
    """One of its own, which may be left while it still waits."""
    async with Sandbox() as sandbox:
        yield sandbox


async def test_a_send_that_is_cancelled_says_that_its_outcome_is_unknown(slow: Sandbox) -> None:
    told: list[object] = []

    class Listener:
        def notice(self, event: object) -> None:
            told.append(getattr(event, "text", ""))

    slow.set_faults(Faults(smtp=[SmtpFault(at="content", delay=30.0, after_commit=True)]))
    async with AsyncMailer(slow.account(), state="memory", observer=Listener()) as mailer:
        sending = asyncio.create_task(mailer.send(to="you@example.org", subject="Hello", text="x"))
        await until(lambda: slow.inbox.messages)  # it arrives, and the answer does not
        sending.cancel()
        with pytest.raises(asyncio.CancelledError) as stopped:
            await sending
    (note,) = stopped.value.__notes__
    assert "it may have arrived" in note
    assert note in told


async def test_a_send_that_is_cancelled_before_anything_left_says_nothing(slow: Sandbox) -> None:
    slow.set_faults(Faults(smtp=[SmtpFault(at="mail", delay=30.0)]))
    async with AsyncMailer(slow.account(), state="memory") as mailer:
        sending = asyncio.create_task(mailer.send(to="you@example.org", subject="Hello", text="x"))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError) as stopped:
            await sending
    assert not getattr(stopped.value, "__notes__", [])
