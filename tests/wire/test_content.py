"""Dot-stuffing, the one true end of data, and what must not be in content."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.wire import DotStuffer, DotUnstuffer, LineCheck
from wire.helpers import bytewise, cut_at

# Content of lines, dense in everything that is special.
PIECES = st.sampled_from([b"\r\n", b".", b"..", b"a", b"\r\n.", b"\r\n.\r\n", b"\xff", b"line\r\n"])
CONTENT = st.lists(PIECES, max_size=12).map(b"".join)
NASTY = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\0", b"a"]), max_size=16).map(b"".join)
PLACES = st.lists(st.integers(0, 100), max_size=6)


def stuff(pieces: Iterable[bytes]) -> bytes:
    stuffer = DotStuffer()
    return b"".join([stuffer.feed(piece) for piece in pieces]) + stuffer.end()


def unstuff(pieces: Iterable[bytes]) -> tuple[bytes, str, bytes] | None:
    """(content, defect, what follows); None when the end of data never came."""
    unstuffer = DotUnstuffer()
    content = rest = b""
    for piece in pieces:
        if unstuffer.done:
            rest += piece
        else:
            content += unstuffer.feed(piece)
            rest += unstuffer.rest
    return (content, unstuffer.check.defect, rest) if unstuffer.done else None


def check(pieces: Iterable[bytes]) -> tuple[str, int, bool]:
    checker = LineCheck()
    for piece in pieces:
        checker.feed(piece)
    checker.end()
    return checker.defect, checker.longest_line, checker.eight_bit


def is_bad(body: bytes) -> bool:
    """Octet by octet, on purpose nothing like the code under test."""
    for place, octet in enumerate(body):
        before = body[place - 1] if place else None
        after = body[place + 1] if place + 1 < len(body) else None
        if octet == 0 or (octet == 13 and after != 10) or (octet == 10 and before != 13):
            return True
    return False


def oracle(stream: bytes) -> tuple[bytes, bool, bytes]:
    """RFC 5321 4.1.1.4: the content ends at the first CRLF . CRLF; the CRLF of DATA counts."""
    raw, _, rest = (b"\r\n" + stream).partition(b"\r\n.\r\n")
    body = raw[2:] + b"\r\n" if raw else b""
    lines = body.split(b"\r\n")
    return b"\r\n".join(line[1:] if line[:1] == b"." else line for line in lines), is_bad(body), rest


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"hello\r\n", b"hello\r\n.\r\n"),
        (b"hello", b"hello\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"a\r\n.b\r\n..\r\n", b"a\r\n..b\r\n...\r\n.\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n..\r\n.\r\n"),
        (b"\r\n", b"\r\n.\r\n"),
    ],
)
def test_stuffs_dots_whole_and_byte_by_byte(content: bytes, wire: bytes) -> None:
    assert stuff([content]) == wire
    assert stuff(bytewise(content)) == wire
    completed = content if content[-2:] in (b"\r\n", b"") else content + b"\r\n"
    assert unstuff([wire]) == (completed, "", b"")
    assert unstuff(bytewise(wire + b"QUIT\r\n")) == (completed, "", b"QUIT\r\n")


@given(CONTENT, PLACES, PLACES, st.binary(max_size=8))
def test_stuffing_and_unstuffing_give_the_same_bytes(
    content: bytes, places: list[int], other: list[int], rest: bytes
) -> None:
    wire = stuff(cut_at(content, places))
    completed = content if content[-2:] in (b"\r\n", b"") else content + b"\r\n"
    assert unstuff(cut_at(wire + rest, other)) == (completed, "", rest)


@given(NASTY, PLACES)
def test_s21_unstuffing_does_not_depend_on_the_cuts(stream: bytes, places: list[int]) -> None:
    assert unstuff([stream]) == unstuff(cut_at(stream, places))


@given(NASTY, PLACES)
def test_s21_checking_does_not_depend_on_the_cuts(content: bytes, places: list[int]) -> None:
    defect, longest, eight_bit = check(cut_at(content, places))
    assert (defect, longest, eight_bit) == check([content])
    assert bool(defect) == is_bad(content)


TAIL = b"MAIL FROM:<x@example.org>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nhi\r\n.\r\n"
FILLERS = [b"".join(f) for n in range(4) for f in itertools.product([b"\r", b"\n", b"\0"], repeat=n)]


def test_s1_every_end_of_data_variant_ends_where_rfc_5321_says() -> None:
    clean = inside = refused_inside = 0
    for before, after in itertools.product(FILLERS, repeat=2):
        variant = before + b"." + after
        stream = b"S: a\r\n\r\nfirst" + variant + TAIL
        content, bad, rest = oracle(stream)
        for pieces in ([stream], list(bytewise(stream)), [stream[:13], stream[13:]]):
            found = unstuff(pieces)
            assert found is not None
            assert (found[0], bool(found[1]), found[2]) == (content, bad, rest)
        for place in range(13, 13 + len(variant) + 2):
            assert unstuff([stream[:place], stream[place:]]) == found
        clean += not bad
        inside += bool(rest)
        refused_inside += bool(rest) and bad
    assert (len(FILLERS) ** 2, clean, inside, refused_inside) == (1600, 7, 16, 12)


@pytest.mark.parametrize(
    ("content", "defect"),
    [
        (b"a\r\nb\r\n", ""),
        (b"", ""),
        (b"no line end", ""),
        (b"a\nb\r\n", "line-ending"),
        (b"a\rb\r\n", "line-ending"),
        (b"a\r\r\n", "line-ending"),
        (b"a\r\n\n", "line-ending"),
        (b"a\r", "line-ending"),
        (b"\n", "line-ending"),
        (b"a\0\r\n", "nul"),
        (b"\0\n", "line-ending"),
        (b"\n\0", "line-ending"),
    ],
)
def test_names_the_defect(content: bytes, defect: str) -> None:
    assert check([content])[0] == check(bytewise(content))[0] == defect


@pytest.mark.parametrize(
    ("content", "longest"),
    [
        (b"", 0),
        (b"\r\n", 0),
        (b"abc", 3),
        (b"abc\r\nab", 3),
        (b"a\r\n" + b"x" * 998 + b"\r\nabc\r\n", 998),
        (b"ab\r", 2),
    ],
)
def test_measures_the_longest_line_without_its_end(content: bytes, longest: int) -> None:
    assert check([content])[1] == check(bytewise(content))[1] == longest


def test_sees_eight_bits() -> None:
    assert check([b"gr\xc3\xbc\xc3\x9fe\r\n"])[2]
    assert not check([b"greetings\r\n"])[2]


def test_nothing_is_read_behind_the_end() -> None:
    unstuffer = DotUnstuffer()
    assert unstuffer.feed(b"hi\r\n.\r\nRSET\r\n") == b"hi\r\n"
    assert unstuffer.rest == b"RSET\r\n"
    with pytest.raises(ValueError, match="already"):
        unstuffer.feed(b"more")


@pytest.mark.parametrize("unit", [b".\r\n", b"\r\n.\r", b"\r", b"\n.\n", b"x" * 76 + b"\r\n", b"\0"])
def test_bounded_content_costs_little_per_octet(unit: bytes) -> None:
    data = unit * (4_000_000 // len(unit))
    pieces = [data[start : start + 65536] for start in range(0, len(data), 65536)]
    begun = time.process_time()
    stuff(pieces)
    unstuffer = DotUnstuffer()
    for piece in pieces:
        if not unstuffer.done:
            unstuffer.feed(piece)
    check(pieces)
    assert time.process_time() - begun < 1.0
