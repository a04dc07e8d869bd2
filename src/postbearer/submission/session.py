"""One client of the relay: its conversation, from the greeting to QUIT."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

from postbearer.clock import Clock
from postbearer.engine import Client, Intake, Intaking, Submission
from postbearer.envelope import Envelope, Recipient
from postbearer.errors import RemoteProtocolError, UsageError
from postbearer.reply import Reply
from postbearer.sasl import Claim, ServerExchange, server_exchange
from postbearer.submission.access import Access
from postbearer.submission.limits import Bounds, Pace
from postbearer.submission.link import SMALL, Link
from postbearer.submission.login import Logins
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
    Server,
    StartTls,
    challenge,
    compose,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all sessions of one listener share."""

    offer: Offer
    intake: Intake
    access: Access
    logins: Logins
    pace: Pace
    clock: Clock
    bounds: Bounds = field(default_factory=Bounds)
    context: ssl.SSLContext | None = None  # for STARTTLS
    legacy: bool = False


@dataclass(slots=True)
class Transaction:
    """One message on its way in."""

    mail: Mail
    recipients: list[Recipient] = field(default_factory=list)
    intaking: Intaking | None = None
    refusal: Reply | None = None  # found out while the content came; told at its end
    begun: float = 0.0  # when the content began, monotonic
    received: int = 0


