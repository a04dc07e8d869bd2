"""One client of the relay: its conversation, from the greeting to QUIT."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import replace

from postbearer.clock import Clock
from postbearer.engine import Intake, MessageIntake, Submission, Submitter
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import RemoteProtocolError, UsageError
from postbearer.events import CommandRejected, Observer, hears
from postbearer.reply import Reply
from postbearer.sasl import ClaimedIdentity, ServerExchange, server_exchange
from postbearer.serving import Link
from postbearer.submission.access import Access, Admission, Network
from postbearer.submission.login import WRONG, Logins
from postbearer.submission.rate_limit import RateLimit, RejectLog, SessionLimits
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
    Helo,
    Mail,
    Offer,
    Quit,
    Rcpt,
    Rset,
    SmtpServer,
    StartTls,
    challenge,
    compose,
)

# What the face itself says; all else is said by the core, or by the intake.
SHUTDOWN = compose(421, "The relay is shutting down", enhanced="4.3.2")
TOO_SLOW = compose(421, "Took too long", enhanced="4.4.2")
FAILED = compose(421, "Internal error", enhanced="4.3.0")
NO_TLS = compose(454, "TLS is not available", enhanced="4.7.0")
GO_TLS = compose(220, "Ready to start TLS", enhanced="2.0.0")
LOGGED_IN = compose(235, "Authentication successful", enhanced="2.7.0")
BAD_RESPONSE = compose(501, "Cannot decode the response", enhanced="5.5.2")
LOGIN_FIRST = compose(530, "Authentication required", enhanced="5.7.0")
STRANGER = compose(550, "Your network address may not send through here", enhanced="5.7.1")
TOO_MANY = compose(450, "Too many messages, try again in a minute", enhanced="4.7.1")
NO_ROOM = compose(452, "There is no room for this message now, try again later", enhanced="4.3.1")
TOO_LARGE = compose(552, "The message is larger than you may send", enhanced="5.3.4")
NO_ADDRESS = compose(553, "Not a mail address", enhanced="5.1.3")
SENDER_OK = compose(250, "Sender OK", enhanced="2.1.0")
RECIPIENT_OK = compose(250, "Recipient OK", enhanced="2.1.5")
GO_ON = compose(354, "End data with <CR><LF>.<CR><LF>")
TURN = 32  # commands answered before the others have their turn
CHUNK_OK = compose(250, "Chunk received", enhanced="2.0.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerContext:
    """What all sessions of one listener share."""

    offer: Offer
    intake: Intake
    access: Access
    logins: Logins[Admission]
    rate_limit: RateLimit
    clock: Clock
    observer: Observer
    bounds: SessionLimits = field(default_factory=SessionLimits)
    context: ssl.SSLContext | None = None  # for STARTTLS, or for all of the connection
    implicit_tls: bool = False
    legacy: bool = False
    proxies: tuple[Network, ...] | None = None  # who may tell whose connection it is; None: nobody has to
    reject_log: RejectLog | None = None  # tells of those who may not send


@dataclass(slots=True)
class IncomingMessage:
    """One message on its way in."""

    mail: Mail
    recipients: list[Recipient] = field(default_factory=list)
    intaking: MessageIntake | None = None
    refusal: Reply | None = None  # of the chunk that comes; told at its end
    send_at: float | None = None  # Unix seconds
    begun: float = 0.0  # when the content began, monotonic …
    start: int = 0  # … and how many octets had come by then


class SmtpSession:
    """Drives `wire.SmtpServer` for one connection. `run` ends when the connection does.

    `client` is who this is without a login; unless it is given, the network says.
    """

    def __init__(
        self, listener_context: ListenerContext, link: Link, client: Submitter | None = None
    ) -> None:
        self._context = listener_context
        self._link = link
        self._core = SmtpServer(listener_context.offer, tls=link.tls)
        self._core.on_refusal = self._count_refusal
        self._peer = link.peer
        self._known = client or listener_context.access.by_network(self._peer, legacy=listener_context.legacy)
        self._client = self._known  # or who has logged in
        self._exchange: ServerExchange | None = None
        self._helo = ""
        self._extended = False
        self._login = ""
        self._transaction: IncomingMessage | None = None
        self._stopping = False
        self._quit = False
        self._useful = self._heard = listener_context.clock.monotonic()  # the last message, the last command

    async def run(self) -> None:
        """Serve until the client leaves, is turned away, or takes too long."""
        try:
            await asyncio.sleep(0)  # what came with the connection comes now
            if early := self._link.take():  # it should have waited for the greeting (RFC 5321 4.3.1)
                self._core.receive(early)
            self._core.greet(self._context.intake.banner)
            if self._core.closing:
                await self._answer_all()
            while not self._core.closing:
                if said := self._core.data_to_send():
                    self._heard = self._context.clock.monotonic()
                    await self._link.write(said, self._context.bounds.write)
                self._core.receive(await self._link.read(self._patience()))
                await self._answer_all()
                if self._core.error_limit.slow:
                    await self._context.clock.sleep(self._context.bounds.error_delay)
        except TimeoutError:
            self._core.close(TOO_SLOW, "too slow")
        except Exception:
            self._core.close(FAILED, "a defect", fault=False)
            raise
        finally:
            await self._forget()
            self._link.close(self._core.data_to_send(), linger=not (self._quit or self._stopping))

    def stop(self) -> None:
        """Shut down: as soon as no message is under way, the client is told 421."""
        self._stopping = True
        if self._link.waiting and self._transaction is None:
            self._core.close(SHUTDOWN, "shutdown", fault=False)
            self._link.close(self._core.data_to_send())

    def _patience(self) -> float:
        """How long the next octets may take. Content has to come at a rate, or it ends here."""
        bounds, transaction, now = self._context.bounds, self._transaction, self._context.clock.monotonic()
        if transaction is None or not transaction.begun:
            due = min(self._heard + bounds.command, self._useful + bounds.session)
        else:
            came = self._link.received - transaction.start
            due = min(now + bounds.command, transaction.begun + bounds.grace + came / bounds.slowest)
        return max(0.0, due - now)

    async def _answer_all(self) -> None:
        for number in count(1):
            if (event := self._core.next_event()) is None:
                break
            if number % TURN == 0:  # a long pipelined group: the other clients have their turn meanwhile
                await asyncio.sleep(0)
            if isinstance(event, Closed | Quit):
                self._quit = isinstance(event, Quit)
                if isinstance(event, Closed) and event.fault:
                    self._tell(event.reason)
                return
            await self._answer(event)
        if self._transaction is None:
            if self._stopping:
                self._core.close(SHUTDOWN, "shutdown", fault=False)
        elif 0 < self._transaction.start < self._link.received:
            self._link.hurry()  # content that comes in pieces

    async def _answer(self, event: Event) -> None:
        match event:
            case Mail():
                self._core.reply(await self._on_mail(event))
            case Rcpt():
                self._core.reply(self._on_rcpt(event))
            case Data():
                self._core.reply(await self._begin() or GO_ON)
            case Bdat():
                await self._on_chunk()
            case Content(data):
                await self._on_content(data)
            case EndOfContent(last, defect):
                await self._on_end(last, defect)
            case Ehlo(name) | Helo(name):
                self._helo, self._extended = name, isinstance(event, Ehlo)
                await self._forget()
                self._core.reply(self._core.hello_reply(self._context.clock.now()))
            case Rset():
                await self._forget()
            case StartTls():
                await self._start_tls()
            case Auth(mechanism, initial):
                self._exchange = server_exchange(mechanism)
                await self._step(initial)
            case AuthResponse(data) if data is not None:
                await self._step(data)
            case _:
                pass

    def _count_refusal(self, command: str, code: int) -> None:
        observer = self._context.observer
        if hears(observer, CommandRejected):
            observer.notice(CommandRejected("", peer=self._peer, command=command, code=code))

    # TLS and login --------------------------------------------------------------------------

    async def _start_tls(self) -> None:
        if self._context.context is None:
            self._core.reply(NO_TLS)
            return
        self._core.reply(GO_TLS)
        await self._link.write(self._core.data_to_send(), self._context.bounds.write)
        if self._core.closing or not await self._link.start_tls(
            self._context.context, self._context.bounds.tls
        ):
            self._core.close(None, "TLS failed")
            return
        self._core.tls_started()
        # RFC 3207 4.2: what was known about the client is forgotten with all that was said.
        self._client, self._helo, self._login, self._exchange = self._known, "", "", None

    async def _step(self, data: bytes | None) -> None:
        assert self._exchange is not None, "a response belongs to an exchange"
        try:
            said = self._exchange.step(data)
        except (RemoteProtocolError, UsageError):
            self._core.reply(BAD_RESPONSE)
            return
        self._core.reply(challenge(said) if isinstance(said, bytes) else await self._judge(said))

    async def _judge(self, claim: ClaimedIdentity) -> Reply:
        if self._context.legacy:
            # A device that cannot do without a login shows what it was told once; its network says who it is.
            return LOGGED_IN if self._known is not None else WRONG
        if claim.password is None or claim.authzid not in ("", claim.username):
            return WRONG
        admission = await self._context.logins.verify(claim.username, claim.password, self._peer)
        if isinstance(admission, Reply):
            if admission is WRONG and self._context.reject_log is not None:
                known = claim.username if self._context.access.by_login(claim.username, self._peer) else ""
                self._context.reject_log.login_failed(self._peer, known)
            return admission
        self._client, self._login = admission.client, claim.username
        return LOGGED_IN

    # One message ----------------------------------------------------------------------------

    async def _on_mail(self, event: Mail) -> Reply:
        intake, client, size = self._context.intake, self._client, event.parameters.size or 0
        if self._stopping:
            return SHUTDOWN
        if client is None:
            return self._stranger()
        if not event.reverse_path and client.default_sender:
            event = replace(event, reverse_path=client.default_sender)
        if refusal := intake.refuse_sender(client, event.reverse_path):
            return refusal
        if size and size > intake.size_for(client):
            return TOO_LARGE
        if not await intake.has_room(size):
            return NO_ROOM
        send_at = self._time_of(event)
        if send_at is not None and (refusal := intake.refuse_time(send_at)):
            return refusal
        if not self._context.rate_limit.admit(client):
            return TOO_MANY
        self._transaction = IncomingMessage(event, send_at=send_at)
        return SENDER_OK

    def _time_of(self, event: Mail) -> float | None:
        """When a message is to leave that is not to leave at once (RFC 4865)."""
        if event.parameters.hold_for is not None:
            return self._context.clock.now() + event.parameters.hold_for
        return event.parameters.hold_until

    def _stranger(self) -> Reply:
        legacy = self._context.legacy
        self._tell(self._context.access.why_not(self._peer, legacy=legacy))
        return LOGIN_FIRST if self._context.offer.mechanisms and not legacy else STRANGER

    def _tell(self, reason: str) -> None:
        if self._context.reject_log is not None:
            self._context.reject_log.turned_away(self._peer, reason)

    def _on_rcpt(self, event: Rcpt) -> Reply:
        transaction, client = self._open()
        intake, reverse_path = self._context.intake, transaction.mail.reverse_path
        path = intake.forward_path(client, reverse_path, event.forward_path)
        try:
            recipient = Recipient(path, event.parameters.notify, event.parameters.orcpt)
            refusal = intake.refuse_recipient(client, reverse_path, path)
        except UsageError:
            return NO_ADDRESS
        if refusal is not None:
            return refusal
        transaction.recipients.append(recipient)
        return RECIPIENT_OK

    async def _begin(self) -> Reply | None:
        """Open the way into the spool; the reply says why not. Then the transaction stays as it is."""
        transaction, client = self._open()
        parameters = transaction.mail.parameters
        submission = Submission(
            client=client,
            envelope=Envelope(
                transaction.mail.reverse_path,
                tuple(transaction.recipients),
                body=parameters.body,
                smtputf8=parameters.smtputf8,
                ret=parameters.ret,
                envid=parameters.envid,
                require_tls=parameters.require_tls,
                priority=parameters.priority,
            ),
            peer=self._peer,
            helo=self._helo,
            protocol=self._protocol(parameters.smtputf8),
            size=parameters.size,
            send_at=transaction.send_at,
            checked=parameters.body != "BINARYMIME",  # then the core looks at each line
        )
        begun = await self._context.intake.begin(submission)
        if isinstance(begun, Reply):
            return begun
        transaction.intaking = begun
        transaction.begun = self._context.clock.monotonic()
        transaction.start = self._link.received
        return None

    def _open(self) -> tuple[IncomingMessage, Submitter]:
        """The transaction that the core has open, and whose it is."""
        transaction, client = self._transaction, self._client
        assert transaction is not None, "the core opens a transaction only when MAIL was answered by 250"
        assert client is not None, "and MAIL is so answered only to a client"
        return transaction, client

    def _protocol(self, utf8: bool) -> str:
        """What the Received field calls this way of transmission (RFC 3848, RFC 6531 4.3)."""
        if not self._extended:
            return "SMTP"
        base = "UTF8SMTP" if utf8 else "ESMTP"
        return base + ("S" if self._core.session.tls else "") + ("A" if self._login else "")

    async def _on_chunk(self) -> None:
        transaction, _ = self._open()
        if transaction.intaking is None:
            transaction.refusal = await self._begin()

    async def _on_content(self, data: bytes) -> None:
        if self._transaction is not None and self._transaction.intaking is not None:
            await self._transaction.intaking.write(data)

    async def _on_end(self, last: bool, defect: str) -> None:
        transaction, _ = self._open()
        if defect:
            await self._forget()
        elif transaction.intaking is None:
            self._core.reply(transaction.refusal or FAILED)
            await self._forget()
        elif not last:
            self._core.reply(CHUNK_OK)
        else:
            self._transaction = None  # from here on it is the spool's: nothing may abort it
            done = await transaction.intaking.finish()
            if isinstance(done, str):
                self._useful = self._context.clock.monotonic()
                done = compose(250, f"Queued as {done}", enhanced="2.6.0")
            self._core.reply(done)

    async def _forget(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None and transaction.intaking is not None:
            await transaction.intaking.abort()
