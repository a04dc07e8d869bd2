"""Lines out of pieces: bounded, and the same whatever the pieces."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.wire.buffer import BareLineFeed, LineBuffer, LineTooLong
from wire.helpers import CUTS, Cut, cut_at

LIMIT = 10


def lines(pieces: list[bytes]) -> list[bytes | str]:
    """Every line, ``"long"`` for one that was too long, ``"bare"`` at the end for a bare LF."""
    buffer = LineBuffer()
    found: list[bytes | str] = []
    for piece in pieces:
        buffer.feed(piece)
        while True:
            try:
                line = buffer.next_line(LIMIT)
            except LineTooLong:
                found.append("long")
            except BareLineFeed:
                return [*found, "bare"]
            else:
                if line is None:
                    break
                found.append(line)
    return found


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"NOOP\r\nRSET\r\n", [b"NOOP", b"RSET"]),
        (b"\r\n\r\n", [b"", b""]),
        (b"NOOP\r", []),
        (b"12345678\r\n", [b"12345678"]),
        (b"123456789\r\nNOOP\r\n", ["long", b"NOOP"]),
        (b"x" * 100 + b"\r\nNOOP\r\n", ["long", b"NOOP"]),
        (b"x" * 100 + b"\r", ["long"]),
        (b"x" * 100 + b"\nNOOP\r\n", ["long", "bare"]),
        (b"x" * 100 + b"\rx\r\nNOOP\r\n", ["long", b"NOOP"]),
        (b"NOOP\nRSET\r\n", ["bare"]),
        (b"\n", ["bare"]),
        (b"a\rb\r\n", [b"a\rb"]),
    ],
)
def test_s8_s9_reads_lines(data: bytes, expected: list[bytes | str], cut: Cut) -> None:
    assert lines(list(cut(data))) == expected


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"ab", b"x" * 9]), max_size=10).map(b"".join),
    st.lists(st.integers(0, 100), max_size=6),
)
def test_s21_lines_do_not_depend_on_the_cuts(data: bytes, places: list[int]) -> None:
    assert lines([data]) == lines(cut_at(data, places))


def test_counted_octets_between_lines() -> None:
    buffer = LineBuffer()
    buffer.feed(b"BDAT 4\r\na\nb\0NOOP\r\n")
    assert buffer.next_line(100) == b"BDAT 4"
    assert buffer.take(3) == b"a\nb"
    assert buffer.take(1) == b"\0"
    assert buffer.next_line(100) == b"NOOP"
    assert buffer.take(5) == b""


def test_octets_put_back_are_read_next() -> None:
    buffer = LineBuffer()
    buffer.feed(b"hi\r\n.\r\nQUIT\r\n")
    assert buffer.take() == b"hi\r\n.\r\nQUIT\r\n"
    buffer.feed(b"NOOP\r\n")
    buffer.put_back(b"QUIT\r\n")
    assert [buffer.next_line(100), buffer.next_line(100)] == [b"QUIT", b"NOOP"]


def test_s9_bounded_a_line_without_end_is_not_kept() -> None:
    buffer = LineBuffer()
    begun = time.process_time()
    buffer.feed(b"x" * 5000)
    with pytest.raises(LineTooLong):
        buffer.next_line(2048)
    for _ in range(10_000):
        buffer.feed(b"x" * 1000)
        assert buffer.next_line(2048) is None
        assert not buffer.data
    assert time.process_time() - begun < 1.0
