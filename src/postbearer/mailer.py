"""Sending without a queue: the library's face.

::

    with Mailer(account) as mailer:
        receipt = mailer.send(message)

A mailer keeps warm connections and shares them, renews tokens, honours the account's budget together
with all other processes of the same user, and returns one outcome per recipient.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from email.message import Message
from email.utils import formatdate, make_msgid
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from weakref import WeakSet

from postbearer.account import Account
from postbearer.address import Address
from postbearer.clock import Clock, SystemClock
from postbearer.engine import Budget
from postbearer.envelope import Envelope
from postbearer.errors import BudgetSpent, PostbearerError, UsageError
from postbearer.keeping import StateFolder, chosen_folder
from postbearer.message import (
    BytesContent,
    Content,
    Header,
    author_of,
    edit,
    envelope_of,
    read_header,
    to_bytes,
)
from postbearer.observer import Observer, Silent, Warned
from postbearer.outcome import Outcome, Receipt
from postbearer.providers import Phase
from postbearer.transport import Capture, Conversation, NoCapture, Server, SmtpTransport
from postbearer.verdict import judge

T = TypeVar("T")
State = StateFolder | Literal["memory"]
Sendable = Message | bytes | Content


class AsyncMailer:
    """Sends mail for one account. Use it in one event loop, by any number of tasks.

    `state` is where tokens and the budget are kept between processes; ``"memory"`` keeps them in this
    object alone. `capture` makes what sees the conversation of each new connection, with secrets masked.
    Raises `ConfigError` or `StoreError` if the state folder cannot be used.
    """

    def __init__(
        self,
        account: Account,
        *,
        state: State | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        capture: Callable[[], Capture] = NoCapture,
    ) -> None:
        if not isinstance(account, Account):
            raise UsageError(
                f"A mailer is made for an Account, not for {account!r:.80}.",
                hint="For an account of the configuration file: from_config(name).",
            )
        self.account = account
        self._clock = clock or SystemClock()
        self._observer = observer or Silent()
        folder = chosen_folder(state)
        ledger = account.ledger(folder, clock=self._clock)
        self._budget = Budget(ledger, account.limits, self._clock)
        self._transport = SmtpTransport(
            account.smarthost,
            account.credential(folder, clock=self._clock, observer=self._observer),
            account=account.name,
            clock=self._clock,
            observer=self._observer,
            capture=capture,
        )

    @classmethod
    def from_config(
        cls, name: str, *, config: str | os.PathLike[str] | None = None, observer: Observer | None = None
    ) -> Self:
        """A mailer for the account `name` of a configuration file. Raises `ConfigError`."""
        from postbearer.assembly import Assembly  # who has no configuration need not load what reads it

        assembly = Assembly.load(config)
        return cls(assembly.account(name), state=assembly.state, observer=observer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def adopt(self, talk: Conversation, server: Server) -> None:
        """Send the next message by `talk`, on which somebody has logged in to `server`."""
        await self._transport.adopt(talk, server)

    async def close(self) -> None:
        """Say goodbye on all connections."""
        await self._transport.close()

    async def send(
        self,
        message: Sendable,
        envelope: Envelope | None = None,
        *,
        binary: bool = False,
        wait: bool = True,
        timeout: float | None = None,
    ) -> Receipt:
        """Hand a message to the provider and return what became of it, recipient by recipient.

        An `email.message.Message` is completed (Date, Message-ID), its Bcc is read and left out, and the
        account's sender rule is applied. Bytes are sent exactly as they are and need an `envelope`;
        with ``binary=True`` they may hold anything (BINARYMIME). `timeout` is in seconds and bounds the
        wait for budget; without `wait` there is none.

        Raises `UsageError` for what must not be sent, `SenderNotAllowed`, `BudgetSpent`, `Rejected` when
        no recipient was accepted, and `NetworkError`, `CredentialError`, `SecretError` or `StoreError`
        when it could not be offered to any server. A message for more recipients than one may have goes
        in parts; once one of them went, such an error is told in the outcomes of the rest.
        """
        _refuse_others(message, envelope)
        envelope, content, header = self._prepare(message, envelope, binary=binary)
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        outcomes: tuple[Outcome, ...] = ()
        server = ""
        for part in self._parts(envelope):
            try:
                await self._afford(len(part.recipients), deadline if wait else self._clock.monotonic())
                answer = await self._transport.deliver(part, content)
            except PostbearerError as error:
                if not outcomes:
                    raise
                outcomes += self._stopped(envelope.addresses[len(outcomes) :], error)
                break
            outcomes, server = outcomes + answer.outcomes, answer.server
        receipt = Receipt(outcomes, server, header.get("message-id") or "")
        if not receipt.delivered:
            raise receipt.rejection()
        return receipt

    def _prepare(
        self, message: Sendable, envelope: Envelope | None, *, binary: bool
    ) -> tuple[Envelope, Content, Header]:
        if isinstance(message, Message):
            envelope = envelope or envelope_of(message, self._reverse_path(author_of(message)))
            content = edit(BytesContent(to_bytes(message)), self._complete)
            header = read_header(content)
        else:
            if envelope is None:
                raise UsageError(
                    "Bytes need an envelope.", hint="Give Envelope.of(sender, recipients) beside them."
                )
            content = BytesContent(message) if isinstance(message, bytes) else message
            header = self._check_raw(content, binary=binary)
        if envelope.reverse_path:
            self.account.sender.require([envelope.reverse_path])
        largest = self.account.largest
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
            header = header.set("Message-ID", make_msgid(domain=Address.parse(self.account.address).domain))
        return header if header.get("date") else header.set("Date", formatdate(localtime=True))

    def _check_raw(self, content: Content, *, binary: bool) -> Header:
        if content.binary and not binary:
            raise UsageError(
                "The content holds a bare CR or LF, a NUL, or a line of more than 998 octets.",
                hint="End every line with CRLF, and encode what is binary. From Python, binary=True sends it "
                "as it is to a server that takes BINARYMIME.",
            )
        header = read_header(content)
        self.account.sender.check(header)
        missing = [name for name in ("Date", "Message-ID") if name not in header]
        if missing:
            self._observer.notice(
                Warned(
                    self.account.name, f"The message has no {' and no '.join(missing)}; it is sent as it is."
                )
            )
        return header

    def _parts(self, envelope: Envelope) -> Iterator[Envelope]:
        """The envelope in pieces of as many recipients as one message of this account may have."""
        most = self.account.smarthost.recipients_per_message or len(envelope.recipients)
        if len(envelope.recipients) <= most:
            yield envelope
            return
        for start in range(0, len(envelope.recipients), most):
            yield replace(envelope, recipients=envelope.recipients[start : start + most])

    def _stopped(self, left: Iterable[str], error: PostbearerError) -> tuple[Outcome, ...]:
        """What becomes of the recipients `left` once a part went and the next could not be offered."""
        verdict = judge(error, Phase.ANY, self.account.smarthost.rules)
        return tuple(
            Outcome(each, verdict.state, error=error, cause=verdict.cause, remedy=verdict.remedy)
            for each in left
        )

    async def _afford(self, recipients: int, deadline: float | None) -> None:
        """Wait until the account's budget has room, and take it. `deadline` is on the monotonic clock."""
        while (slot := await self._budget.take(recipients)) is not None:
            pause = max(slot - self._clock.now(), 0.0)
            if deadline is not None and self._clock.monotonic() + pause > deadline:
                raise BudgetSpent(
                    f"The account {self.account.name} has sent all it may for now; there is room again "
                    f"in {pause:.0f} s.",
                    account=self.account.name,
                    retry_at=slot,
                    hint="Send it then, or let send() wait.",
                )
            await self._clock.sleep(pause)


