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
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from email.message import Message
from email.utils import formatdate, make_msgid
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from postbearer.account import Account
from postbearer.address import Address
from postbearer.assembly import Assembly
from postbearer.clock import Clock, SystemClock
from postbearer.engine import next_slot
from postbearer.envelope import Envelope
from postbearer.errors import BudgetSpent, UsageError
from postbearer.keeping import StateFolder
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
from postbearer.outcome import Receipt
from postbearer.store import FileLedger, Ledger, MemoryLedger
from postbearer.transport import SmtpTransport

T = TypeVar("T")
State = StateFolder | Literal["memory"]
Sendable = Message | bytes | Content


class AsyncMailer:
    """Sends mail for one account. Use it in one event loop, by any number of tasks.

    `state` is where tokens and the budget are kept between processes; ``"memory"`` keeps them in this
    object alone. Raises `ConfigError` or `StoreError` if the state folder cannot be used.
    """

    def __init__(
        self,
        account: Account,
        *,
        state: State | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.account = account
        self._clock = clock or SystemClock()
        self._observer = observer or Silent()
        folder = None if state == "memory" else (state or StateFolder())
        self._ledger = _ledger(account, folder, self._clock)
        credential: Any = account.password
        if account.smarthost.authentication == "oauth":
            credential = account.token_source(folder, clock=self._clock, observer=self._observer)
        self._transport = SmtpTransport(
            account.smarthost,
            credential,
            account=account.name,
            clock=self._clock,
            observer=self._observer,
        )

    @classmethod
    def from_config(
        cls, name: str, *, config: str | os.PathLike[str] | None = None, observer: Observer | None = None
    ) -> Self:
        """A mailer for the account `name` of a configuration file. Raises `ConfigError`."""
        assembly = Assembly.load(config)
        return cls(assembly.account(name), state=assembly.state, observer=observer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

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
        when it could not be offered to any server.
        """
        envelope, content, message_id = self._prepare(message, envelope, binary=binary)
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        receipts = []
        for part in self._parts(envelope):
            await self._afford(len(part.recipients), deadline if wait else self._clock.monotonic())
            receipts.append(await self._transport.deliver(part, content))
        outcomes = tuple(outcome for receipt in receipts for outcome in receipt.outcomes)
        receipt = Receipt(outcomes, server=receipts[-1].server, message_id=message_id)
        if not receipt.delivered:
            raise receipt.rejection()
        return receipt

    def _prepare(
        self, message: Sendable, envelope: Envelope | None, *, binary: bool
    ) -> tuple[Envelope, Content, str]:
        if isinstance(message, Message):
            envelope = envelope or envelope_of(message, self._reverse_path(author_of(message)))
            content = edit(BytesContent(to_bytes(message)), self._complete)
        else:
            if envelope is None:
                raise UsageError(
                    "Bytes need an envelope.", hint="Give Envelope.of(sender, recipients) beside them."
                )
            content = BytesContent(message) if isinstance(message, bytes) else message
            self._check_raw(content, binary=binary)
        if envelope.reverse_path:
            self.account.sender.require([envelope.reverse_path])
        largest = self.account.largest
        if largest is not None and content.size > largest:
            raise UsageError(
                f"The message has {content.size} octets; the account {self.account.name} may send {largest}.",
                hint="Make it smaller, or raise limits.size if the provider allows more.",
            )
        return envelope, content, read_header(content).get("message-id") or ""

    def _reverse_path(self, author: str) -> str:
        """Mail leaves as its author where the sender rule lets it, else as the account."""
        return author if author and self.account.sender.permits(author) else self.account.address

    def _complete(self, header: Header) -> Header:
        """Date and Message-ID where they are missing (RFC 6409 8.1, 8.3), and the sender rule."""
        header = self.account.sender.apply(header)
        if header.get("message-id") is None:
            header = header.add("Message-ID", make_msgid(domain=Address.parse(self.account.address).domain))
        return header if header.get("date") is not None else header.add("Date", formatdate(localtime=True))

    def _check_raw(self, content: Content, *, binary: bool) -> None:
        if content.binary and not binary:
            raise UsageError(
                "The content holds a bare CR or LF, a NUL, or a line of more than 998 octets.",
                hint="End every line with CRLF, or say binary=True where the server takes BINARYMIME.",
            )
        header = read_header(content)
        self.account.sender.check(header)
        missing = [name for name in ("Date", "Message-ID") if header.get(name) is None]
        if missing:
            self._observer.notice(
                Warned(
                    self.account.name, f"The message has no {' and no '.join(missing)}; it is sent as it is."
                )
            )

    def _parts(self, envelope: Envelope) -> Iterator[Envelope]:
        """The envelope in pieces of as many recipients as one message of this account may have."""
        most = self.account.smarthost.recipients_per_message or len(envelope.recipients)
        for start in range(0, len(envelope.recipients), most):
            yield replace(envelope, recipients=envelope.recipients[start : start + most])

    async def _afford(self, recipients: int, deadline: float | None) -> None:
        """Wait until the account's budget has room, and take it. `deadline` is on the monotonic clock."""
        if self._ledger is None:
            return
        while True:
            slot = await self._ledger.charge(
                recipients,
                lambda past: next_slot(
                    past, self.account.limits, now=self._clock.now(), recipients=recipients
                ),
            )
            pause = slot - self._clock.now()
            if pause <= 0:
                return
            if deadline is not None and self._clock.monotonic() + pause > deadline:
                raise BudgetSpent(
                    f"The account {self.account.name} has sent all it may for now; there is room again "
                    f"in {pause:.0f} s.",
                    account=self.account.name,
                    retry_at=slot,
                    hint="Send it then, or let send() wait.",
                )
            await self._clock.sleep(pause)


def _ledger(account: Account, folder: StateFolder | None, clock: Clock) -> Ledger | None:
    if not account.limits:
        return None
    if folder is None:
        return MemoryLedger(clock)
    folder.ensure()
    return FileLedger(Path(folder.path, "budgets", account.name), clock)


class Mailer:
    """`AsyncMailer` for programs without an event loop: the same, called and not awaited.

    It may be used by any number of threads, and goes on working in a process that was forked.
    """

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
        self._loop: _LoopThread | None = None
        self._mailer = self._make()  # what is wrong with account or state shows here

    @classmethod
    def from_config(
        cls, name: str, *, config: str | os.PathLike[str] | None = None, observer: Observer | None = None
    ) -> Self:
        """A mailer for the account `name` of a configuration file. Raises `ConfigError`."""
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
        loop = self._running()
        return loop.run(self._mailer.send(message, envelope, binary=binary, wait=wait, timeout=timeout))

    def close(self) -> None:
        """Say goodbye on all connections and end the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and loop.pid == os.getpid():
            loop.run(self._mailer.close())
            loop.stop()

    def _running(self) -> _LoopThread:
        with self._lock:
            if self._loop is None:
                self._loop = _LoopThread()
            elif self._loop.pid != os.getpid():
                # A forked child has neither the thread nor a right to the parent's connections.
                self._loop, self._mailer = _LoopThread(), self._make()
            return self._loop


class _LoopThread:
    """An event loop in a daemon thread, for one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postbearer", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`; an interrupt cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except (KeyboardInterrupt, SystemExit):
            future.cancel()
            raise
        except CancelledError:
            raise asyncio.CancelledError from None

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
