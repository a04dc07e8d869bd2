"""Sending without a queue: the library's face.

::

    with Mailer(account) as mailer:
        receipt = mailer.send(to="you@example.org", subject="Hello", text="It works.")

A mailer keeps warm connections and shares them, renews tokens, honours the account's budget together
with all other processes of the same user, and returns one outcome per recipient.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from email.message import Message
from email.utils import formatdate, make_msgid
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from postbearer import sending
from postbearer.account import Account
from postbearer.address import Address, ascii_domain
from postbearer.clock import Clock, SystemClock
from postbearer.engine import Budget, MonitoredContent
from postbearer.envelope import Envelope, PriorityName
from postbearer.errors import BudgetSpent, PostbearerError, StoreError, UsageError
from postbearer.events import Observer, Several, Silent, Throttled, Warned
from postbearer.message import (
    Composed,
    Content,
    Draft,
    Header,
    author_of,
    edit_and_read,
    envelope_of,
    to_bytes,
)
from postbearer.outcome import Outcome, Receipt
from postbearer.sending import (
    Many,
    OnProgress,
    Parts,
    Retry,
    Sendable,
    SendResult,
    ToSend,
    Tries,
    enveloped,
    given,
    refuse_bare_line_ends,
    seconds,
    side_by_side,
)
from postbearer.state import Charge, Ledger, StateOption, chosen
from postbearer.tags import tags_named
from postbearer.transport import Capture, Conversation, ServerAddress, SmtpTransport, Transport
from postbearer.verdict import judge, judged

if TYPE_CHECKING:
    from postbearer.diagnosis import DiagnosisReport
    from postbearer.sending import SendAt, TagValues


class AsyncMailer:
    """Sends mail for one account. Use it in one event loop, by any number of tasks.

    `state` is where tokens and the budget are kept between processes: a `StateFolder`, or another
    `postbearer.state.Persistence`; ``"memory"`` keeps them in this object alone. `capture` makes what sees
    the conversation of each new connection, with secrets masked. Raises `ConfigError` or `StoreError` if the
    state folder cannot be used.
    """

    def __init__(
        self,
        account: Account,
        *,
        state: StateOption | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        capture: Callable[[], Capture] | None = None,
    ) -> None:
        if not isinstance(account, Account):
            raise UsageError(
                f"A mailer is made for an Account, not for {account!r:.80}.",
                hint="For an account of the configuration file: from_config(name).",
            )
        self.account = account
        self._clock = clock or SystemClock()
        self._observer = Several(observer, clock=self._clock) if observer is not None else Silent()
        self._state = account.usable(chosen(state), self._observer)
        self._capture = capture
        self._budget = Budget(self._ledger(), account.limits, self._clock)
        self._transport = self._open_transport()

    @classmethod
    def from_config(
        cls, name: str, *, config: str | os.PathLike[str] | None = None, observer: Observer | None = None
    ) -> Self:
        """A mailer for the account `name` of a configuration file. Raises `ConfigError`."""
        from postbearer.assembly import Assembly  # who has no configuration need not load what reads it

        assembly = Assembly.load(config)
        return cls(assembly.account(name), state=assembly.persistence, observer=observer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def adopt(self, talk: Conversation, server: ServerAddress) -> None:
        """Send the next message by `talk`, on which somebody has logged in to `server` of its smarthost."""
        if isinstance(self._transport, SmtpTransport):
            await self._transport.adopt(talk, server)
        else:
            await talk.stream.close()  # the message leaves in another way

    async def close(self) -> None:
        """Say goodbye on all connections."""
        await self._transport.close()

    @overload
    async def send(
        self,
        message: Sendable,
        envelope: Envelope | None = None,
        *,
        binary: bool = False,
        wait: bool = True,
        timeout: float | None = None,
        retry: Retry | int = 0,
    ) -> Receipt: ...

    @overload
    async def send(
        self,
        *,
        wait: bool = True,
        timeout: float | None = None,
        retry: Retry | int = 0,
        **parts: Unpack[Parts],
    ) -> Receipt: ...

    async def send(
        self,
        message: Sendable | None = None,
        envelope: Envelope | None = None,
        *,
        binary: bool = False,
        wait: bool = True,
        timeout: float | None = None,
        retry: Retry | int = 0,
        **parts: Any,
    ) -> Receipt:
        """Hand a message to the provider and return what became of it, recipient by recipient.

        The message is made of its parts (`to`, `cc`, `bcc`, `reply_to`, `sender`, `subject`, `text`, `html`,
        `attach`, `inline`, `headers`: see `postbearer.sending.Parts`), or it is given. An
        `email.message.Message` is completed (Date, Message-ID), its Bcc is read and left out, and the
        account's sender rule is applied. Bytes need an `envelope`, and are sent as they are, but for Bcc, a
        From they lack, what is not well-formed in their header, and what the server does not take: long
        lines, 8-bit text or UTF-8 in the header are encoded, unless the message is signed. An author that
        the rule would replace is refused. With ``binary=True`` their body may hold anything (BINARYMIME).
        `timeout` is in seconds and bounds the wait for budget, and for another try; without `wait` there is
        none for budget. `retry` is how often to try again what may pass, or a `Retry`.

        Raises `UsageError` for what must not be sent, `SenderNotAllowed`, `BudgetSpent`, `Rejected` when
        no recipient was accepted, and `NetworkError`, `CredentialError`, `SecretError` or `StoreError`
        when it could not be offered to any server. A message for more recipients than one may have goes
        in parts; once one of them went, such an error is told in the outcomes of the rest. Cancelled after
        its content began to leave, it is unknown whether it arrives: the `CancelledError` has a note that
        says so, and the observer is told.
        """
        self._require_asyncio()
        if parts:  # which may name files
            message, envelope = await asyncio.to_thread(self._given, message, envelope, parts)
        whole, envelope = self._given(message, envelope, {})
        envelope, content, header = self._prepare(whole, envelope, binary=binary)
        deadline = None if timeout is None else self._clock.monotonic() + seconds(timeout)
        tries = Tries(envelope, Retry.of(retry), self.account.rules)
        while True:
            try:
                tries.note(await self._try(tries.envelope, content, header, deadline, wait=wait))
            except PostbearerError as error:
                tries.failed(error)
            pause = tries.pause()
            if pause is None or (deadline is not None and self._clock.monotonic() + pause > deadline):
                return tries.result()
            await self._clock.sleep(pause)
            tries.again()

    async def send_many(
        self,
        messages: Iterable[ToSend],
        *,
        on_progress: OnProgress | None = None,
        wait: bool = True,
        timeout: float | None = None,
        retry: Retry | int = 0,
    ) -> list[SendResult]:
        """Send many messages, as many at once as the account has connections; one result each, in order.

        Each of `messages` is an `email.message.Message`, a dict of the parts of one, or bytes and their
        `Envelope`; they are taken from the iterable as they are sent. `on_progress` is called with each
        `SendResult` as it comes. `wait`, `timeout` and `retry` are those of `send`, for each message. What
        `send` would have raised is the result's `error`; what a person must cure is not tried again
        for the messages behind it.
        """
        self._require_asyncio()
        many, retry = Many(messages, on_progress, self.account.rules), Retry.of(retry)

        async def send(*given: Any, **parts: Any) -> Receipt:
            return await self.send(*given, wait=wait, timeout=timeout, retry=retry, **parts)

        return await side_by_side(many, send, self.account.connections)

    @overload
    async def submit(
        self,
        message: Sendable,
        envelope: Envelope | None = None,
        *,
        priority: PriorityName | None = None,
        key: str = "",
        timeout: float = ...,
        send_at: SendAt = None,
        tags: TagValues = None,
    ) -> str: ...

    @overload
    async def submit(
        self,
        *,
        priority: PriorityName | None = None,
        key: str = "",
        timeout: float = ...,
        send_at: SendAt = None,
        tags: TagValues = None,
        **parts: Unpack[Parts],
    ) -> str: ...

    async def submit(
        self, message: Sendable | None = None, envelope: Envelope | None = None, **given: Any
    ) -> str:
        """Hand a message to the relay of this machine; the id it has there, once it is on the disk.

        From there on it is the relay's, which needs an account of the same name, and sends by that unless
        a route of its says otherwise. The message is given as to `send`; all else is as in
        `postbearer.submit`.
        """
        return await asyncio.to_thread(self._submit, message, envelope, given)

    def _submit(self, message: Sendable | None, envelope: Envelope | None, options: dict[str, Any]) -> str:
        known = {name: options.pop(name) for name in ("priority", "key", "timeout") if name in options}
        at, tags = (
            sending.moment_of(options.pop("send_at", None)),
            tags_named(options.pop("tags", None) or {}),
        )
        whole, envelope = self._given(message, envelope, sending.dated(options, at))
        ready = sending.ToSubmit.of(whole, envelope, self._reverse_path)
        return ready.submit(account=self.account.name, send_at=at, tags=tags, **known)

    async def check(self, *, send_to: str = "") -> DiagnosisReport:
        """Walk the whole way of the account's mail, as ``postbearer check`` does, and say what was found.

        With `send_to` a real message goes there. What is wrong is in the report, and is not raised.
        """
        from postbearer.diagnosis import Diagnosis, DiagnosisReport  # who only sends need not load it

        self._require_asyncio()

        async def send(draft: Draft, talk: Conversation, server: ServerAddress) -> Receipt:
            await self.adopt(talk, server)
            return await self.send(draft.compose(), draft.envelope(), wait=False)

        diagnosis = Diagnosis(
            self.account,
            state=self._state,
            send=send,
            send_to=send_to,
            clock=self._clock,
            capture=self._capture,
        )
        return await DiagnosisReport.of(diagnosis)

    async def _try(
        self, envelope: Envelope, content: Content, header: Header, deadline: float | None, *, wait: bool
    ) -> Receipt:
        """Offer the message once to every recipient in `envelope`."""
        outcomes: tuple[Outcome, ...] = ()
        receipt, works = Receipt(()), False
        for part in self._parts(envelope):
            guarded, charge = MonitoredContent(content), None
            try:
                charge = await self._afford(
                    len(part.recipients), deadline if wait else self._clock.monotonic()
                )
                receipt = await self._transport.deliver(part, guarded)
            except asyncio.CancelledError as stop:
                if guarded.left:
                    self._doubt(stop, header)
                else:
                    await self._give_back(charge)
                raise
            except PostbearerError as error:
                if not guarded.left:
                    await self._give_back(charge)
                if not outcomes:
                    raise
                outcomes += self._stopped(envelope.addresses[len(outcomes) :], error)
                break
            outcomes, works = outcomes + receipt.outcomes, works or receipt.works
        return replace(receipt, outcomes=outcomes, message_id=header.get("message-id") or "", works=works)

    def _doubt(self, stop: asyncio.CancelledError, header: Header) -> None:
        """Nobody will hear an outcome any more, so whoever stops it is told that there is none."""
        name = header.get("message-id") or "that has no Message-ID"
        text = f"The message {name} was cancelled after its content began to leave: it may have arrived."
        stop.add_note(text)
        self._observer.notice(Warned(self.account.name, text))

    def _given(
        self, message: Sendable | None, envelope: Envelope | None, parts: Mapping[str, Any]
    ) -> tuple[Sendable, Envelope | None]:
        """The message that is given, or that is made of `parts`. Reads files."""
        whole, envelope = given(message, envelope, parts, self.account.address)
        if parts and envelope is not None:
            envelope = replace(envelope, reverse_path=self._reverse_path(envelope.reverse_path))
        return whole, envelope

    def _open_transport(self) -> Transport:
        return self.account.open_transport(
            self.account.credential(self._state, clock=self._clock, observer=self._observer),
            clock=self._clock,
            observer=self._observer,
            capture=self._capture,
            share=self.account.connection_share(self._state, clock=self._clock),
        )

    def _ledger(self) -> Ledger | None:
        return self.account.ledger(self._state, clock=self._clock)

    def _require_asyncio(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                "An AsyncMailer works under asyncio, and no event loop of asyncio runs here.",
                hint="Under trio, or without any loop, use a Mailer; in trio by trio.to_thread.run_sync.",
            ) from None

    def _prepare(
        self, message: Sendable, envelope: Envelope | None, *, binary: bool
    ) -> tuple[Envelope, Content, Header]:
        if isinstance(message, Message):
            envelope = envelope or envelope_of(message, self._reverse_path(author_of(message)))
            message = Composed(to_bytes(message))
        content, envelope = enveloped(message, envelope)
        if isinstance(content, Composed):
            content, header = edit_and_read(content, self._complete)
        else:
            content, header = self._admitted(content, binary=binary)
            if binary and content.binary:
                envelope = replace(envelope, body="BINARYMIME")
        if envelope.reverse_path:
            self.account.sender.require([envelope.reverse_path])
        largest = self.account.limits.size
        if largest is not None and content.size > largest:
            raise UsageError(
                f"The message has {content.size} octets; the account {self.account.name} may send {largest}.",
                hint="Make it smaller, or raise limits.size if the provider allows more.",
            )
        return envelope, content, header

    def _reverse_path(self, author: str) -> str:
        """Mail leaves as its author where the sender rule lets it, else as the account."""
        return author if author and self.account.sender.permits(author) else self.account.address

    def _complete(self, header: Header) -> Header:
        """Date and Message-ID where they are missing (RFC 6409 8.1, 8.3), and the sender rule.

        What was set to something that is no date, `EmailMessage` has made empty.
        """
        header = self.account.sender.apply(header)
        if not header.get("message-id"):
            domain = ascii_domain(Address.parse(self.account.address).domain)
            header = header.set("Message-ID", make_msgid(domain=domain))
        return header if header.get("date") else header.set("Date", formatdate(localtime=True))

    def _admitted(self, content: Content, *, binary: bool) -> tuple[Content, Header]:
        if not binary:
            refuse_bare_line_ends(
                content, " From Python, binary=True sends it as it is to a server that takes BINARYMIME."
            )
        content, header = edit_and_read(content, lambda header: self.account.sender.checked(header.public()))
        missing = [name for name in ("Date", "Message-ID") if name not in header]
        if missing:
            self._observer.notice(
                Warned(
                    self.account.name, f"The message has no {' and no '.join(missing)}; it is sent as it is."
                )
            )
        return content, header

    def _parts(self, envelope: Envelope) -> Iterator[Envelope]:
        """The envelope in pieces of as many recipients as one message of this account may have."""
        most = self.account.limits.recipients_per_message or len(envelope.recipients)
        if len(envelope.recipients) <= most:
            yield envelope
            return
        for start in range(0, len(envelope.recipients), most):
            yield replace(envelope, recipients=envelope.recipients[start : start + most])

    def _stopped(self, left: Iterable[str], error: PostbearerError) -> tuple[Outcome, ...]:
        """What becomes of the recipients `left` once a part went and the next could not be offered."""
        verdict = judge(error, rules=self.account.rules)
        return tuple(judged(each, error, verdict=verdict) for each in left)

    async def _afford(self, recipients: int, deadline: float | None) -> Charge:
        """Wait until the account's budget has room, and take it. `deadline` is on the monotonic clock."""
        while not isinstance(slot := await self._budget.take(recipients), Charge):
            pause = max(slot - self._clock.now(), 0.0)
            if deadline is not None and self._clock.monotonic() + pause > deadline:
                raise BudgetSpent(
                    f"The account {self.account.name} has sent all it may for now; there is room again "
                    f"in {pause:.0f} s.",
                    account=self.account.name,
                    retry_at=slot,
                    hint="Send it then, or let send() wait.",
                )
            self._observer.notice(Throttled(self.account.name, pause))
            await self._clock.sleep(pause)
        return slot

    async def _give_back(self, charge: Charge | None) -> None:
        """Nothing reached the provider. If that cannot be written, it counts all the same: better so."""
        if charge is not None:
            with suppress(StoreError):
                await self._budget.give_back(charge)
