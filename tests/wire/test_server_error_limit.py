"""What brings no message nearer is counted, whatever it is; what people really do passes."""

from __future__ import annotations

import pytest

from postbearer.reply import Reply
from postbearer.wire import Data, EndOfContent, Event, Mail, Offer, Rcpt, StartTls, compose
from wire.serving import OPEN, Session, limited

REFUSED = compose(550, "No", enhanced="5.7.1")
LATER = compose(450, "Later", enhanced="4.7.1")
HELLO = "EHLO client.example.org"
MAIL = "MAIL FROM:<a@example.org>"
RCPT = "RCPT TO:<b@example.org>"
MESSAGE = OPEN + b"BDAT 2 LAST\r\nab"


def refusing(event: type[Event], reply: Reply, *, begin: str = HELLO, **options: bool) -> Session:
    session = Session(Offer("mx.example.org", **options), refuse={event: reply})  # type: ignore[arg-type]
    session.say(begin)
    return session


def plain(*lines: str, offer: Offer | None = None) -> Session:
    session = Session(offer or Offer("mx.example.org"))
    for line in lines:
        session.say(line)
    return session


STREAMS = {
    "EHLO": (plain, HELLO),
    "HELO": (plain, "HELO client.example.org"),
    "EHLO that opens nothing": (plain, f"{HELLO}\n{MAIL}"),
    "EHLO without a name": (plain, "EHLO"),
    "NOOP": (plain, "NOOP"),
    "RSET": (lambda: plain(HELLO), "RSET"),
    "VRFY": (lambda: plain(HELLO), "VRFY a"),
    "HELP": (plain, "HELP"),
    "out of turn": (lambda: plain(HELLO), "DATA"),
    "not served": (lambda: plain(HELLO), "EXPN a"),
    "no command": (plain, "junk"),
    "an empty line": (plain, ""),
    "MAIL that cannot be read": (lambda: plain(HELLO), "MAIL a"),
    "MAIL and RSET": (lambda: plain(HELLO), f"{MAIL}\nRSET"),
    "MAIL refused": (lambda: refusing(Mail, REFUSED), MAIL),
    "MAIL that has to wait": (lambda: refusing(Mail, LATER), MAIL),
    "RCPT refused": (lambda: refusing(Rcpt, REFUSED, begin=f"{HELLO}\n{MAIL}"), RCPT),
    "RCPT that has to wait": (lambda: refusing(Rcpt, LATER, begin=f"{HELLO}\n{MAIL}"), RCPT),
    "RCPT that cannot be read": (lambda: plain(HELLO, MAIL), "RCPT b"),
    "RCPT over the limit": (lambda: plain(HELLO, MAIL, RCPT, offer=limited(max_recipients=1)), RCPT),
    "DATA refused": (lambda: refusing(Data, REFUSED, begin=f"{HELLO}\n{MAIL}\n{RCPT}"), "DATA"),
    "content refused": (
        lambda: refusing(EndOfContent, REFUSED),
        f"{MAIL}\n{RCPT}\nBDAT 2 LAST\n",  # the CRLF behind it is the content
    ),
    "content too large": (
        lambda: plain(HELLO, offer=limited(max_size=1)),
        f"{MAIL}\n{RCPT}\nBDAT 2 LAST\n",
    ),
    "empty chunks": (lambda: plain(HELLO, MAIL, RCPT), "BDAT 0"),
    "chunks out of turn": (lambda: plain(HELLO), "BDAT 0"),
    "STARTTLS refused": (lambda: refusing(StartTls, LATER, starttls=True), "STARTTLS"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_it_ends(name: str) -> None:
    make, line = STREAMS[name]
    session = make()  # type: ignore[operator]
    for _ in range(150):
        session.say(line)
        if session.server.closing:
            break
    assert session.transcript[-1].startswith("421 4.7.0")
    assert session.closed


@pytest.mark.parametrize("name", STREAMS)
def test_in_one_segment_as_well(name: str) -> None:
    make, line = STREAMS[name]
    session = make()  # type: ignore[operator]
    session.say("\n".join([line] * 150))
    assert session.server.closing


def test_replies_are_slow_after_ten_refusals() -> None:
    session = refusing(Mail, REFUSED)
    moments = []
    for _ in range(12):
        session.say(MAIL)
        moments.append(session.server.error_limit.slow)
    assert moments == [False] * 9 + [True] * 3


def test_a_message_makes_good_what_was_before_it() -> None:
    session = Session()
    for _ in range(50):
        session.say("JUNK\n" * 5 + HELLO)
        session.say("RSET\n" * 20 + "NOOP")
        session.say(MESSAGE)
    assert len(session.messages) == 50
    assert not session.server.error_limit.slow


def test_several_greetings_before_a_message_pass() -> None:
    session = Session()
    for _ in range(20):
        assert session.say(HELLO)[-1].startswith("250")
    session.say(MESSAGE)
    assert len(session.messages) == 1


@pytest.mark.parametrize("bad", [3, 2])  # every third one, and every other one
def test_a_long_list_with_dead_addresses_passes(bad: int) -> None:
    session = Session()
    session.say(f"{HELLO}\n{MAIL}")
    session.say("\n".join("RCPT TO:<no address>" if n % bad == 0 else RCPT for n in range(1000)))
    session.say("DATA")
    session.say("x\n.")
    assert len(session.messages) == 1


def test_a_list_twice_as_long_as_may_be_passes_and_is_told_so() -> None:
    session = Session()
    session.say(f"{HELLO}\n{MAIL}")
    replies = session.say("\n".join([RCPT] * 2000))
    assert [reply[:3] for reply in replies] == ["250"] * 1000 + ["452"] * 1000
    session.say("DATA")
    session.say("x\n.")
    assert len(session.messages) == 1
