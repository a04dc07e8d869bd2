"""The sandbox's mail server: takes mail only from who shows a bearer token, as the real ones do."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field

from postbearer.clock import Clock
from postbearer.errors import UsageError
from postbearer.log import EventLog
from postbearer.message import BytesContent, SenderRule, read_header
from postbearer.reply import Reply
from postbearer.sasl import ClaimedIdentity, ServerExchange, refusal, server_exchange
from postbearer.serving import Link
from postbearer.tasks import Tasks
from postbearer.testing.faults import Faults, SmtpFault
from postbearer.testing.inbox import Inbox, Received
from postbearer.testing.personality import Personality
from postbearer.testing.replies import parse_reply
from postbearer.testing.tokens import TokenRegister
from postbearer.wire import (
    Auth,
    AuthResponse,
    Bdat,
    Closed,
    Content,
    Data,
    Ehlo,
    EndOfContent,
    Event,
    Extensions,
    Helo,
    LineLimits,
    Mail,
    Offer,
    Quit,
    Rcpt,
    Rset,
    SmtpServer,
    StartTls,
)


@dataclass(slots=True)
class ReceivedTransaction:
    """A message on its way in."""

    mail: Mail
    recipients: list[str] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)


class MailServer:
    """Two ports, one with STARTTLS and one with TLS from the first octet; one inbox behind them."""

    def __init__(
        self,
        personality: Personality,
        *,
        users: frozenset[str],
        register: TokenRegister,
        faults: Faults,
        inbox: Inbox,
        context: ssl.SSLContext,
        clock: Clock,
    ) -> None:
        self.personality = personality
        self.users = users
        self.register = register
        self.faults = faults
        self.inbox = inbox
        self.context = context
        self.clock = clock
        self.connections = 0  # accepted so far
        self.submitting = 0  # authenticated and open now
        self.recent: deque[float] = deque()  # when the last messages were taken, wall clock
        self._servers: list[asyncio.Server] = []
        self._sessions: dict[Link, SandboxSession] = {}
        self._tasks = Tasks(clock, EventLog())

    async def start(self, starttls: socket.socket, implicit_tls: socket.socket) -> tuple[int, int]:
        """Listen on these two; returns their ports."""
        loop = asyncio.get_running_loop()
        plain = await loop.create_server(lambda: Link(self._begin), sock=starttls)
        implicit = await loop.create_server(lambda: Link(self._begin), sock=implicit_tls, ssl=self.context)
        self._servers = [plain, implicit]
        starttls_port, implicit_port = (server.sockets[0].getsockname()[1] for server in self._servers)
        return starttls_port, implicit_port

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for link in tuple(self._sessions):
            link.abort()
        for server in self._servers:
            await server.wait_closed()

    def hang_up(self) -> None:
        """End the connections on which no message is under way."""
        for link, session in self._sessions.items():
            if not session.busy:
                link.abort()

    def _begin(self, link: Link) -> None:
        self._tasks.start(self._serve(link), "sandbox")

    async def _serve(self, link: Link) -> None:
        # One that says goodbye is still open for a while, and is to be ended with the rest.
        self._sessions = {each: session for each, session in self._sessions.items() if not each.lost}
        session = self._sessions[link] = SandboxSession(self, link)
        self.connections += 1
        try:
            await session.run()
        finally:
            link.close()

    async def admit(self) -> Reply | None:
        """Hold a message back until the minute has room, or refuse it, as the personality does."""
        limit = self.personality.messages_per_minute
        while limit:
            now = self.clock.now()
            while self.recent and self.recent[0] <= now - 60:
                self.recent.popleft()
            if len(self.recent) < limit:
                break
            if self.faults.excess_is_refused:
                return parse_reply(
                    "421 4.4.2 Message submission rate for this client has exceeded the configured limit"
                )
            await self.clock.sleep(self.recent[0] + 60 - now)
        self.recent.append(self.clock.now())
        return None


class SandboxSession:
    """One client."""

    def __init__(self, server: MailServer, link: Link) -> None:
        self._mail = server
        self._link = link
        self._personality = server.personality
        self._core = SmtpServer(_offer(server.personality), tls=link.tls)
        self._exchange: ServerExchange | None = None
        self._refused = False  # the error challenge is out; its answer is awaited
        self._username = ""
        self._mechanism = ""
        self._nth = 0  # how many others were submitting when this one proved itself, plus one
        self._transaction: ReceivedTransaction | None = None

    @property
    def busy(self) -> bool:
        """Whether a message is under way: not where all its recipients were refused."""
        return self._transaction is not None and bool(self._transaction.recipients)

    async def run(self) -> None:
        try:
            if refused := await self._fault("greeting"):
                self._core.close(refused)
            self._core.greet("postbearer sandbox")
            while not self._core.closing:
                await self._link.write(self._core.data_to_send())
                data = await self._link.read()
                limit = self._mail.faults.disconnect_after
                if limit is not None and self._link.received >= limit:
                    return
                self._core.receive(data)
                await self._answer_all()
        except _HangUp:
            self._link.abort()
        finally:
            if self._nth:
                self._mail.submitting -= 1
            if not self._link.transport.is_closing():
                await self._link.write(self._core.data_to_send())

    async def _answer_all(self) -> None:
        while (event := self._core.next_event()) is not None:
            if isinstance(event, Closed | Quit):
                return
            await self._answer(event)

    async def _answer(self, event: Event) -> None:
        match event:
            case Ehlo() | Helo():
                self._reply(await self._fault("ehlo") or self._core.hello_reply())
            case StartTls():
                await self._start_tls()
            case Auth(mechanism, initial):
                await self._auth(mechanism, initial)
            case AuthResponse(data):
                self._auth_response(data)
            case Mail():
                await self._on_mail(event)
            case Rcpt(forward_path):
                await self._on_rcpt(forward_path)
            case Data():
                self._reply(await self._fault("data") or Reply(354, (b"Go ahead",)))
            case Content(data) if self._transaction is not None:
                self._transaction.content += data
            case EndOfContent(last, defect):
                await self._on_end(last, defect)
            case Rset():
                self._transaction = None
            case Bdat() | _:
                pass

    # TLS and AUTH ---------------------------------------------------------------------------

    async def _start_tls(self) -> None:
        if reply := await self._fault("starttls"):
            self._reply(reply)
            return
        self._reply(Reply(220, (b"2.0.0 Ready to start TLS",)))
        await self._link.write(self._core.data_to_send())
        if not await self._link.start_tls(self._mail.context):
            raise _HangUp
        self._core.tls_started()

    async def _auth(self, mechanism: str, initial: bytes | None) -> None:
        if reply := await self._fault("auth"):
            self._reply(reply)
            return
        limit = self._personality.auth_line
        if 0 < limit < _line_length(mechanism, initial):
            self._core.close(self._text(self._personality.auth_line_refused))
            return
        self._exchange = server_exchange(mechanism)
        self._refused = False
        if initial is None:
            self._reply(Reply(334, (b"",)))
        else:
            self._auth_response(initial)

    def _auth_response(self, data: bytes | None) -> None:
        if data is None:
            return
        if self._refused or self._exchange is None:  # None: a fault has asked for more in place of us
            self._reply(self._text(self._personality.refused))
            return
        try:
            claim = self._exchange.step(data)
        except UsageError:
            self._reply(Reply(501, (b"5.5.2 Cannot decode response",)))
            return
        if isinstance(claim, bytes):
            self._reply(self._challenge(claim))
        elif self._accepts(claim):
            self._username, self._mechanism = claim.username.lower(), claim.mechanism
            self._mail.submitting += 1
            self._nth = self._mail.submitting
            self._reply(self._text(self._personality.accepted))
        elif self._personality.preset.error_challenge and (why := refusal(claim.mechanism, "401")):
            self._refused = True
            self._reply(self._challenge(why))
        else:
            self._reply(self._text(self._personality.refused))

    def _accepts(self, claim: ClaimedIdentity) -> bool:
        if claim.token is None or claim.username.lower() not in self._mail.users:
            return False
        if self._mail.faults.refuse_tokens > 0:
            self._mail.faults.refuse_tokens -= 1
            return False
        issued = self._mail.register.known(claim.token.reveal())
        return issued is not None and (
            issued.subject is None or issued.subject.lower() == claim.username.lower()
        )

    @staticmethod
    def _challenge(data: bytes) -> Reply:
        return Reply(334, (b64encode(data),))

    # One message ----------------------------------------------------------------------------

    async def _on_mail(self, event: Mail) -> None:
        if reply := await self._fault("mail", event.reverse_path):
            self._reply(reply)
        elif not self._username:
            self._reply(self._text("530 5.7.57 Client not authenticated to send mail"))
        else:
            self._transaction = ReceivedTransaction(event)
            self._reply(self._text("250 2.1.0 Sender OK"))

    async def _on_rcpt(self, forward_path: str) -> None:
        assert self._transaction is not None
        if reply := await self._fault("rcpt", forward_path):
            self._reply(reply)
        else:
            self._transaction.recipients.append(forward_path)
            self._reply(self._text("250 2.1.5 Recipient OK"))

    async def _on_end(self, last: bool, defect: str) -> None:
        transaction = self._transaction
        if defect or transaction is None:
            self._transaction = None
            return
        if reply := await self._fault("content" if last else "bdat", transaction.mail.reverse_path):
            self._reply(reply)
        elif not last:
            self._reply(self._text("250 2.0.0 Chunk received"))
            return
        else:
            self._reply(await self._take(transaction))
        self._transaction = None

    async def _take(self, transaction: ReceivedTransaction) -> Reply:
        if refused := self._policy(transaction):
            return self._text(refused)
        if refused_for_now := await self._mail.admit():
            return refused_for_now
        identifier = secrets.token_hex(8)
        self._mail.inbox.add(
            Received(
                id=identifier,
                at=self._mail.clock.now(),
                username=self._username,
                mechanism=self._mechanism,
                reverse_path=transaction.mail.reverse_path,
                recipients=tuple(transaction.recipients),
                content=bytes(transaction.content),
                body=transaction.mail.parameters.body,
                smtputf8=transaction.mail.parameters.smtputf8,
            )
        )
        if late := await self._fault("content", transaction.mail.reverse_path, after_commit=True):
            return late
        return self._text(self._personality.queued, identifier)

    def _policy(self, transaction: ReceivedTransaction) -> str:
        """What Exchange Online finds out only after the content; ``""`` when there is nothing to say."""
        if self._personality.connections and self._nth > self._personality.connections:
            return "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"
        if not self._personality.own_sender_only:
            return ""
        try:
            rule = SenderRule(self._username, "check")
            rule.require([transaction.mail.reverse_path] if transaction.mail.reverse_path else [])
            rule.check(read_header(BytesContent(bytes(transaction.content))))
        except UsageError:
            return (
                f"554 5.2.252 SendAsDenied; {self._username} not allowed to send as "
                f"{transaction.mail.reverse_path}; STOREDRV.Submission.Exception:SendAsDeniedException."
                "MapiExceptionSendAsDenied"
            )
        return ""

    # Replies --------------------------------------------------------------------------------

    def _reply(self, reply: Reply) -> None:
        self._core.reply(reply)

    def _text(self, text: str, identifier: str = "") -> Reply:
        now = str(int(self._mail.clock.now()))
        return parse_reply(text.replace("{time}", now).replace("{id}", identifier or secrets.token_hex(8)))

    async def _fault(self, at: str, text: str = "", *, after_commit: bool = False) -> Reply | None:
        """The reply a fault gives in place of the usual one. Raises `_HangUp` for one that says nothing."""
        fault: SmtpFault | None = self._mail.faults.next_smtp(at, text, after_commit=after_commit)
        if fault is None:
            return None
        if fault.delay:
            await self._mail.clock.sleep(fault.delay)
        if not fault.reply:
            if fault.delay:
                return None
            raise _HangUp
        return parse_reply(fault.reply)


def _line_length(mechanism: str, initial: bytes | None) -> int:
    """Octets of the AUTH command, with its CRLF."""
    return len(f"AUTH {mechanism}\r\n") + (0 if initial is None else 1 + len(b64encode(initial)))


class _HangUp(Exception):
    """Close the connection now, without another word."""


def _offer(personality: Personality) -> Offer:
    keywords: dict[str, tuple[str, ...]] = dict.fromkeys(personality.extensions, ())
    return Offer(
        hostname="sandbox.example.org",
        extensions=Extensions(keywords),
        limits=LineLimits(max_size=personality.size),
        starttls=True,
        mechanisms=personality.mechanisms,
        require_tls=True,
    )