class SmtpSession:
    """Drives `wire.Server` for one connection. `run` ends when the connection does."""

    def __init__(self, house: House, link: Link) -> None:
        self._house = house
        self._link = link
        self._core = Server(house.offer, tls=link.tls)
        self._client: Client | None = house.access.by_network(link.peer, legacy=house.legacy)
        self._exchange: ServerExchange | None = None
        self._helo = ""
        self._extended = False
        self._login = ""
        self._transaction: Transaction | None = None
        self._stopping = False

    async def run(self) -> None:
        """Serve until the client leaves, is turned away, or takes too long."""
        try:
            async with asyncio.timeout(self._house.bounds.session):
                await self._converse()
        except TimeoutError:
            self._core.close(compose(421, "Took too long", enhanced="4.4.2"), "too slow")
        finally:
            await self._forget()
            with suppress(TimeoutError, OSError):
                await self._link.write(self._core.data_to_send(), 1.0)
            self._link.close()

    def stop(self) -> None:
        """Shut down: the next time nothing is under way, the client is told 421."""
        self._stopping = True
        if self._transaction is None:
            self._core.close(compose(421, "The relay is shutting down", enhanced="4.3.2"), "shutdown")
            self._link.transport.write(self._core.data_to_send())
            self._link.close()

    async def _converse(self) -> None:
        self._core.greet()
        while not self._core.closing:
            await self._link.write(self._core.data_to_send(), self._house.bounds.write)
            data = await self._link.read(self._patience())
            if self._transaction is not None and self._transaction.begun and len(data) < SMALL:
                self._link.hurry()
            self._core.receive(data)
            await self._answer_all()
            if self._core.slow:
                await self._house.clock.sleep(self._house.bounds.error_delay)

    def _patience(self) -> float:
        """How long the next octets may take. Content has to come at a rate, or it ends here."""
        bounds, transaction = self._house.bounds, self._transaction
        if transaction is None or not transaction.begun:
            return bounds.command
        due = transaction.begun + bounds.grace + transaction.received / bounds.slowest
        return max(0.0, min(bounds.command, due - self._house.clock.monotonic()))

    async def _answer_all(self) -> None:
        while (event := self._core.next_event()) is not None:
            if isinstance(event, Closed | Quit):
                return
            await self._answer(event)
            if self._stopping and self._transaction is None:
                self._core.close(compose(421, "The relay is shutting down", enhanced="4.3.2"), "shutdown")

    async def _answer(self, event: Event) -> None:
        match event:
            case Ehlo(name) | Helo(name):
                self._helo, self._extended = name, isinstance(event, Ehlo)
                await self._forget()
                self._core.reply(self._core.hello_reply())
            case StartTls():
                await self._start_tls()
            case Auth(mechanism, initial):
                self._exchange = server_exchange(mechanism)
                await self._step(initial)
            case AuthResponse(data):
                if data is not None:
                    await self._step(data)
            case Mail():
                self._core.reply(await self._on_mail(event))
            case Rcpt():
                self._core.reply(self._on_rcpt(event))
            case Data():
                self._core.reply(await self._begin() or compose(354, "End data with <CR><LF>.<CR><LF>"))
            case Bdat() if self._transaction is not None and self._transaction.intaking is None:
                self._transaction.refusal = await self._begin()
            case Content(data):
                await self._on_content(data)
            case EndOfContent(last, defect):
                await self._on_end(last, defect)
            case Rset():
                await self._forget()
            case _:
                pass

    # TLS and login --------------------------------------------------------------------------

    async def _start_tls(self) -> None:
        if self._house.context is None:
            self._core.reply(compose(454, "TLS is not available", enhanced="4.7.0"))
            return
        self._core.reply(compose(220, "Ready to start TLS", enhanced="2.0.0"))
        await self._link.write(self._core.data_to_send(), self._house.bounds.write)
        if self._core.closing or not await self._link.start_tls(self._house.context, self._house.bounds.tls):
            self._core.close(None, "TLS failed")
            return
        self._core.tls_started()
        # RFC 3207 4.2: what was known about the client is forgotten with all that was said.
        self._client = self._house.access.by_network(self._link.peer, legacy=self._house.legacy)
        self._helo, self._login = "", ""
        await self._forget()

    async def _step(self, data: bytes | None) -> None:
        assert self._exchange is not None
        try:
            said = self._exchange.step(data)
        except (RemoteProtocolError, UsageError):
            self._core.reply(compose(501, "Cannot decode the response", enhanced="5.5.2"))
            return
        self._core.reply(challenge(said) if isinstance(said, bytes) else await self._judge(said))

    async def _judge(self, claim: Claim) -> Reply:
        if claim.password is None or claim.authzid not in ("", claim.username):
            return compose(535, "Authentication credentials invalid", enhanced="5.7.8")
        admission = await self._house.logins.verify(claim.username, claim.password, self._link.peer)
        if admission is None:
            return compose(535, "Authentication credentials invalid", enhanced="5.7.8")
        self._client, self._login = admission.client, claim.username
        return compose(235, "Authentication successful", enhanced="2.7.0")

    # One message ----------------------------------------------------------------------------

    async def _on_mail(self, event: Mail) -> Reply:
        if self._stopping:
            return compose(421, "The relay is shutting down", enhanced="4.3.2")
        if self._client is None:
            if self._house.offer.mechanisms:
                return compose(530, "Authentication required", enhanced="5.7.0")
            return compose(550, "This address may not send through here", enhanced="5.7.1")
        if refusal := self._house.intake.refuse_sender(self._client, event.reverse_path):
            return refusal
        if not self._house.pace.admit(self._client):
            return compose(450, "Too many messages; try again in a minute", enhanced="4.7.1")
        if not await self._house.intake.has_room(event.parameters.size or 0):
            return compose(452, "There is no room for this message now; try again later", enhanced="4.3.1")
        self._transaction = Transaction(event)
        return compose(250, "Sender OK", enhanced="2.1.0")

    def _on_rcpt(self, event: Rcpt) -> Reply:
        transaction, client = self._transaction, self._client
        assert transaction is not None and client is not None  # noqa: PT018
        refusal = self._house.intake.refuse_recipient(
            client, transaction.mail.reverse_path, event.forward_path
        )
        if refusal is not None:
            return refusal
        try:
            recipient = Recipient(event.forward_path, event.parameters.notify, event.parameters.orcpt)
        except UsageError:
            return compose(553, "Not a mail address", enhanced="5.1.3")
        transaction.recipients.append(recipient)
        return compose(250, "Recipient OK", enhanced="2.1.5")

    async def _begin(self) -> Reply | None:
        """Open the way into the spool; the reply says why not."""
        transaction, client = self._transaction, self._client
        assert transaction is not None and client is not None  # noqa: PT018
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
            peer=self._link.peer,
            helo=self._helo,
            protocol=self._protocol(),
            size=parameters.size,
        )
        begun = await self._house.intake.begin(submission)
        if isinstance(begun, Reply):
            self._transaction = None
            return begun
        transaction.intaking = begun
        transaction.begun = self._house.clock.monotonic()
        return None

    def _protocol(self) -> str:
        """What the Received field calls this way of transmission (RFC 3848, RFC 6531 4.3)."""
        if not self._extended:
            return "SMTP"
        parameters = self._transaction.mail.parameters if self._transaction is not None else None
        base = "UTF8SMTP" if parameters is not None and parameters.smtputf8 else "ESMTP"
        return base + ("S" if self._core.tls else "") + ("A" if self._login else "")

    async def _on_content(self, data: bytes) -> None:
        transaction = self._transaction
        if transaction is None or transaction.intaking is None or transaction.refusal is not None:
            return
        transaction.received += len(data)
        await transaction.intaking.write(data)

    async def _on_end(self, last: bool, defect: str) -> None:
        transaction = self._transaction
        if defect:
            await self._forget()
        elif transaction is None:
            self._core.reply(compose(503, "Send MAIL first", enhanced="5.5.1"))
        elif not last and transaction.refusal is None:
            self._core.reply(compose(250, "Chunk received", enhanced="2.0.0"))
        else:
            reply = transaction.refusal or await self._finish(transaction)
            await self._forget()
            self._core.reply(reply)

    async def _finish(self, transaction: Transaction) -> Reply:
        assert transaction.intaking is not None
        done = await transaction.intaking.finish()
        transaction.intaking = None
        return done if isinstance(done, Reply) else compose(250, f"Queued as {done}", enhanced="2.6.0")

    async def _forget(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None and transaction.intaking is not None:
            await transaction.intaking.abort()
