"""A listener on loopback with a spool in memory behind it, and a client that speaks in bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from postbearer.account import Account
from postbearer.clock import Clock, SystemClock
from postbearer.engine import Intake, IntakeSettings, Router
from postbearer.events import Observer, Silent
from postbearer.settings import SenderPolicy
from postbearer.store import MemorySpool, Message, Query, Spool
from postbearer.submission import (
    Access,
    Admission,
    ConnectionLimit,
    Listener,
    ListenerContext,
    Logins,
    Network,
    RateLimit,
    RejectLog,
    SessionLimits,
)
from postbearer.wire import Extensions, LineLimits, Offer

EXTENSIONS = (
    *("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING"),
    *("BINARYMIME", "MT-PRIORITY"),
)
MESSAGE = b"From: app@example.org\r\nTo: b@example.net\r\nSubject: x\r\n\r\nhello\r\n"
PATIENCE = 10.0  # seconds after which a test that waits for a reply has failed


def cheap_hash(password: str, *, memory: int = 8) -> str:
    """An argon2id hash that costs no time."""
    made = Argon2id(salt=b"0123456789abcdef", length=32, iterations=1, lanes=1, memory_cost=memory)
    return made.derive_phc_encoded(password.encode())


def offering(**options: Any) -> Offer:
    limits = options.pop("limits", LineLimits(max_size=100_000))
    return Offer("relay.example.org", Extensions(dict.fromkeys(EXTENSIONS, ())), limits, **options)


def account(sender: SenderPolicy = "force", **options: Any) -> Account:
    return Account.smtp(
        "alerts@example.org", servers=["mail.example.org:587"], authentication="none", name="alerts",
        sender=sender, **options,
    )  # fmt: skip


@dataclass(kw_only=True)
class Submission:
    """A relay's face. Say what is different before it is started by `running`."""

    offer: Offer = field(default_factory=offering)
    admissions: Sequence[Admission] = ()
    bounds: SessionLimits = field(default_factory=SessionLimits)
    clock: Clock = field(default_factory=SystemClock)
    spool: Spool | None = None
    context: ssl.SSLContext | None = None
    implicit_tls: bool = False
    legacy: bool = False
    proxies: tuple[Network, ...] | None = None
    account: Account = field(default_factory=account)
    address: str = "127.0.0.1:0"
    environ: dict[str, str] = field(default_factory=dict)
    observer: Observer = field(default_factory=Silent)

    def __post_init__(self) -> None:
        self.kept = MemorySpool(self.clock)
        self.reject_log = RejectLog(self.clock, self.observer)
        self.listener_context = self.build()
        self.doors = ConnectionLimit(self.bounds, self.reject_log)
        self.listener = Listener(self.address, self.listener_context, self.doors)

    def build(self) -> ListenerContext:
        access = Access(self.admissions)
        intake = Intake(
            self.spool or self.kept,
            Router((), "alerts"),
            {"alerts": self.account},
            clock=self.clock,
            observer=Silent(),
            settings=IntakeSettings(hostname="relay.example.org"),
        )
        return ListenerContext(
            offer=self.offer,
            intake=intake,
            access=access,
            logins=Logins(access, self.clock),
            rate_limit=RateLimit(self.clock),
            clock=self.clock,
            observer=self.observer,
            bounds=self.bounds,
            context=self.context,
            implicit_tls=self.implicit_tls,
            legacy=self.legacy,
            proxies=self.proxies,
            reject_log=self.reject_log,
        )

    @property
    def port(self) -> int:
        return int(self.listener.address.rpartition(":")[2])

    async def messages(self) -> list[Message]:
        """What is in the spool."""
        return [entry.message for entry in await self.kept.search(Query(limit=10_000))]

    async def contents(self) -> list[bytes]:
        return [b"".join((await self.kept.content(each)).blocks()) for each in await self.messages()]

    async def client(self, **options: Any) -> Talk:
        """A connection, behind its greeting."""
        talk = await Talk.open("127.0.0.1", self.port, **options)
        assert (await talk.reply()).startswith("220 ")
        return talk


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Submission]:
    submission = Submission(**options)
    await submission.listener.start(submission.environ)
    try:
        yield submission
    finally:
        await submission.listener.stop(0.0)


class Talk:
    """One connection as a client has it, with every octet in the test's hands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, host: str | None, port: int | None, **options: Any) -> Self:
        return cls(*await asyncio.open_connection(host, port, **options))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def half_close(self) -> None:
        """Say that no more will come."""
        with suppress(OSError):  # the server may have hung up already
            self.writer.write_eof()

    async def reply(self) -> str:
        """The next reply, its lines joined by newlines; ``""`` when the connection has ended."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            try:
                line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
            except ConnectionError:
                line = b""
            if not line:
                return "\n".join(lines)
            lines.append(line.decode().removesuffix("\r\n"))
        return "\n".join(lines)

    async def say(self, text: str | bytes) -> str:
        """Send a line; its reply."""
        self.send(text if isinstance(text, bytes) else f"{text}\r\n".encode())
        return await self.reply()

    async def replies(self, count: int) -> list[str]:
        return [(await self.reply())[:3] for _ in range(count)]

    async def all_replies(self) -> list[str]:
        """Until the server hangs up."""
        found = []
        while reply := await self.reply():
            found.append(reply)
        return found

    async def addressed(self, sender: str = "app@example.org") -> None:
        """Up to the first recipient."""
        assert (await self.say("EHLO client.example.org")).startswith("250")
        assert (await self.say(f"MAIL FROM:<{sender}>")).startswith("250")
        assert (await self.say("RCPT TO:<b@example.net>")).startswith("250")

    async def deliver(self, content: bytes = MESSAGE, sender: str = "app@example.org") -> str:
        """A whole message; the reply to its content."""
        await self.addressed(sender)
        assert (await self.say("DATA")).startswith("354")
        return await self.say(content + b".\r\n")

    async def start_tls(self, context: ssl.SSLContext) -> None:
        await asyncio.wait_for(self.writer.start_tls(context, server_hostname="localhost"), PATIENCE)

    @property
    def socket(self) -> socket.socket:
        found: socket.socket = self.writer.get_extra_info("socket")
        return found
