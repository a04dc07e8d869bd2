"""A server with a simple face behind it, spoken to in bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from postbearer.reply import Reply
from postbearer.wire import (
    Auth,
    AuthResponse,
    Content,
    Data,
    Ehlo,
    EndOfContent,
    Event,
    Helo,
    LineLimits,
    Mail,
    Offer,
    Rcpt,
    Rset,
    SmtpServer,
    StartTls,
    challenge,
    compose,
)

OFFER = Offer("mx.example.org")
PASSWORD = b"\0alice\0CANARY-8d1f"

# The longest way a client may go before it has to wait: it fits in one segment.
OPEN = b"EHLO client.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"


@dataclass
class Message:
    reverse_path: str
    forward_paths: list[str]
    content: bytes


@dataclass
class Session:
    """Takes every sender, recipient and message, and the one password there is."""

    offer: Offer = OFFER
    tls: bool = False
    greet: bool = True
    refuse: dict[type[Event], Reply] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = SmtpServer(self.offer, tls=self.tls)
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self.open = Message("", [], b"")
        self.transcript: list[str] = []
        if self.greet:
            self.server.greet()
            self.written()

    def say(self, data: bytes | str, *, pieces: Iterable[bytes] | None = None) -> list[str]:
        """Send bytes (a str is lines: CRLF is added to each); return the replies, one string each."""
        if isinstance(data, str):
            data = "".join(f"{line}\r\n" for line in data.split("\n")).encode()
        before = len(self.transcript)
        for piece in pieces if pieces is not None else (data,):
            self.server.receive(piece)
            self.step()
            self.written()
        return self.transcript[before:]

    def written(self) -> None:
        self.transcript += [line for line in self.server.data_to_send().decode().split("\r\n") if line]

    def step(self) -> None:
        while (event := self.server.next_event()) is not None:
            self.take(event)
            if self.server.owed is not None:
                self.server.reply(self.answer(event))

    def take(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case Mail(reverse_path):
                self.open = Message(reverse_path, [], b"")
            case Rcpt(forward_path):
                self.open.forward_paths.append(forward_path)
            case Content(data):
                self.open.content += data
            case EndOfContent(last=True, defect="") if EndOfContent not in self.refuse:
                self.messages.append(self.open)
            case Rset():
                self.open = Message("", [], b"")
            case _:
                pass

    def answer(self, event: Event) -> Reply:
        if type(event) in self.refuse:
            return self.refuse[type(event)]
        match event:
            case Ehlo() | Helo():
                return self.server.hello_reply()
            case StartTls():
                return compose(220, "Go ahead", enhanced="2.0.0")
            case Auth(_, initial) if initial is None:
                return challenge(b"")
            case Auth(_, data) | AuthResponse(data):
                good = data == PASSWORD
                return (
                    compose(235, "Hello", enhanced="2.7.0") if good else compose(535, "No", enhanced="5.7.8")
                )
            case Data():
                return compose(354, "Go on")
            case _:
                return compose(250, "OK", enhanced="2.1.0")

    @property
    def survives(self) -> bool:
        """Whether the session goes on."""
        return self.say("NOOP") == ["250 2.0.0 OK"] and not self.server.closing

    @property
    def closed(self) -> bool:
        """Whether it is over: closing, and nothing that comes later is answered or executed."""
        events = list(self.events)
        silent = self.say(OPEN) == [] and self.events == events
        return self.server.closing and silent and self.server.buffered == 0


def ready(offer: Offer = OFFER, *, tls: bool = False) -> Session:
    """Behind EHLO."""
    session = Session(offer, tls=tls)
    session.say("EHLO client.example.org")
    return session


def addressed(offer: Offer = OFFER) -> Session:
    """Behind MAIL and one RCPT."""
    session = Session(offer)
    session.say(OPEN)
    return session


def limited(**limits: int) -> Offer:
    """An offer with these limits."""
    return Offer("mx.example.org", limits=LineLimits(**limits))
