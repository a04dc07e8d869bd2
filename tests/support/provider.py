"""A scripted mail provider for the transport's tests: the usual words, a token source, a transport."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from postbearer.envelope import Envelope
from postbearer.errors import PostbearerError
from postbearer.events import Event
from postbearer.message import BytesContent
from postbearer.oauth import Token
from postbearer.secret import Secret
from postbearer.testing import Expect, ManualClock, ScriptedStream, StartTls, Tap, conversation, lines
from postbearer.testing.stream import Step
from postbearer.transport import ServerAddress, Smarthost, SmtpTransport, Stream, Transcript

CANARY = "canary-token-0123456789abcdefghijklmnopqrstuvwxyz.ABCDEFGH"
RENEWED = "canary-renewed-0123456789abcdefghijklmnopqrstuvwxyz.IJKLMNOP"
MESSAGE = b"Subject: hi\r\n\r\nHello.\r\n"
ALL = ("PIPELINING", "CHUNKING", "8BITMIME", "SIZE 1000000")
TWO_TRIPS = ("PIPELINING", "8BITMIME")

CONTENT = BytesContent(MESSAGE)


def envelope(*recipients: str) -> Envelope:
    return Envelope.of("alerts@example.org", recipients or ("anna@example.net",))


def ehlo(*keywords: str, auth: str = "XOAUTH2") -> list[Step]:
    offered = ["mail.example.org", *keywords, *([f"AUTH {auth}"] if auth else [])]
    return [Expect("EHLO "), lines(*(f"250-{line}" for line in offered[:-1]), f"250 {offered[-1]}")]


def accepted_login(reply: str = "235 2.7.0 Accepted") -> list[Step]:
    return [Expect("AUTH XOAUTH2"), lines(reply)]


def refused_login(reply: str = "535 5.7.3 Authentication unsuccessful") -> list[Step]:
    return [Expect("AUTH XOAUTH2 "), lines(reply)]


def opened(*keywords: str) -> list[Step]:
    """Implicit TLS, greeting, EHLO, a login that is taken."""
    return conversation(StartTls(), lines("220 hello"), ehlo(*(keywords or ALL)), accepted_login())


def one_flight(
    *rcpts: str, mail: str = "250 2.1.0 ok", final: str = "250 2.0.0 Ok: queued as ABC123", size: int = 0
) -> list[Step]:
    """MAIL, RCPT …, BDAT LAST and the content, answered at once."""
    rcpts = rcpts or ("250 2.1.5 ok",)
    return conversation(
        Expect("MAIL FROM:<"),
        [Expect("RCPT TO:<") for _ in rcpts],
        Expect(f"BDAT {size or len(MESSAGE)} LAST"),
        [Expect(line) for line in MESSAGE.decode().split("\r\n")[:-1]],
        lines(mail, *rcpts, final),
    )


class Tokens:
    """A token source that hands out `values` in turn: the next one after each `invalidate`."""

    def __init__(self, *values: str, error: PostbearerError | None = None) -> None:
        self.values = list(values or (CANARY, RENEWED))
        self.invalidated: list[Secret] = []
        self.error = error

    async def token(self) -> Token:
        await asyncio.sleep(0)  # others may run meanwhile, as with a real source
        if self.error is not None:
            raise self.error
        return Token(Secret(self.values[0]), expires_at=1e9, obtained_at=1000.0)

    async def invalidate(self, token: Token) -> None:
        self.invalidated.append(token.access)
        if len(self.values) > 1:
            self.values.pop(0)


@dataclass
class Provider:
    """Scripted connections, handed out in order, and everything that was noticed about them."""

    scripts: Iterable[Iterable[Step] | PostbearerError]
    servers: tuple[str, ...] = ("mail.example.org:465",)
    tokens: Tokens = field(default_factory=Tokens)
    clock: Any = field(default_factory=ManualClock)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tap = Tap()
        self.events: list[Event] = []
        self.dialled: list[str] = []
        self.streams: list[ScriptedStream] = []
        self.transcript = Transcript()
        self._left = list(self.scripts)
        smarthost = Smarthost(
            servers=tuple(map(ServerAddress.parse, self.servers)),
            **{"username": "alerts@example.org", "ehlo_name": "client.example.org"} | self.options,
        )
        needs_token = smarthost.authentication == "oauth"
        self.transport = SmtpTransport(
            smarthost,
            self.tokens if needs_token else None,
            account="alerts",
            clock=self.clock,
            observer=self,
            dial=self._dial,
            capture=lambda: self.transcript,
        )
        self.deliver = self.transport.deliver

    async def _dial(self, smarthost: Smarthost, server: ServerAddress, timeout: float) -> Stream:
        self.dialled.append(str(server))
        script = self._left.pop(0)
        if isinstance(script, PostbearerError):
            raise script
        manual = self.clock if isinstance(self.clock, ManualClock) else None
        stream = ScriptedStream(*script, clock=manual, tap=self.tap)
        self.streams.append(stream)
        return stream

    def notice(self, event: Event) -> None:
        self.events.append(event)

    @property
    def noticed(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    @property
    def leaked(self) -> bool:
        return any(self.tap.leaked(value) for value in (CANARY, RENEWED))

    def authentications(self) -> int:
        return self.tap.verbs.count("AUTH")


def with_provider(*scripts: Iterable[Step] | PostbearerError, **options: Any) -> Provider:
    """A provider on one server, the smarthost's other fields being `options`."""
    named = {name: options.pop(name) for name in ("servers", "tokens", "clock") if name in options}
    return Provider(scripts, options=options, **named)
