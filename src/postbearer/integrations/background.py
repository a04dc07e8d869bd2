"""A thread that mails what a backlog holds: together what comes together, and not too often."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import ContextVar, copy_context
from typing import TypeVar, TypeVarTuple, Unpack

from postbearer.clock import Clock, event_or_time
from postbearer.envelope import Envelope
from postbearer.errors import PostbearerError
from postbearer.integrations.backlog import Backlog, LogEntry
from postbearer.mailer import AsyncMailer
from postbearer.message import Composed
from postbearer.outcome import State
from postbearer.verdict import judge

LONGEST_PAUSE = 900.0  # seconds between tries while mail does not leave
BUDGET = 30.0  # seconds to wait for the account's limits, with one mail

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Compose = Callable[[list[LogEntry], int], tuple[Composed, Envelope]]


MAILING: ContextVar[bool] = ContextVar("MAILING", default=False)  # true for all that is done to mail records


class Loop(asyncio.SelectorEventLoop):
    """Does in its own thread what others give to helpers, such as looking up a name.

    Nothing else waits for it; and when the interpreter ends, which is when the last records are mailed,
    no helper can be had any more.
    """

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class BackgroundSender(threading.Thread):
    """Sends by `mailer`, which must be its own. `gather` and `interval` are in seconds."""

    def __init__(
        self,
        backlog: Backlog,
        compose: Compose,
        mailer: AsyncMailer,
        *,
        gather: float,
        interval: float,
        clock: Clock,
    ) -> None:
        super().__init__(name="postbearer log mail", daemon=True)
        self._backlog = backlog
        self._compose = compose
        self._mailer = mailer
        self._gather = gather
        self._interval = interval
        self._clock = clock
        self._failures = 0
        self._stopping = False
        self._something = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = threading.Event()
        self._runner = asyncio.Runner(loop_factory=Loop)
        self._loop = self._runner.get_loop()
        self.start()

    def wake(self) -> None:
        """There is something in the backlog."""
        self._idle.clear()
        self._loop.call_soon_threadsafe(self._something.set)

    def flush(self, patience: float) -> bool:
        """Have it sent at once; whether it was, or was given up, within `patience` seconds."""
        self._press(False)
        return self._idle.wait(patience)

    def stop(self, patience: float) -> None:
        """Send what is left and end. What goes on after `patience` seconds dies with the process."""
        self._press(True)
        self.join(patience)
        if self.is_alive():
            _complain("the last log records are still on their way; they may be lost.")

    def _press(self, stopping: bool) -> None:
        def hasten() -> None:
            self._stopping |= stopping
            self._hurry.set()
            self._something.set()

        self._idle.clear()
        try:
            self._loop.call_soon_threadsafe(hasten)
        except RuntimeError:  # another thread has stopped it, and it is done
            self._idle.set()

    def run(self) -> None:
        MAILING.set(True)
        with self._runner:
            self._runner.run(self._work(), context=copy_context())

    async def _work(self) -> None:
        try:
            while await self._round():
                pass
        finally:
            self._idle.set()
            await self._mailer.close()

    async def _round(self) -> bool:
        """Wait for something to do, and do it once; False at the end."""
        await self._something.wait()
        self._something.clear()
        failed, begun = False, bool(self._backlog)
        if begun:  # what belongs together comes within a moment
            await event_or_time(self._hurry, self._gather, self._clock)
        self._hurry.clear()  # who is in a hurry from here on wants another mail
        if begun:
            failed = not await self._deliver()
        if failed or not self._backlog:
            self._idle.set()
            if self._stopping:
                return False
        if begun:
            pause = min(self._interval * 2**self._failures, LONGEST_PAUSE)
            await event_or_time(self._hurry, pause, self._clock)
        if self._backlog:
            self._something.set()
        return True

    async def _deliver(self) -> bool:
        """Send all there is as one mail. What could not leave for now stays for the next one."""
        entries, left_out = self._backlog.take()
        try:
            await self._mailer.send(*self._compose(entries, left_out), timeout=BUDGET)
        except Exception as error:
            self._failures = min(self._failures + 1, 10)
            again = self._later(error) and not self._stopping
            if again:
                self._backlog.put_back(entries, left_out)
            fate = "are kept for the next try" if again else "are lost"
            _complain(f"{len(entries) + left_out} log record(s) could not be mailed and {fate}: {error}")
            return False
        self._failures = 0
        return True

    def _later(self, error: Exception) -> bool:
        if not isinstance(error, PostbearerError):
            return False
        rules = self._mailer.account.rules
        return judge(error, rules=rules).state is State.DEFERRED


def _complain(text: str) -> None:
    """Where logging itself tells of its troubles: a record about this could not be mailed either."""
    if logging.raiseExceptions and sys.stderr is not None:
        print(f"postbearer: {text}", file=sys.stderr)
