"""The library's face for programs without an event loop: the mailer, called and not awaited."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload
from weakref import WeakSet

from postbearer.account import Account
from postbearer.clock import Clock
from postbearer.envelope import Envelope, PriorityName
from postbearer.events import Observer
from postbearer.mailer import AsyncMailer
from postbearer.outcome import Receipt
from postbearer.sending import (
    LoopThread,
    Many,
    OnProgress,
    Parts,
    Retry,
    Sendable,
    SendResult,
    ToSend,
    parallel,
    result_of,
)
from postbearer.state import StateOption

if TYPE_CHECKING:
    from postbearer.diagnosis import DiagnosisReport
    from postbearer.sending import SendAt, TagValues

T = TypeVar("T")


class Mailer:
    """`AsyncMailer` for programs without an event loop: the same, called and not awaited.

    It may be used by any number of threads, and goes on working in a process that was forked. One that
    nobody refers to any more is closed, with a `ResourceWarning`.
    """

    _loop: LoopThread | None = None  # also where `__init__` failed
    _kind: Callable[..., AsyncMailer] = AsyncMailer

    def __init__(
        self,
        account: Account,
        *,
        state: StateOption | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.account = account
        self._make = partial(self._kind, account, state=state, clock=clock, observer=observer)
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
        return cls(assembly.account(name), state=assembly.persistence, observer=observer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @overload
    def send(
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
    def send(
        self,
        *,
        wait: bool = True,
        timeout: float | None = None,
        retry: Retry | int = 0,
        **parts: Unpack[Parts],
    ) -> Receipt: ...

    def send(
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
        """See `AsyncMailer.send`."""
        return result_of(
            self._sending(message, envelope, parts, binary=binary, wait=wait, timeout=timeout, retry=retry)
        )

    def send_many(
        self,
        messages: Iterable[ToSend],
        *,
        on_progress: OnProgress | None = None,
        wait: bool = True,
        timeout: float | None = None,
        retry: Retry | int = 0,
    ) -> list[SendResult]:
        """See `AsyncMailer.send_many`. `messages` and `on_progress` are called in this thread."""
        many, retry = Many(messages, on_progress, self.account.rules), Retry.of(retry)

        def begin(message: Any = None, envelope: Envelope | None = None, **parts: Any) -> Future[Receipt]:
            return self._sending(message, envelope, parts, wait=wait, timeout=timeout, retry=retry)

        return parallel(many, begin, self.account.connections)

    @overload
    def submit(
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
    def submit(
        self,
        *,
        priority: PriorityName | None = None,
        key: str = "",
        timeout: float = ...,
        send_at: SendAt = None,
        tags: TagValues = None,
        **parts: Unpack[Parts],
    ) -> str: ...

    def submit(self, message: Sendable | None = None, envelope: Envelope | None = None, **given: Any) -> str:
        """See `AsyncMailer.submit`."""
        return self._ready()._submit(message, envelope, given)

    def check(self, *, send_to: str = "") -> DiagnosisReport:
        """See `AsyncMailer.check`."""
        return result_of(self._begin(lambda mailer: mailer.check(send_to=send_to)))

    def _sending(
        self,
        message: Sendable | None,
        envelope: Envelope | None,
        parts: Mapping[str, Any],
        **options: Any,
    ) -> Future[Receipt]:
        """Begin to send. What is made of parts is made here, where waiting for files stops nobody else."""
        whole, envelope = self._ready()._given(message, envelope, parts)
        return self._begin(lambda mailer: mailer.send(whole, envelope, **options))

    def _ready(self) -> AsyncMailer:
        with self._lock:
            self._mailer = self._mailer or self._make()
            return self._mailer

    def _begin(self, work: Callable[[AsyncMailer], Coroutine[Any, Any, T]]) -> Future[T]:
        with self._lock:  # `close` waits for whatever was begun before it
            self._loop = self._loop or LoopThread()
            self._mailer = self._mailer or self._make()
            return self._loop.begin(work(self._mailer))

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