def _refuse_others(message: object, envelope: object) -> None:
    """Most programs are not type-checked: say what is wanted before anything is done with the rest."""
    if not isinstance(message, Message | bytes) and not callable(getattr(message, "blocks", None)):
        raise UsageError(
            f"A message is an email.message.Message, or bytes, and no {type(message).__name__}.",
            hint="Make an EmailMessage, and set_content(text).",
        )
    if envelope is not None and not isinstance(envelope, Envelope):
        raise UsageError(
            f"An envelope is an Envelope, and no {type(envelope).__name__}.",
            hint="Give Envelope.of(sender, recipients).",
        )


class Mailer:
    """`AsyncMailer` for programs without an event loop: the same, called and not awaited.

    It may be used by any number of threads, and goes on working in a process that was forked. One that
    nobody refers to any more is closed, with a `ResourceWarning`.
    """

    _loop: _LoopThread | None = None  # also where `__init__` failed

    def __init__(
        self,
        account: Account,
        *,
        state: State | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.account = account
        self._make = partial(AsyncMailer, account, state=state, clock=clock, observer=observer)
        self._lock = threading.Lock()
        self._mailer: AsyncMailer | None = self._make()  # what is wrong with account or state shows here
        self._parents: list[object] = []
        _FORKED.add(self)

    @classmethod
    def from_config(
        cls, name: str, *, config: str | os.PathLike[str] | None = None, observer: Observer | None = None
    ) -> Self:
        """A mailer for the account `name` of a configuration file. Raises `ConfigError`."""
        from postbearer.assembly import Assembly  # who has no configuration need not load what reads it

        assembly = Assembly.load(config)
        return cls(assembly.account(name), state=assembly.state, observer=observer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(
        self,
        message: Sendable,
        envelope: Envelope | None = None,
        *,
        binary: bool = False,
        wait: bool = True,
        timeout: float | None = None,
    ) -> Receipt:
        """See `AsyncMailer.send`."""
        with self._lock:  # `close` waits for whatever was begun before it
            self._loop = self._loop or _LoopThread()
            self._mailer = self._mailer or self._make()
            sending = self._loop.begin(
                self._mailer.send(message, envelope, binary=binary, wait=wait, timeout=timeout)
            )
        return _result(sending)

    def close(self) -> None:
        """Wait for what other threads are sending, say goodbye on all connections, and end the thread."""
        with self._lock:
            if self._loop is not None and self._mailer is not None:
                self._loop.finish(self._mailer.close)
                self._loop = None

    def __del__(self) -> None:
        """Nobody can wait for it any more; when the interpreter ends, all ends anyway."""
        if self._loop is None or self._mailer is None or sys.is_finalizing():
            return
        self._loop.leave(self._mailer.close)
        told = f"The mailer of {self.account.name} was not closed."
        warnings.warn(told, ResourceWarning, stacklevel=2, source=self)

    def forked(self) -> None:
        """In a child just forked: the thread and the lock's holder are not here, the connections not ours.

        What the parent made is kept and never touched again: even ending it would speak on its sockets.
        """
        self._parents += [self._loop, self._mailer]
        self._lock, self._loop, self._mailer = threading.Lock(), None, None


_FORKED: WeakSet[Mailer] = WeakSet()


def _after_fork() -> None:
    for mailer in tuple(_FORKED):
        mailer.forked()


if hasattr(os, "register_at_fork"):  # not on Windows, which knows no fork
    os.register_at_fork(after_in_child=_after_fork)


class _LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="postbearer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def finish(self, goodbye: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for all that was begun, then for `goodbye`, and end the thread."""
        _result(self.begin(_finish(goodbye)))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def leave(self, goodbye: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`finish` without waiting."""
        done = self.begin(_finish(goodbye))
        done.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))


async def _finish(goodbye: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    await goodbye()


def _result(future: Future[T]) -> T:
    """Wait for what was begun; an interrupt cancels it."""
    try:
        return future.result()
    except (KeyboardInterrupt, SystemExit):
        future.cancel()
        raise
    except CancelledError:
        raise asyncio.CancelledError from None
