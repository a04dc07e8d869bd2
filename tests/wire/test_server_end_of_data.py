"""S1: CRLF . CRLF ends the data, and nothing else does; all 1,600 neighbours of a dot are tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product

import pytest

from wire.serving import OPEN, Session

BODY = b"S: a\r\n\r\nfirst"
TAIL = b"MAIL FROM:<x@evil.example>\r\nRCPT TO:<y@example.org>\r\nDATA\r\n"
SECOND = b"hi\r\n.\r\n"
AROUND = [bytes(octets) for length in range(4) for octets in product(b"\r\n\0", repeat=length)]
VARIANTS = [(before, after) for before in AROUND for after in AROUND]


def oracle(stream: bytes) -> tuple[bytes | None, bytes]:
    """Written apart from the server: (content of the first message or None if refused, what follows it)."""
    end = stream.index(b"\r\n.\r\n")
    body, rest = stream[: end + 2], stream[end + 5 :]
    bad = b"\0" in body or re.search(rb"\r(?!\n)|(?<!\r)\n", body) is not None
    return (None if bad else body.replace(b"\r\n.", b"\r\n")), rest


def in_one(stream: bytes, dot: int) -> Iterator[list[bytes]]:
    yield [stream]


def byte_by_byte(stream: bytes, dot: int) -> Iterator[list[bytes]]:
    yield [stream[place : place + 1] for place in range(len(stream))]


def around_the_dot(stream: bytes, dot: int) -> Iterator[list[bytes]]:
    # SECOND waits for its 354, as an attacker's relay would: so it can be a transaction at all.
    for place in range(dot - 3, dot + 5):
        yield [stream[:place], stream[place : -len(SECOND)], SECOND]


@pytest.mark.parametrize("cut", [in_one, byte_by_byte, around_the_dot])
def test_s1_every_neighbour_of_a_dot(cut: Callable[[bytes, int], Iterator[list[bytes]]]) -> None:
    for before, after in VARIANTS:
        stream = BODY + before + b"." + after + TAIL + SECOND
        content, rest = oracle(stream)
        for pieces in cut(stream, len(BODY + before)):
            session = Session()
            session.say(OPEN)
            session.say(b"DATA\r\n")
            replies = session.say(b"", pieces=pieces)
            variant = (before, after, pieces)
            if content is None:
                assert session.messages == [], variant
                assert replies == ["521 5.5.2 Bare CR, bare LF or NUL in the content"], variant
                assert session.server.closing, variant
                continue
            assert session.messages[0].content == content, variant
            genuine = rest == TAIL + SECOND and cut is not in_one  # in one, its content did not wait for 354
            assert [message.content for message in session.messages[1:]] == [b"hi\r\n"] * genuine, variant


def test_the_oracle_agrees_with_the_numbers_counted_by_hand() -> None:
    verdicts = {
        (before, after): oracle(BODY + before + b"." + after + TAIL + SECOND) for before, after in VARIANTS
    }
    assert len(verdicts) == 1600
    clean = {variant for variant, (content, _) in verdicts.items() if content is not None}
    assert clean == {
        *((b"", b""), (b"", b"\r\n"), (b"\r\n", b""), (b"\r\n", b"\r\n")),
        *((b"\r\n", b"\r\n\r"), (b"\r\n", b"\r\n\n"), (b"\r\n", b"\r\n\0")),
    }
    inside = [variant for variant, (_, rest) in verdicts.items() if rest]
    assert len(inside) == 16
    assert len([variant for variant in inside if variant not in clean]) == 12


@pytest.mark.parametrize("junk", [b"\r", b"\n", b"\0"])
def test_s1_junk_behind_a_true_end_does_not_undo_the_message(junk: bytes) -> None:
    session = Session()
    session.say(OPEN)
    session.say(b"DATA\r\n")
    replies = session.say(b"clean\r\n.\r\n" + junk + TAIL)
    assert replies[0] == "250 2.1.0 OK"
    assert replies[1].startswith("500")
    assert not any(reply.startswith(("250", "354")) for reply in replies[1:])
    assert [message.content for message in session.messages] == [b"clean\r\n"]
