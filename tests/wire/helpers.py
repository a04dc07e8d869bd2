"""Ways to cut the same bytes, and clients brought to a place in the conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from postbearer.reply import Reply
from postbearer.wire import Answer, Command, Ehlo, SmtpClient

EHLO_LINES = (
    "PIPELINING",
    "CHUNKING",
    "BINARYMIME",
    "8BITMIME",
    "SMTPUTF8",
    "SIZE 35882577",
    "DSN",
    "STARTTLS",
    "AUTH OAUTHBEARER XOAUTH2",
    "REQUIRETLS",
    "MT-PRIORITY",
    "ENHANCEDSTATUSCODES",
)


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        yield data[place : place + 1]


Cut = Callable[[bytes], Iterator[bytes]]
CUTS: tuple[Cut, ...] = (whole, bytewise)


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces that begin at `places`."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def ehlo_reply(*keywords: str) -> bytes:
    """A positive answer to EHLO."""
    *first, last = ("mx.example.org greets you", *keywords)
    return "".join(f"250-{line}\r\n" for line in first).encode() + f"250 {last}\r\n".encode()


def ready(*keywords: str, without: str = "") -> SmtpClient:
    """A client behind EHLO; the server offers `keywords`, or by default everything `without` one."""
    client = SmtpClient()
    client.receive(b"220 mx.example.org ESMTP\r\n")
    client.send(Ehlo("client.example.org"))
    offered = keywords or tuple(line for line in EHLO_LINES if line.split()[0] != without)
    client.receive(ehlo_reply(*offered))
    return client


def say(client: SmtpClient, command: Command, reply: bytes) -> Answer:
    """One turn: send, receive, exactly one answer."""
    client.send(command)
    [answer] = client.receive(reply)
    assert answer.reply == read_one(reply)
    return answer


def read_one(data: bytes) -> Reply:
    """The one reply that `data` holds."""
    from postbearer.wire import ReplyLimits, ReplyReader

    reader = ReplyReader(ReplyLimits())
    reader.feed(data)
    reply = reader.next_reply()
    assert reply is not None
    assert not reader.pending
    return reply
