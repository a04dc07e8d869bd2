"""S21: whatever is said, and however the network cuts it, the server sees and says the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.wire import Content, EndOfContent, Event, LineLimits, Offer
from wire.helpers import cut_at
from wire.serving import OPEN, PASSWORD, Session

OFFER = Offer(
    "mx.example.org",
    mechanisms=("PLAIN",),
    starttls=True,
    auth_in_clear=True,
    limits=LineLimits(
        max_line=100, max_auth_line=200, max_auth_blob=100, max_size=60, max_text_line=50, max_errors=8
    ),
)
COMMANDS = [
    *(b"EHLO x\r\n", b"HELO x\r\n", b"NOOP\r\n", b"RSET\r\n", b"QUIT\r\n", b"DATA\r\n", b"STARTTLS\r\n"),
    *(b"MAIL FROM:<a@example.org>\r\n", b"MAIL FROM:<> SIZE=70\r\n", b"RCPT TO:<b@example.org>\r\n"),
    *(
        b"BDAT 5\r\nab\r\nc",
        b"BDAT 3 LAST\r\nabc",
        b"BDAT 2 LAST\r\nab",
        b"BDAT 70\r\n" + b"x" * 70,
        b"BDAT x\r\n",
    ),
    *(
        b"AUTH PLAIN\r\n",
        b"AUTH PLAIN dGVzdA==\r\n",
        b"dGVzdA==\r\n",
        b"*\r\n",
        b"\r\n.\r\n",
        b".\r\n",
        b"..\r\n",
    ),
]
JUNK = [
    *(b"\r", b"\n", b"\r\n", b"\0", b".", b"\xff", b"\x16\x03", b"GET / HTTP/1.1\r\n", b"x" * 99, b"A" * 250),
]
WAITS = (
    b"DATA\r\n",
    b"STARTTLS\r\n",
    b"DATA\n",
    b"STARTTLS\n",
)  # behind these the server looks at what came too early

commands = st.sampled_from([*COMMANDS, OPEN])
anything = commands | st.sampled_from(JUNK) | st.binary(max_size=8)
flights = (st.lists(commands, max_size=14) | st.lists(anything, max_size=14)).map(
    lambda said: _flights([OPEN, *said])
)


def _flights(said: list[bytes]) -> list[bytes]:
    """Joined to what a client sends without waiting."""
    out = [b""]
    for fragment in said:
        out[-1] += fragment
        if fragment in WAITS:
            out.append(b"")
    return out


def seen(events: list[Event]) -> list[Event]:
    """Events with each content in one piece, and without content that came to nothing."""
    whole: list[Event] = []
    content = b""
    for event in events:
        match event:
            case Content(data):
                content += data
            case EndOfContent(defect=""):
                whole += [Content(content), event]
                content = b""
            case _:
                content = b""
                whole.append(event)
    return whole


def run(pieces: list[bytes], offer: Offer = OFFER) -> tuple[list[Event], list[str]]:
    session = Session(offer)
    session.say(b"", pieces=[piece for piece in pieces if piece])
    session.server.receive(b"")
    session.step()
    session.written()
    return seen(session.events), session.transcript


@given(flights, st.data())
def test_s21_the_cut_makes_no_difference(sent: list[bytes], data: st.DataObject) -> None:
    expected = run(sent)
    assert run([bytes([octet]) for flight in sent for octet in flight]) == expected
    places = data.draw(st.lists(st.integers(0, 400), max_size=6))
    assert run([piece for flight in sent for piece in cut_at(flight, places)]) == expected


LENIENT = replace(OFFER, lenient=True)
AT_ONCE = replace(OFFER, lenient=True, refuse_early=False)
LF_ONLY = st.lists(anything.map(lambda said: said.replace(b"\r\n", b"\n")) | anything, max_size=14)


@given(LF_ONLY.map(lambda said: _flights([OPEN.replace(b"\r\n", b"\n"), *said])), st.data())
def test_s21_nor_for_devices(sent: list[bytes], data: st.DataObject) -> None:
    expected = run(sent, LENIENT)
    assert run([bytes([octet]) for flight in sent for octet in flight], LENIENT) == expected
    places = data.draw(st.lists(st.integers(0, 400), max_size=6))
    assert run([piece for flight in sent for piece in cut_at(flight, places)], LENIENT) == expected


PIPED = st.lists(anything, max_size=14).map(
    lambda said: b"".join([OPEN, *said]).replace(b"STARTTLS", b"NOOP")
)


@given(PIPED)
def test_s21_nor_for_a_dialogue_that_comes_at_once(sent: bytes) -> None:
    """Not even where DATA is refused in the middle, as then nothing more is read."""
    expected = run([sent], AT_ONCE)
    assert run([bytes([octet]) for octet in sent], AT_ONCE) == expected


PREFIXES = {
    "connect": b"",
    "ehlo": b"EHLO x\r\n",
    "mail": b"EHLO x\r\nMAIL FROM:<a@example.org>\r\n",
    "rcpt": OPEN,
    "auth": b"EHLO x\r\nAUTH PLAIN\r\n",
    "data": OPEN + b"DATA\r\n",
}


@pytest.mark.parametrize("state", PREFIXES)
@given(line=st.binary(max_size=300))
def test_s21_no_line_breaks_the_server_in_any_state(state: str, line: bytes) -> None:
    session = Session(OFFER)
    session.say(PREFIXES[state])
    for reply in session.say(line + b"\r\n"):
        assert reply.isascii()
        assert reply.isprintable()
        assert len(reply) <= 510
    session.server.receive(b"")
    session.step()
    assert session.server.closing


def test_the_password_is_taken_however_it_is_cut() -> None:
    from base64 import b64encode

    line = b"EHLO x\r\nAUTH PLAIN " + b64encode(PASSWORD) + b"\r\n"
    offer = replace(OFFER, limits=LineLimits())
    assert run([line], offer) == run([line[:20], line[20:30], line[30:]], offer)
    assert run([line], offer)[1][-1] == "235 2.7.0 Hello"
