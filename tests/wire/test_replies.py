"""What a server may answer, and what is refused before anybody believes it."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import RemoteProtocolError
from postbearer.reply import Reply
from postbearer.wire import ReplyLimits, ReplyReader, compose, decode_challenge, render_reply
from wire.helpers import CUTS, Cut, cut_at, read_one

READABLE = {
    b"250 OK\r\n": Reply(250, (b"OK",)),
    b"250\r\n": Reply(250, (b"",)),
    b"250 \r\n": Reply(250, (b"",)),
    b"354 End with <CRLF>.<CRLF>\r\n": Reply(354, (b"End with <CRLF>.<CRLF>",)),
    b"334 \r\n": Reply(334, (b"",)),
    b"250-first\r\n250-\r\n250 last\r\n": Reply(250, (b"first", b"", b"last")),
    b"250-first\r\n250\r\n": Reply(250, (b"first", b"")),
    b"550 \xe9chec \xff\x00\x1b[31m\r\n": Reply(550, (b"\xe9chec \xff\x00\x1b[31m",)),
    b"599 odd\r\n": Reply(599, (b"odd",)),
}

UNREADABLE = [
    b"2\xef\xbc\x950 OK\r\n",  # a full-width five: int() would take it
    b"\xd9\xa2\xd9\xa5\xd9\xa0 OK\r\n",
    b"099 OK\r\n",
    b"150 wait\r\n",
    b"600 OK\r\n",
    b"999 OK\r\n",
    b"25 OK\r\n",
    b"2500 OK\r\n",
    b"250_OK\r\n",
    b"+250 OK\r\n",
    b" 250 OK\r\n",
    b"\r\n",
    b"OK\r\n",
    b"250 OK\n",
    b"250 bare\rreturn\r\n",
    b"250 OK\r\r\n",
    b"\x00250 OK\r\n",
    b"250-first\r\n550 second\r\n",
    b"250-first\r\n\r\n",
    b"250-first\r\nsecond\r\n250 third\r\n",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"HTTP/1.1 400 Bad Request\r\n",
]


def read(pieces: Iterator[bytes] | list[bytes], limits: ReplyLimits | None = None) -> list[Reply]:
    reader = ReplyReader(limits or ReplyLimits())
    replies = []
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.next_reply()) is not None:
            replies.append(reply)
    return replies


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("data", "reply"), READABLE.items())
def test_reads_what_rfc_5321_allows_and_any_octet_in_the_text(data: bytes, reply: Reply, cut: Cut) -> None:
    assert read(cut(data)) == [reply]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("data", UNREADABLE)
def test_c5_refuses_what_is_no_reply(data: bytes, cut: Cut) -> None:
    with pytest.raises(RemoteProtocolError):
        read(cut(data))


def test_reads_a_whole_flight_of_replies() -> None:
    assert [r.code for r in read([b"250 a\r\n550-b\r\n550 c\r\n354 d\r\n"])] == [250, 550, 354]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"250 2.1.5 fine", "2.1.5"),
        (b"550 5.7.139 no", "5.7.139"),
        (b"550 5.7.1", "5.7.1"),
        (b"550-5.7.1\tno\r\n550 5.7.1 really", "5.7.1"),
    ],
)
def test_finds_the_enhanced_status_code(line: bytes, status: str) -> None:
    reply = read_one(line + b"\r\n")
    assert str(reply.enhanced) == status
    assert reply.lines[0].startswith(status.encode())  # and leaves it in the text


@pytest.mark.parametrize(
    "line",
    [
        b"550 4.7.1 mixed",
        b"354 3.0.0 go",
        b"250 2.1.5.9",
        b"250 2.1.5x",
        b"250 2.1",
        b"250 2.01.5 x",
        b"250 v2.1.5",
    ],
)
def test_leaves_out_a_status_code_that_is_none_or_contradicts_the_reply(line: bytes) -> None:
    assert read_one(line + b"\r\n").enhanced is None


def test_c5_text_is_shown_without_power_over_a_terminal() -> None:
    reply = read_one(b"550 \x1b[2J\x00\x85\xe2\x80\xaeevil\r\n")
    assert reply.text == r"\x1b[2J\x00\x85\u202eevil"


def test_c5_a_challenge_of_32_kib_fits_a_line() -> None:
    reply = read_one(b"334 " + b"QUFB" * (32 * 1024 // 3) + b"\r\n")
    assert len(decode_challenge(reply)) == 32 * 1024 // 3 * 3


@pytest.mark.parametrize("text", [b"not base64!", b"QUF", b"QUFB=", b"QU FB", b"\xff\xff\xff\xff"])
def test_refuses_a_challenge_that_is_not_base64(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="base64"):
        decode_challenge(Reply(334, (text,)))


def feed_until_refused(reader: ReplyReader, data: bytes, pieces: int) -> None:
    for _ in range(pieces):
        reader.feed(data)
        while reader.next_reply() is not None:
            pass


def flood(data: bytes, pieces: int) -> float:
    """Feed `data` again and again until it is refused; CPU seconds. Memory must stay bounded."""
    reader = ReplyReader(ReplyLimits())
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(RemoteProtocolError):
        feed_until_refused(reader, data, pieces)
    seconds = time.process_time() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * ReplyLimits().total
    return seconds


@pytest.mark.parametrize(
    "data",
    [b"2" * 4096, b"250-" + b"x" * 4000 + b"\r\n", b"250-\r\n" * 700, b"250-"],
    ids=["no line end", "long lines without end", "short lines without end", "codes without line end"],
)
def test_c5_bounded_when_the_server_never_ends(data: bytes) -> None:
    assert flood(data, 10_000_000 // len(data)) < 1.0


def test_c5_bounded_byte_by_byte() -> None:
    assert flood(b"2", 10_000_000) < 1.0


def test_limits_are_exact() -> None:
    limits = ReplyLimits(line=20, lines=3, total=40)
    assert read([b"250 " + b"x" * 14 + b"\r\n"], limits)
    for data in (b"250 " + b"x" * 15 + b"\r\n", b"250-a\r\n" * 3 + b"250 b\r\n", b"250-" + b"x" * 18):
        with pytest.raises(RemoteProtocolError):
            read([data], limits)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_s21_any_bytes_read_the_same_however_they_are_cut(data: bytes, places: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> list[object]:
        said: list[object] = []
        reader = ReplyReader(ReplyLimits(line=24, lines=3, total=48))
        try:
            for piece in pieces:
                reader.feed(piece)
                while (reply := reader.next_reply()) is not None:
                    said.append(reply)
        except RemoteProtocolError:
            said.append("refused")
        return said

    assert outcome([data]) == outcome(cut_at(data, places))


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), max_size=30)


@given(st.integers(200, 599), st.lists(TEXT, min_size=1, max_size=4), st.lists(st.integers(0, 200)))
def test_what_is_rendered_is_read_back(code: int, texts: list[str], places: list[int]) -> None:
    reply = compose(code, *texts)
    assert read(cut_at(render_reply(reply), places)) == [reply]


def test_composes_replies_with_the_status_on_every_line() -> None:
    reply = compose(550, "No such user", "Ask the postmaster", enhanced="5.1.1")
    assert render_reply(reply) == b"550-5.1.1 No such user\r\n550 5.1.1 Ask the postmaster\r\n"
    assert str(reply.enhanced) == "5.1.1"


@pytest.mark.parametrize("line", [b"a\r\nb", b"a\n", b"\r"])
def test_renders_no_reply_that_would_be_two(line: bytes) -> None:
    with pytest.raises(ValueError, match="line end"):
        render_reply(Reply(250, (line,)))
