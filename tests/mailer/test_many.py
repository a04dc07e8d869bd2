"""`send_many`: one result for each message, in order, told as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from postbearer import SendResult
from postbearer.blocking import Mailer
from postbearer.envelope import Envelope
from postbearer.errors import GrantRefused, NetworkError, Rejected, UsageError
from postbearer.mailer import AsyncMailer
from postbearer.testing import AsyncRecordingMailer, RecordingMailer, Sandbox
from support.sandboxed import RAW, message


def numbered(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"to": "you@example.org", "subject": f"Number {number}", "text": "x"}


def test_all_leave_by_the_connections_of_the_account(sandbox: Sandbox) -> None:
    with Mailer(sandbox.account(), state="memory") as mailer:
        results = mailer.send_many(numbered(12))
    assert [result.index for result in results] == list(range(12))
    assert all(result.receipt and result.receipt.delivered for result in results)
    assert len(sandbox.inbox.messages) == 12


async def test_the_same_awaited(sandbox: Sandbox) -> None:
    told: list[int] = []
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        results = await mailer.send_many(numbered(7), on_progress=lambda result: told.append(result.done))
    assert len(results) == len(sandbox.inbox.messages) == 7
    assert told == list(range(1, 8))


def test_what_fails_does_not_stop_the_others() -> None:
    mailer = RecordingMailer()
    mailer.refuse("gone@example.org")
    told: list[SendResult] = []
    results = mailer.send_many(
        [
            message(),
            {"to": "gone@example.org", "text": "x"},
            {"to": "you@example.org"},
            (RAW, Envelope.of("alerts@example.org", ["you@example.org"])),
            "a text",  # type: ignore[list-item]
        ],
        on_progress=told.append,
    )
    kinds = [type(result.error) for result in results]
    assert kinds == [type(None), Rejected, UsageError, type(None), UsageError]
    assert sorted(told, key=lambda result: result.index) == results
    assert [result.done for result in told] == [1, 2, 3, 4, 5]
    assert len(mailer.messages) == 2


async def test_what_a_person_must_cure_is_met_once() -> None:
    mailer = AsyncRecordingMailer()
    mailer.fail(GrantRefused("The consent is gone."))
    results = await mailer.send_many(numbered(100))
    assert {str(result.error) for result in results[10:]} == {"The consent is gone."}
    assert len(results) == 100
    assert len(mailer.messages) <= 2  # what was under way at the same time


def test_what_passes_is_met_by_one_alone() -> None:
    mailer = RecordingMailer()
    mailer.fail(NetworkError("away"))
    assert [bool(result.receipt) for result in mailer.send_many(numbered(3))] == [False, True, True]


def test_messages_are_taken_as_they_are_sent() -> None:
    taken: list[int] = []

    def endless() -> Iterator[dict[str, Any]]:
        for number in range(10**9):
            taken.append(number)
            yield {"to": "you@example.org", "text": "x"}

    def enough(result: SendResult) -> None:
        if result.done == 5:
            raise StopAsyncIteration

    with pytest.raises(StopAsyncIteration):
        RecordingMailer().send_many(endless(), on_progress=enough)
    assert len(taken) < 10


@pytest.mark.parametrize("wrong", [b"x", "x", {"to": "you@example.org"}, message(), 5, None])
def test_one_is_not_many(wrong: Any) -> None:
    with pytest.raises(UsageError, match="Many messages are a list of them"):
        RecordingMailer().send_many(wrong)


def test_how_they_are_sent_is_checked_once() -> None:
    with pytest.raises(UsageError, match="retry cannot be 'x'"):
        RecordingMailer().send_many(numbered(3), retry="x")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="on_progress is a function, and no int"):
        RecordingMailer().send_many(numbered(3), on_progress=5)  # type: ignore[arg-type]
