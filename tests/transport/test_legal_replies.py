"""Any reply may come to any command, 421 above all (RFC 5321 3.8, 4.2.1): each ends in outcomes.

A server here answers whatever it is asked from a list, and goes on answering what was sent in the same
flight, also behind a 421. It never breaks SMTP, so nothing may end in an error of our own machine.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import Disconnected, PostbearerError, ProtocolError
from postbearer.message import BytesContent
from postbearer.outcome import Outcome, State
from postbearer.transport import ServerAddress, Smarthost, SmtpTransport, TlsInfo
from postbearer.transport.transaction import ONE_FLIGHT
from support.provider import CONTENT, Tokens, envelope

LARGE = BytesContent(b"Subject: hi\r\n\r\n" + b"0123456789abcde\r\n" * (ONE_FLIGHT * 2 // 17))


@dataclass
class Answers:
    """What the server says to each command, in turn; the last one again and again."""

    mail: list[str] = field(default_factory=lambda: ["250 ok"])
    rcpt: list[str] = field(default_factory=lambda: ["250 ok"])
    data: list[str] = field(default_factory=lambda: ["354 go"])
    end: list[str] = field(default_factory=lambda: ["250 ok"])
    bdat: list[str] = field(default_factory=lambda: ["250 ok"])
    rset: list[str] = field(default_factory=lambda: ["250 ok"])
    quit: list[str] = field(default_factory=lambda: ["221 bye"])
    ehlo: list[str] = field(default_factory=list)
    auth: list[str] = field(default_factory=lambda: ["235 ok"])
    greeting: list[str] = field(default_factory=lambda: ["220 hello"])
    starttls: list[str] = field(default_factory=lambda: ["220 go"])

    def next(self, name: str) -> str:
        left: list[str] = getattr(self, name)
        return left.pop(0) if len(left) > 1 else left[0]


class Polite:
    """A `Stream` to a server that answers every command with a legal reply."""

    def __init__(self, answers: Answers, offered: list[str], *, stays: bool) -> None:
        self._answers = answers
        self._offered = offered
        self._stays = stays  # behind a 421 it answers what is here already, and only then closes
        self._unread = bytearray()
        self._out = bytearray(f"{answers.next('greeting')}\r\n".encode())
        self._swallow = 0
        self._dots = False
        self._closing = False
        self._closed = False
        self.tls: TlsInfo | None = None

    @property
    def quiet(self) -> bool:
        return not (self._out or self._closing or self._closed)

    async def read(self, stage: str, timeout: float, limit: int = 65536) -> bytes:
        if not self._out:
            assert self._closing, "The client waits for a reply that nobody owes."
            raise Disconnected("The peer closed the connection.", stage=stage)
        data = bytes(self._out[:limit])
        del self._out[:limit]
        return data

    async def write(self, data: bytes, stage: str, timeout: float) -> None:
        if self._closing or self._closed:
            raise Disconnected("The peer closed the connection.", stage=stage)
        self._unread += data
        while self._step():
            if self._closing and not self._stays:
                return

    async def start_tls(self, context: ssl.SSLContext, name: str, timeout: float) -> None:
        assert not self._out
        self.tls = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", name)

    async def close(self) -> None:
        self._closed = True

    def _step(self) -> bool:
        if self._swallow:
            if len(self._unread) < self._swallow:
                return False
            del self._unread[: self._swallow]
            self._swallow = 0
            return self._say("bdat")
        mark = b".\r\n" if self._dots else b"\r\n"
        if self._dots and not self._unread.startswith(mark):
            mark = b"\r\n.\r\n"
        end = self._unread.find(mark)
        if end < 0:
            return False
        line = bytes(self._unread[:end])
        del self._unread[: end + len(mark)]
        if self._dots:
            self._dots = False
            return self._say("end")
        return self._command(line)

    def _command(self, line: bytes) -> bool:
        verb = line.split(b" ")[0].decode().lower()
        if verb == "bdat":
            self._swallow = int(line.split(b" ")[1])
            return True if self._swallow else self._say("bdat")
        if verb == "ehlo" and not self._answers.ehlo:
            self._out += b"".join(
                b"250-%s\r\n" % each.encode() for each in ["me", "STARTTLS", *self._offered]
            )
            self._out += b"250 AUTH XOAUTH2\r\n"
            return True
        return self._say(verb)

    def _say(self, name: str) -> bool:
        reply = self._answers.next(name)
        self._out += f"{reply}\r\n".encode()
        self._dots = name == "data" and reply.startswith("354")
        self._closing = self._closing or reply.startswith(("421", "221"))
        return True


async def deliver(
    answers: Answers,
    offered: list[str],
    *,
    stays: bool = True,
    recipients: int = 1,
    large: bool = False,
    tls: Literal["starttls", "none-loopback"] = "none-loopback",
) -> list[tuple[Outcome, ...] | PostbearerError]:
    """What became of two messages, one after the other, by one transport."""
    smarthost = Smarthost(
        servers=(ServerAddress("localhost", 587),),
        tls=tls,
        username="alerts@example.org",
        ehlo_name="client.example.org",
    )

    async def dial(smarthost: Smarthost, server: ServerAddress, timeout: float) -> Polite:
        return Polite(answers, offered, stays=stays)

    transport = SmtpTransport(smarthost, Tokens(), account="alerts", dial=dial)
    ends: list[tuple[Outcome, ...] | PostbearerError] = []
    for _ in range(2):
        try:
            receipt = await transport.deliver(
                envelope(*(f"u{n}@example.net" for n in range(recipients))), LARGE if large else CONTENT
            )
            ends.append(receipt.outcomes)
        except PostbearerError as error:
            ends.append(error)
    await transport.close()
    return ends


def offers(pipelining: bool, chunking: bool) -> list[str]:
    return [word for word, on in (("PIPELINING", pipelining), ("CHUNKING", chunking)) if on]


def assert_outcomes(ends: list[tuple[Outcome, ...] | PostbearerError], recipients: int) -> None:
    for end in ends:
        assert isinstance(end, tuple), f"{type(end).__name__}: {end}"
        assert len(end) == recipients
        for outcome in end:
            assert outcome.reply is not None or outcome.error is not None
            assert outcome.state is not State.FAILED or (
                outcome.reply is not None and outcome.reply.permanent
            )
            assert not isinstance(outcome.error, ProtocolError), outcome.error


MAIL = ["250 2.1.0 ok", "421 4.3.2 bye", "451 4.3.0 later", "550 5.7.1 no"]
RCPT = ["250 2.1.5 ok", "251 will forward", "421 4.7.28 rate limited", "450 4.2.1 later", "550 5.1.1 no"]
DATA = ["354 go", "421 4.3.2 bye", "451 4.3.0 later", "554 5.5.1 no valid recipients"]
END = ["250 2.0.0 ok", "421 4.3.2 bye", "452 4.3.1 full", "554 5.6.0 no"]
RSET = ["250 ok", "421 4.3.2 bye", "500 what"]
BOTH = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.once
@pytest.mark.parametrize("stays", [True, False], ids=["goes-on", "closes-at-once"])
@pytest.mark.parametrize(("pipelining", "chunking"), BOTH)
async def test_any_reply_to_any_command_ends_in_outcomes(
    pipelining: bool, chunking: bool, stays: bool
) -> None:
    for mail, first, second, data, end in product(MAIL, RCPT, RCPT, DATA, END):
        answers = Answers(mail=[mail], rcpt=[first, second], data=[data], end=[end], bdat=[end])
        ends = await deliver(answers, offers(pipelining, chunking), stays=stays, recipients=2)
        assert_outcomes(ends, 2)


async def test_a_421_to_a_recipient_defers_with_its_own_words_though_354_follows() -> None:
    answers = Answers(rcpt=["421 4.7.28 rate limited"])
    for end in await deliver(answers, ["PIPELINING"]):
        assert isinstance(end, tuple)
        (outcome,) = end
        assert (outcome.state, str(outcome.reply)) == (State.DEFERRED, "421 4.7.28 rate limited")


async def test_who_was_accepted_before_a_421_is_deferred_and_the_content_stays_here() -> None:
    answers = Answers(rcpt=["250 ok", "421 4.3.2 bye", "250 ok", "421 4.3.2 bye"])
    for end in await deliver(answers, ["PIPELINING"], recipients=2):
        assert isinstance(end, tuple)
        assert [outcome.state for outcome in end] == [State.DEFERRED, State.DEFERRED]


@pytest.mark.parametrize("rset", RSET)
@pytest.mark.parametrize(("pipelining", "chunking"), BOTH)
async def test_a_transaction_that_failed_leaves_the_next_message_whole(
    pipelining: bool, chunking: bool, rset: str
) -> None:
    answers = Answers(
        data=["554 5.5.1 no", "354 go"], bdat=["554 5.5.1 no", "250 ok"], rset=[rset], quit=["500 what"]
    )
    first, second = await deliver(answers, offers(pipelining, chunking))
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert (first[0].state, second[0].state) == (State.FAILED, State.DELIVERED)


@pytest.mark.parametrize("chunking", [True, False])
@pytest.mark.parametrize("pipelining", [True, False])
@given(
    replies=st.lists(st.sampled_from(END), min_size=1, max_size=4),
    rcpt=st.lists(st.sampled_from(RCPT), min_size=1, max_size=3),
    stays=st.booleans(),
)
def test_a_large_message_ends_in_outcomes_too(
    pipelining: bool, chunking: bool, replies: list[str], rcpt: list[str], stays: bool
) -> None:
    answers = Answers(rcpt=list(rcpt), bdat=list(replies), end=[replies[0]])
    run = deliver(answers, offers(pipelining, chunking), stays=stays, recipients=len(rcpt), large=True)
    assert_outcomes(asyncio.run(run), len(rcpt))


def before_mail() -> Iterator[tuple[str, str]]:
    for code in (
        "421 4.3.2 bye",
        "450 later",
        "451 4.7.0 later",
        "454 4.7.0 later",
        "500 what",
        "554 5.7.1 no",
    ):
        for name in ("greeting", "ehlo", "starttls", "auth"):
            yield name, code


@pytest.mark.parametrize(("name", "reply"), list(before_mail()))
async def test_a_refusal_before_any_message_is_told_as_the_servers(name: str, reply: str) -> None:
    answers = Answers(**{name: [reply]})
    for end in await deliver(answers, [], tls="starttls"):
        assert isinstance(end, PostbearerError)
        assert not isinstance(end, ProtocolError)
        assert reply in str(end)
        said = getattr(end, "reply", None)
        assert said is not None
        assert str(said) == reply
