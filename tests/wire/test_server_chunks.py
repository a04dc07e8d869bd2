"""S12: hostile chunks. The octets of a chunk are content or nothing, and never commands."""

from __future__ import annotations

import tracemalloc

import pytest

from postbearer.wire import Closed, Extensions, Mail, Offer
from wire.serving import OPEN, Session, addressed, limited, ready

NO_CHUNKS = Offer("mx.example.org", extensions=Extensions({"PIPELINING": ()}))


@pytest.mark.parametrize(
    "line", ["BDAT", "BDAT -1", "BDAT 18446744073709551616", "BDAT 1 2", "BDAT 5 LAST X", "BDAT ٣", "BDAT +5"]
)
def test_s12_a_chunk_of_unknown_size_ends_the_session(line: str) -> None:
    session = addressed()
    assert session.say(line)[0][:3] in ("500", "501")
    assert session.closed


def test_s12_not_offered() -> None:
    session = addressed(NO_CHUNKS)
    assert session.say(b"BDAT 32 LAST\r\nMAIL FROM:<evil@example.org>\r\n")[0].startswith("502")
    assert len(session.events) == 4
    assert session.closed
    assert Session().say(b"BDAT 5\r\nQUIT\r\n") == ["502 5.5.1 Command not implemented"]


def test_s12_empty_chunks() -> None:
    session = addressed()
    assert session.say("BDAT 0") == ["250 2.1.0 OK"]
    assert session.say("BDAT 0 LAST") == ["250 2.1.0 OK"]
    assert session.messages[0].content == b""


def test_s12_a_connection_lost_inside_a_chunk() -> None:
    session = addressed()
    session.say(b"BDAT 10\r\n12345")
    session.server.receive(b"")
    session.step()
    assert session.messages == []
    assert isinstance(session.events[-1], Closed)


def test_s12_a_pipelined_mail_behind_the_last_chunk() -> None:
    session = addressed()
    session.say(b"BDAT 5 LAST\r\n12345MAIL FROM:<c@example.org>\r\n")
    assert session.messages[0].content == b"12345"
    assert session.events[-1] == Mail("c@example.org")


def test_s12_data_after_bdat() -> None:
    session = addressed()
    session.say(b"BDAT 2\r\nab")
    assert session.say("DATA")[0].startswith("503")
    assert session.say("RCPT TO:<c@example.org>")[0].startswith("503")
    assert session.say(b"BDAT 2 LAST\r\ncd") == ["250 2.1.0 OK"]
    assert session.messages[0].content == b"abcd"


@pytest.mark.parametrize("before", ["NOOP", "MAIL FROM:<a@example.org>"])
def test_s12_octets_of_a_chunk_out_of_turn_are_never_commands(before: str) -> None:
    session = ready()
    session.say(before)
    events = len(session.events)
    chunk = b"RCPT TO:<evil@example.org>\r\nQUIT\r\n"
    assert session.say(b"BDAT %d LAST\r\n" % len(chunk) + chunk)[0].startswith("503")
    assert len(session.events) == events
    assert session.survives


def test_s12_bdat_after_the_last_chunk() -> None:
    session = addressed()
    session.say(b"BDAT 2 LAST\r\nab")
    assert session.say(b"BDAT 6 LAST\r\nQUIT\r\n")[0].startswith("503")
    assert len(session.messages) == 1
    assert session.survives


def test_s12_the_sum_of_the_chunks_is_limited() -> None:
    session = addressed(limited(max_size=10))
    assert session.say(b"BDAT 6\r\n123456") == ["250 2.1.0 OK"]
    assert session.say(b"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n") == [
        "552 5.3.4 Message too large",
        "503 5.5.1 A chunk was refused: send RSET first",
    ]
    assert session.messages == []
    assert session.survives


def test_s12_a_chunk_far_too_large_is_swallowed_in_bounded_memory() -> None:
    session = addressed()
    tracemalloc.start()
    session.say(b"BDAT 99999999999\r\n")
    for _ in range(1000):
        session.server.receive(b"x" * 65_536)
        while session.server.next_event() is not None:
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


def test_s12_rset_between_chunks() -> None:
    session = addressed()
    session.say(b"BDAT 2\r\nabRSET\r\n")
    assert session.say(OPEN[OPEN.index(b"MAIL") :]) == ["250 2.1.0 OK"] * 2
    session.say(b"BDAT 2 LAST\r\ncd")
    assert [message.content for message in session.messages] == [b"cd"]


@pytest.mark.parametrize("content", [b"a\nb", b"a\rb", b"a\0b", b"ab\r"])
def test_s12_bad_octets_in_a_chunk_are_refused_as_in_data(content: bytes) -> None:
    session = addressed()
    assert session.say(b"BDAT %d LAST\r\n" % len(content) + content)[0].startswith("521 5.5.2")
    assert session.messages == []
    assert session.closed


def test_s12_a_line_end_may_lie_across_two_chunks() -> None:
    session = addressed()
    assert session.say(b"BDAT 2\r\na\rBDAT 2 LAST\r\n\nb") == ["250 2.1.0 OK"] * 2
    assert session.messages[0].content == b"a\r\nb"


def test_s12_a_lone_dot_in_a_chunk_is_text() -> None:
    session = addressed()
    session.say(b"BDAT 9 LAST\r\na\r\n.\r\nb\r\n")
    assert session.messages[0].content == b"a\r\n.\r\nb\r\n"
