"""Single flight: many ask at once, the work is done once, and everybody gets its result.

The callers may live on different event loops in different threads, and loops come and go: the
synchronous library runs one of its own. So nothing here is bound to a loop until work begins. What must
not be lost with a loop runs beside it (`Detached`), and is waited for against cancellation (`insist`).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")

PATIENCE = 10.0  # seconds that a cancellation is put off for what would be lost by it
_LOOK_AGAIN = 1.0  # seconds until a waiter checks that the loop which does the work still runs


class _Lost:
    """The result of work whose event loop went away."""


class _Running(Generic[T]):
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.process = os.getpid()
        self.result: Future[T | Exception | _Lost] = Future()
        self.result.set_running_or_notify_cancel()  # from here on a waiter cannot cancel it
        self.task: asyncio.Task[None] | None = None

    def lost(self) -> bool:
        """Whether nobody will ever finish this: the loop stopped, or we are a forked child."""
        return not self.result.done() and (self.process != os.getpid() or not self.loop.is_running())


class SingleFlight(Generic[T]):
    """At most one piece of work at a time."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._running: _Running[T] | None = None

    async def join(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the work under way, or else of `work`, begun now.

        A caller that is cancelled leaves; the work goes on for the others.
        """
        while True:
            running = self._board(work)
            waiting = asyncio.wrap_future(running.result)
            while not waiting.done() and not running.lost():
                await asyncio.wait([waiting], timeout=_LOOK_AGAIN)
            if not waiting.done():
                self._forget(running)
                continue
            outcome = waiting.result()
            if isinstance(outcome, Exception):
                raise outcome
            if not isinstance(outcome, _Lost):
                return outcome

    def _board(self, work: Callable[[], Coroutine[Any, Any, T]]) -> _Running[T]:
        with self._mutex:
            if self._running is None or self._running.lost():
                self._running = _Running()
                self._running.task = self._running.loop.create_task(self._fly(self._running, work))
            return self._running

    async def _fly(self, running: _Running[T], work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        outcome: T | Exception | _Lost = _Lost()
        try:
            outcome = await work()
        except Exception as error:
            outcome = error
        finally:
            self._forget(running)
            running.result.set_result(outcome)

    def _forget(self, running: _Running[T]) -> None:
        with self._mutex:
            if self._running is running:
                self._running = None


class Detached(Generic[T]):
    """Work in a thread and on an event loop of its own: it is done whoever stops waiting for it.

    Neither a caller's time limit nor Ctrl-C nor the end of the caller's event loop reaches it; it ends with
    the process.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._process = os.getpid()
        self._result: Future[T] = Future()
        self._result.set_running_or_notify_cancel()  # from here on a waiter cannot cancel it
        run = copy_context().run  # whoever looks at log records can tell for whom it works
        thread = threading.Thread(target=run, args=(self._run, work), name="postbearer-request", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends (3.12 and later): no thread is to be had any more
            self._task = asyncio.get_running_loop().create_task(self._run_here(work))

    def lost(self) -> bool:
        """Whether it is another process's: we are a forked child, in which the thread does not run."""
        return self._process != os.getpid()

    async def result(self) -> T:
        """What the work returned or raised; to be awaited on any event loop, any number of times."""
        return await asyncio.wrap_future(self._result)

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        asyncio.run(self._run_here(work))

    async def _run_here(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        try:
            result = await work()
        except BaseException as error:
            self._result.set_exception(error)
        else:
            self._result.set_result(result)


async def insist(work: Callable[[], Coroutine[Any, Any, T]], patience: float = PATIENCE) -> T:
    """The result of `work`, though the task is cancelled meanwhile, as long as it takes `patience` seconds.

    A cancellation interrupts `work`, which is then begun again: it has to find what it had done before.
    """
    loop = asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    until = 0.0
    while True:
        try:
            if cancelled is None:
                return await work()
            async with asyncio.timeout_at(until):
                return await work()
        except TimeoutError:
            if cancelled is None:
                raise
            raise cancelled from None
        except asyncio.CancelledError as error:
            if cancelled is None:
                cancelled, until = error, loop.time() + patience
            elif loop.time() >= until:
                raise
