"""What people get to see of a conversation."""

from __future__ import annotations

import pytest

from postbearer.clock import SystemClock
from postbearer.errors import TimedOut
from postbearer.redaction import Redactor
from postbearer.reply import Reply
from postbearer.testing import ManualClock, conversation
from postbearer.transport import Deadline
from postbearer.transport.capture import scrubbed
from support.provider import CANARY, CONTENT, envelope, one_flight, opened, with_provider


async def test_a_transcript_reads_like_smtp() -> None:
    provider = with_provider(conversation(opened("PIPELINING", "CHUNKING"), one_flight()))
    await provider.deliver(envelope(), CONTENT)
    assert provider.transcript.lines == [
        "S: 220 hello",
        "C: EHLO client.example.org",
        "S: 250-mail.example.org",
        "S: 250-PIPELINING",
        "S: 250-CHUNKING",
        "S: 250 AUTH XOAUTH2",
        "C: AUTH XOAUTH2 ***",
        "S: 235 2.7.0 Accepted",
        "C: MAIL FROM:<alerts@example.org>",
        "C: RCPT TO:<anna@example.net>",
        "C: BDAT 23 LAST",
        "C: [23 octets of content]",
        "S: 250 2.1.0 ok",
        "S: 250 2.1.5 ok",
        "S: 250 2.0.0 Ok: queued as ABC123",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"535 bad {CANARY} [id]", "535 bad *** [id]"),
        (f"535 {CANARY[5:30]}", "535 ***"),
        (f"{CANARY}{CANARY}", "***"),
        ("535 canary-to", "535 canary-to"),  # too short to be anything but chance
        ("", ""),
    ],
)
def test_pieces_of_a_secret_are_masked(text: str, shown: str) -> None:
    assert scrubbed(Reply(535, (text.encode(),)), Redactor([CANARY])).lines == (shown.encode(),)


def test_a_short_password_is_masked_as_a_whole() -> None:
    assert scrubbed(Reply(535, (b"no hunter2 here",)), Redactor(["hunter2", ""])).lines == (b"no *** here",)


def test_the_overall_limit_cuts_each_wait() -> None:
    clock = ManualClock()
    deadline = Deadline(clock, 10)
    assert deadline.cut(300, "mail", "h:1") == 10
    clock.advance(8)
    assert deadline.cut(300, "mail", "h:1") == 2
    assert deadline.cut(1, "mail", "h:1") == 1
    clock.advance(2)
    with pytest.raises(TimedOut, match="h:1: the limit of 10 s"):
        deadline.cut(300, "mail", "h:1")


def test_without_a_limit_each_wait_is_its_own() -> None:
    assert Deadline(SystemClock(), None).cut(300, "mail", "h:1") == 300
