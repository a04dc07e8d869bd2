"""The one thread that commits. What waits meanwhile goes into its next commit, all of it.

So one sync is shared by everybody who came meanwhile, and nobody waits for a timer: a commit is gathered in a
few rounds of the loop, which pass at once where nobody else has anything to say. What is quick is
put into the transaction by the loop itself while the thread has nothing to do: to hand single
statements back and forth between two threads costs more than the statements.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, TypeVar

import apsw
from msgspec import Struct

from postbearer.clock import Clock
from postbearer.crash import ARMED, crash
from postbearer.errors import OutcomeUnknown, StoreError, StoreFull
from postbearer.events import Committed, Observer, hears
from postbearer.store.database import BUSY, CHECKPOINT
from postbearer.store.opening import Opened, Opening

T = TypeVar("T")
Work = Callable[[apsw.Connection], T]

MOST = 1_000  # jobs a commit takes
_quick, _urgent = attrgetter("quick"), attrgetter("urgent")
ROUNDS = 3  # of the loop that a commit is gathered in: what comes in them was on its way already …
ROUND = 2  # … where a free connection waits for it, or nobody else came to the last one
PATIENCE = 0.001  # seconds that a job nobody waits for waits for another one's commit

# What is wrong with the file, and not with the job. After all but a full disk, a write may stand or not, and
# the file may not be what its cache shows.
OF_THE_FILE = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.ReadOnlyError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.ProtocolError,
    apsw.NoMemError,
)

_LOOK = "Look at the disk and the system's log."


class WriteJob(Struct, eq=False):
    """Something to write, and who waits for it."""

    run: Work[Any]
    future: asyncio.Future[Any]
    names: tuple[str, ...] = ()  # of its crash points
    scarce: Work[Any] | None = None  # to be run instead when the disk is full
    then: Callable[[Any], None] | None = None  # called in the writer after the commit
    unclaimed: Callable[[Any], None] | None = None  # called in the loop if nobody waits for it any more
    quick: bool = False  # may run in the loop
    urgent: bool = False  # gathered in a single round
    value: Any = None
    error: BaseException | None = None


class Batch(Struct):
    """The jobs of one commit, and whether the loop has run them, or how it failed to."""

    jobs: list[WriteJob]
    begun: bool = False
    error: Exception | None = None


class Writer:
    """Commits jobs in groups, on a connection that belongs to the thread or, between commits, to the loop."""

    def __init__(self, opening: Opening, clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._opening = opening
        self._opened: asyncio.Future[Opened] = self._loop.create_future()
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._busy = False  # a commit is gathered or made
        self._handed_over = False  # the connection is the thread's
        self._alone = True  # a single job was in the last commit
        self._waiting: list[WriteJob] = []
        self._patient: list[WriteJob] = []
        self._hurry: asyncio.TimerHandle | None = None
        self._rounds = 0  # for which what waits is still gathered
        self._stopping = False
        self._connection: apsw.Connection | None = None
        self.pages = 0  # in the log, as far as they cannot be written over yet
        self._frames = 0  # … and all of them
        self._written = 0  # pages, by the last commit
        self._measure = False  # somebody counts commits
        self._version = 0  # of the file, as others change it
        self.failed = ""  # why nothing is written at the moment
        self._thread = threading.Thread(target=self._run, name="postbearer-spool", daemon=True)

    async def start(self) -> Opened:
        """Open the file. Raises `StoreError` with what is wrong and what to do."""
        self._thread.start()
        try:
            return await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._batches.put(None)  # close again
            raise

    def submit(
        self,
        run: Work[T],
        *,
        names: tuple[str, ...] = (),
        scarce: Work[T] | None = None,
        then: Callable[[T], None] | None = None,
        unclaimed: Callable[[T], None] | None = None,
        quick: bool = False,
        patient: bool = False,
        urgent: bool = False,
    ) -> asyncio.Future[T]:
        """Have `run` be part of a commit. The future gives its value once that is synced.

        A `quick` job is a few statements at most; a `patient` one goes with the next that is none, or alone
        after a moment; with an `urgent` one fewer others are waited for. What a job raises is rolled back,
        alone. `StoreFull`: nothing was written. `OutcomeUnknown`: the commit failed in a way that leaves its
        fate open.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._stopping:
            raise StoreError("The spool is closed.")
        job = WriteJob(run, future, names, scarce, then, unclaimed, quick, urgent)
        if patient:
            self._patient.append(job)
            if self._hurry is None:
                self._hurry = self._loop.call_later(PATIENCE, self._go)
        else:
            self._go(job)
            if urgent:
                self._rounds = min(self._rounds, ROUND)
        return future

    @property
    def at_hand(self) -> apsw.Connection | None:
        """The connection, to be read by in this round of the loop; None while a commit is made.

        It knows its pages by heart, as nobody else writes them.
        """
        return None if self._handed_over else self._connection

    def others_wrote(self) -> bool:
        """Whether another connection than this has written into the file since this was asked last.

        That is not known while a commit is under way.
        """
        if self._busy or self._connection is None:
            return False
        before, self._version = self._version, int(self._connection.pragma("data_version"))
        return before not in (0, self._version)

    def _go(self, *jobs: WriteJob) -> None:
        """Have all that waits be committed."""
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None
        self._waiting += (*self._patient, *jobs)
        self._patient.clear()
        self._next()

    def _next(self) -> None:
        if self._waiting and not self._busy:
            self._busy = True
            hurry = self._alone or any(map(_urgent, self._waiting))
            self._rounds = ROUND if hurry else ROUNDS
            self._gather()

    def _gather(self) -> None:
        """Hand over what waits after some rounds of the loop, with what comes in them."""
        if self._rounds:
            self._rounds -= 1
            self._loop.call_soon(self._gather)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        batch = Batch(self._waiting[:MOST])
        del self._waiting[:MOST]
        self._alone = len(batch.jobs) == 1
        self._measure = hears(self._observer, Committed)
        if self._connection is not None and all(map(_quick, batch.jobs)):
            self._begin(self._connection, batch)
        self._handed_over = True
        self._batches.put(batch)

    def _begin(self, connection: apsw.Connection, batch: Batch) -> None:
        try:
            connection.set_busy_timeout(0)
            _fill(connection, batch.jobs)
            batch.begun = True
        except apsw.BusyError:
            pass  # another program has it locked: the thread can wait
        except Exception as error:
            batch.error = error
        finally:
            connection.set_busy_timeout(BUSY)

    def _committed(self, jobs: int, pages: int, seconds: float, failed: bool) -> None:
        self._observer.notice(Committed("", jobs=jobs, pages=pages, seconds=seconds, failed=failed))

    def _done(self, jobs: list[WriteJob]) -> None:
        """The thread has nothing to do."""
        self._busy = self._handed_over = False
        _resolve(jobs)
        if self._waiting:
            self._next()

    async def stop(self) -> None:
        """Finish what waits, and close."""
        last = self.submit(lambda connection: None)
        self._stopping = True
        with contextlib.suppress(StoreError):
            await last
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            opened = self._opening.open()
        except Exception as error:
            self._tell(_settle, self._opened, None, error)
            return
        self._use(opened.connection)
        self._tell(_settle, self._opened, opened, None)
        while (batch := self._batches.get()) is not None:
            if self._measure:
                self._measured(batch)
            else:
                self._serve(batch)
            long = self._connection is not None and self.pages > CHECKPOINT
            self._tell(_resolve if long else self._done, batch.jobs)
            if self._connection is not None:
                self._opening.generation.note(self._frames)
            if long:
                self._checkpoint()
                self._tell(self._done, [])
        self._opening.close(self._connection)

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it all who waited
            self._loop.call_soon_threadsafe(what, *arguments)

    def _measured(self, batch: Batch) -> None:
        """Serve a batch, and tell those who count commits."""
        begun, self._written = self._clock.monotonic(), 0
        self._serve(batch)
        seconds, failed = self._clock.monotonic() - begun, self._connection is None
        self._tell(self._committed, len(batch.jobs), self._written, seconds, failed)

    def _serve(self, batch: Batch) -> None:
        jobs = batch.jobs
        if self._connection is None and not self._recover(jobs):
            return
        try:
            if batch.error is not None:
                raise batch.error
            self._commit(jobs, begun=batch.begun)
        except apsw.FullError:
            self._roll_back()
            self._checkpoint(0)  # the log can then be written over, which needs no room
            self._one_by_one(jobs)
        except apsw.BusyError as error:
            self._locked_out(jobs, error)
        except Exception as error:  # whatever it is: the next commit starts from what the disk really holds
            self._stop_short(jobs, error)

    def _locked_out(self, jobs: Iterable[WriteJob], error: apsw.BusyError) -> None:
        """Nothing of them was done, which is certain."""
        self._roll_back()
        _fail(jobs, StoreError, f"The spool is locked by another program: {error}.", "Stop it.")

    def _one_by_one(self, batch: list[WriteJob]) -> None:
        """No room for all: whoever fits, fits; and marks go without what is only said for people."""
        waiting = list(batch)
        while waiting:
            if self._connection is None:
                _fail(waiting, StoreError, f"The spool is closed after a failed write: {self.failed}", _LOOK)
                return
            job = waiting[0]
            try:
                self._commit([job], scarce=True)
            except apsw.FullError:
                self._roll_back()
                if job.scarce is not None:
                    job.run, job.scarce = job.scarce, None
                    continue
                job.error = StoreFull("No room in the spool.", hint="Free some disk space.")
            except apsw.BusyError as error:
                self._locked_out(waiting, error)
                return
            except apsw.Error as error:
                self._stop_short(waiting, error)
                return
            waiting.pop(0)

    def _commit(self, batch: list[WriteJob], *, begun: bool = False, scarce: bool = False) -> None:
        connection, generation = self._connection, self._opening.generation
        assert connection is not None
        if not begun:
            _fill(connection, batch)
        if not scarce and time.monotonic() >= generation.due_at:
            generation.advance(connection)
        if ARMED:
            _crash(batch, "before")
        connection.execute("COMMIT")
        if ARMED:
            _crash(batch, "after")
        for job in batch:
            if job.then and job.error is None:
                job.then(job.value)

    def _roll_back(self) -> None:
        self._opening.generation.rolled_back()
        if self._connection is not None and self._connection.in_transaction:  # SQLite may have done it
            self._connection.execute("ROLLBACK")

    def _stop_short(self, batch: list[WriteJob], error: Exception) -> None:
        """Write nothing more before the file was opened anew and found sound."""
        self.failed = str(error)
        message = f"Writing the spool failed, and what was written is not known: {error}."
        _fail(batch, OutcomeUnknown, message, _LOOK)
        if self._connection is not None:
            with contextlib.suppress(apsw.Error):
                self._connection.close(force=True)
        self._connection = None

    def _recover(self, batch: list[WriteJob]) -> bool:
        try:
            self._use(self._opening.reopen())
        except (apsw.Error, StoreError, OSError) as error:
            message = f"The spool is closed after a failed write ({self.failed}): {error}"
            _fail(batch, StoreError, message, "" if isinstance(error, StoreError) else _LOOK)
            return False
        self.failed = ""
        return True

    def _use(self, connection: apsw.Connection) -> None:
        connection.set_wal_hook(self._count)
        self._connection = connection

    def _count(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._written += pages - self._frames if pages > self._frames else pages  # else it began anew
        self.pages = self._frames = pages
        return apsw.SQLITE_OK

    def _checkpoint(self, longest: int = CHECKPOINT) -> None:
        """Bring the log home when it is long. It is never truncated: marks need its blocks on a full disk."""
        if self._connection is None or self.pages <= longest:
            return
        try:
            pages, home = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self.pages = pages - home
            if pages == home:
                self._opening.generation.note(pages, home=True)
        except (apsw.FullError, apsw.BusyError):
            pass  # the log stays long, and a long log is no `room`
        except apsw.Error as error:
            self._stop_short([], error)


def _fill(connection: apsw.Connection, batch: Iterable[WriteJob]) -> None:
    """Run the jobs in one transaction. What one raises is found as its `error`, and undoes it alone."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for job in batch:
            job.error, job.value = None, job.run(connection)
    except OF_THE_FILE:
        raise
    except Exception:  # rare, so savepoints are made only when it is known that one is needed
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        for job in batch:
            _part(connection, job)


def _part(connection: apsw.Connection, job: WriteJob) -> None:
    """Run one job of a batch; what it raises undoes it alone, unless the file itself is in trouble."""
    job.error = None
    connection.execute("SAVEPOINT job")
    try:
        job.value = job.run(connection)
    except OF_THE_FILE:
        raise
    except Exception as error:
        job.error = error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _crash(batch: Iterable[WriteJob], when: str) -> None:
    for job in batch:
        for name in job.names:
            crash(f"{name}.{when}")


def _fail(batch: Iterable[WriteJob], kind: type[StoreError], message: str, hint: str) -> None:
    for job in batch:
        job.error = kind(message, hint=hint)


def _resolve(batch: Iterable[WriteJob]) -> None:
    for job in batch:
        if job.unclaimed is not None and job.error is None and job.future.cancelled():
            job.unclaimed(job.value)
        else:
            _settle(job.future, job.value, job.error)


def _settle(future: asyncio.Future[Any], value: object, error: BaseException | None) -> None:
    if future.done():  # nobody waits any more
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
