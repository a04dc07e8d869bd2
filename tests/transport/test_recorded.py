"""What was said in an attempt: secrets masked, bounded, and each attempt by itself on a kept connection."""

from __future__ import annotations

import asyncio

from postbearer.reply import Reply
from postbearer.transport import OpenRecording, recording
from postbearer.transport.recorded import FIRST, LAST, LINE, LONGEST
from postbearer.wire import Auth, AuthResponse, EndOfContent, Mail, Quit, Rset


def reply(code: int, *lines: bytes) -> Reply:
    return Reply(code, lines)


def test_credentials_are_masked_and_content_is_counted() -> None:
    capture = OpenRecording()
    capture.sent(Rset(), b"RSET\r\n")  # nobody listens
    with recording() as told:
        capture.sent(Auth("XOAUTH2", b"canary"), b"AUTH XOAUTH2 Y2FuYXJ5\r\n")
        capture.received(Auth("XOAUTH2"), reply(334, b"Y2FuYXJ5"))
        capture.sent(AuthResponse(b"canary"), b"Y2FuYXJ5\r\n")
        capture.received(AuthResponse(b""), reply(235, b"2.7.0 Welcome", b"in"))
        for size in (100, 200, 1):
            capture.content(size)
        capture.received(EndOfContent(), reply(550, b"5.7.1 <script>\x1b[31m"))
    assert told.text.splitlines() == [
        "C: AUTH XOAUTH2 ***",
        "S: 334 ***",
        "C: ***",
        "S: 235-2.7.0 Welcome",
        "S: 235 in",
        "C: [301 octets of content]",
        "S: 550 5.7.1 <script>\\x1b[31m",
    ]
    capture.sent(Quit(), b"QUIT\r\n")
    assert "QUIT" not in told.text


def test_of_many_both_ends_are_kept() -> None:
    with recording() as told:
        capture = OpenRecording()
        for number in range(5000):
            capture.sent(Mail(f"a{number}@example.org"), f"MAIL FROM:<a{number}@example.org>\r\n".encode())
    lines = told.text.splitlines()
    assert "a0@" in lines[0]
    assert "a4999@" in lines[-1]
    assert f"… {5000 - FIRST - LAST} commands and replies left out …" in lines
    assert len(lines) == FIRST + LAST + 1


def test_it_is_never_large() -> None:
    with recording() as told:
        for _ in range(500):
            OpenRecording().received(Rset(), reply(550, *[b"x" * 400] * 50))
    assert len(told.text) <= LONGEST
    with recording() as told:
        OpenRecording().received(Rset(), reply(550, b"x" * 100_000))
    assert len(told.text) <= LINE + 10
    with recording() as told:
        pass
    assert told.text == ""


async def test_two_at_a_time_are_told_apart() -> None:
    capture, texts = OpenRecording(), dict[int, str]()

    async def talk(number: int) -> None:
        with recording() as told:
            for _ in range(3):
                capture.sent(Rset(), f"NOOP {number}\r\n".encode())
                await asyncio.sleep(0)
        texts[number] = told.text

    await asyncio.gather(talk(1), talk(2))
    assert texts == {number: "\n".join([f"C: NOOP {number}"] * 3) for number in (1, 2)}
