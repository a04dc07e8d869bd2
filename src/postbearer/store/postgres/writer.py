"""The one task of a node that writes. What waits meanwhile goes into its next commit, all of it.

So one wait for the disks, here and on the standbys, is shared by everybody who came meanwhile. A connection
that is lost before COMMIT was sent is no trouble: nothing stands, and all of it is done again on the next
one. One that is lost in COMMIT is: then the database is asked what became of the transaction.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg

from postbearer.clock import Clock
from postbearer.crash import ARMED, crash
from postbearer.errors import OutcomeUnknown, StoreError
from postbearer.events import Committed, Observer, hears
from postbearer.store.postgres.accepting import Arrival, Door
from postbearer.store.postgres.additions import UniqueConflict
from postbearer.store.postgres.connection_pool import (
    AGAIN,
    DOUBT,
    LOST,
    SQL,
    ConnectionPool,
    discard,
    leave,
    trouble,
)
from postbearer.store.postgres.numbers import Numbers, WriteTarget
from postbearer.store.postgres.settling import Ending, settle_all
from postbearer.store.postgres.transaction import Transaction
from postbearer.tasks import Tasks

T = TypeVar("T")
Work = Callable[[Transaction], Awaitable[T]]

MOST = 200  # jobs a commit takes
PATIENCE = 10.0  # seconds for which a database that cannot be reached is waited for, before jobs fail
TRIES = 5  # of a transaction that others were in the way of
BACK = 60.0  # seconds by which the clock of the database may be set back before we go on by our own


@dataclass(slots=True, eq=False)
class TransactionJob:
    """Something to write, and who waits for it: an acceptance, the end of an attempt, or any other work."""

    future: asyncio.Future[Any]
    work: Work[Any] | None = None
    accept: Sequence[Arrival] | None = None
    ending: Ending | None = None
    first: bool = False  # done before all else, as what is leased in the commit is leased by what it does
    plain: bool = False  # it raises nothing but troubles of the database, which undo all
    names: tuple[str, ...] = ()  # of its crash points
    then: Callable[[Any], None] | None = None  # called after the commit, before anybody is told
    unclaimed: Callable[[Any], None] | None = None  # called if nobody waits for it any more
    value: Any = None
    error: BaseException | None = None


class _Lost(Exception):
    """The connection is gone, and nothing of the transaction stands."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class PostgresWriter:
    """Commits jobs in groups. `time` stands in for the clock of the database, in tests."""

    def __init__(
        self,
        pool: ConnectionPool,
        numbers: Numbers,
        places: WriteTarget,
        *,
        clock: Clock,
        observer: Observer,
        time: Callable[[], float] | None = None,
    ) -> None:
        self._pool = pool
        self._numbers = numbers
        self._places = places
        self._clock = clock
        self._observer = observer
        self._time = time
        self._connection: Any = None
        self._waiting: list[TransactionJob] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._ahead = math.nan  # so many seconds the clock of the database is ahead of our monotonic one
        self._seen = -1  # the last number of a change, ours or another node's
        self.others_wrote = False
        self.stirred = asyncio.Event()  # others should be woken
        self.commits = 0  # so many were made
        self.failed = ""  # why nothing is written at the moment
        self.doubtful = 0  # a lease before which some may be held that nobody was told of …
        self.doubted = -math.inf  # … since then, monotonic
        self._tasks = Tasks(clock, observer)
        self._tasks.keep(self._run, "spool")

    def time(self) -> float | None:
        """What time it is for the database, by what it said last; None before it said anything.

        It never goes back by much: what waited until a time that was would wait for it once more.
        """
        return None if math.isnan(self._ahead) else self._clock.monotonic() + self._ahead

    def submit(self, work: Work[T], **how: Any) -> asyncio.Future[T]:
        """Have `work` be part of a commit. The future gives its value once that stands. See `TransactionJob`.

        What a job raises is rolled back, alone. `OutcomeUnknown`: nobody knows what became of the commit.
        """
        return self.add(TransactionJob(asyncio.get_running_loop().create_future(), work=work, **how))

    def add(self, job: TransactionJob) -> asyncio.Future[Any]:
        if self._stopping:
            raise StoreError("The spool is closed.")
        self._waiting.append(job)
        self._wake.set()
        return job.future

    async def stop(self) -> None:
        """Finish what waits, and close."""
        self._stopping = True
        self._wake.set()
        await self._tasks.wait()
        if self._connection is not None:
            await leave(self._connection)
            self._connection = None

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                jobs, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._measured(jobs)
            if self._stopping:
                return

    async def _measured(self, jobs: Sequence[TransactionJob]) -> None:
        begun = self._clock.monotonic()
        try:
            await self._serve(jobs)
        except Exception as error:  # any: whoever waits for one of them is told
            _fail(jobs, trouble(error, self._pool.place))
            raise
        except BaseException:  # it is cancelled: what is under way may stand, or may not
            _fail(
                jobs, OutcomeUnknown(f"Writing to {self._pool.place} was broken off.", hint="Try it again.")
            )
            raise
        finally:
            for job in jobs:
                _resolve(job)
        if hears(self._observer, Committed):
            seconds, failed = self._clock.monotonic() - begun, self.failed != ""
            self._observer.notice(Committed("", jobs=len(jobs), pages=0, seconds=seconds, failed=failed))

    async def _serve(self, jobs: Sequence[TransactionJob]) -> None:
        """Commit the jobs together; if something is wrong with one of them, each by itself."""
        try:
            await self._commit(jobs)
        except _Lost as lost:
            error = trouble(lost.cause, self._pool.place)
            self.failed = str(error)
            _fail(jobs, error)
        except OutcomeUnknown as error:
            self.failed = str(error)
            _fail(jobs, error)
            with suppress(StoreError):  # who takes no leases has none
                self.doubtful, self.doubted = self._numbers.lease(), self._clock.monotonic()
        except Exception as error:  # any: the job it is of is found by trying each alone
            if len(jobs) > 1:
                for job in jobs:
                    await self._serve([job])
            else:
                jobs[0].error = (
                    trouble(error, self._pool.place)
                    if isinstance(error, asyncpg.PostgresError | StoreError)
                    else error
                )

    async def _commit(self, jobs: Sequence[TransactionJob]) -> None:
        """Try until they are committed. Raises `_Lost` where the database stays away, or `OutcomeUnknown`."""
        until, pause, tries = asyncio.get_running_loop().time() + PATIENCE, 0.05, 0
        while True:
            try:
                transaction = await self._fill(jobs, doubted=tries > 0)
                await self._end(transaction, jobs)
            except _Lost as lost:
                self._drop()
                if asyncio.get_running_loop().time() + pause > until or self._stopping:
                    raise
                self.failed = str(lost.cause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)
            except (*AGAIN, UniqueConflict):
                tries += 1
                if tries >= TRIES:
                    raise
            else:
                self.failed = ""
                self.commits += 1
                return

    async def _fill(self, jobs: Sequence[TransactionJob], *, doubted: bool) -> Transaction:
        """A transaction with all the jobs in it, to be committed. `doubted`: something was known already."""
        try:
            if self._connection is None:
                self._connection = await self._pool.connect()
            number, time = await self._pool.begin(self._connection, hot=True, writes=True)
            time = self._time() if self._time is not None else time
            ahead = time - self._clock.monotonic()
            if not ahead < self._ahead - BACK:  # the first one is not, either
                self._ahead = ahead
            transaction = Transaction(self._connection, number, time, self._places, self._numbers)
            await _fill(transaction, jobs, doubted=doubted)
        except LOST as error:
            raise _Lost(error) from error
        except BaseException:  # also when who waits goes away
            await self._roll_back()
            raise
        return transaction

    async def _roll_back(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            await connection.execute("ROLLBACK")
        except (asyncpg.PostgresError, *LOST):
            self._drop()

    def _drop(self) -> None:
        discard(self._connection)
        self._connection = None

    async def _end(self, transaction: Transaction, jobs: Sequence[TransactionJob]) -> None:
        """COMMIT. Raises `_Lost` when it does certainly not stand, `OutcomeUnknown` when nobody knows."""
        if ARMED:
            _crash(jobs, "before")
        try:
            stands = await self._pool.committed(self._connection)
        except LOST:
            stands = False
            self._drop()
        if not stands:
            await self._find_out(transaction)
        if ARMED:
            _crash(jobs, "after")
        self._numbers.node.run = transaction.run
        for job in jobs:
            if job.then is not None and job.error is None:
                job.then(job.value)
        if transaction.stirs:
            self.stirred.set()

    async def _find_out(self, transaction: Transaction) -> None:
        """Return once it is certain that the transaction stands, here and on the standbys."""
        until, pause, why = asyncio.get_running_loop().time() + DOUBT, 0.05, "it was not answered"
        while asyncio.get_running_loop().time() < until:
            try:
                found = await self._ask(transaction)
            except (asyncpg.PostgresError, StoreError, *LOST) as error:
                self._drop()
                why = str(error)
            else:
                if found == "committed":
                    return
                if found == "aborted":
                    raise _Lost(StoreError("The database ended the transaction."))
                why = "it is not there, and may come to be"
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
        raise OutcomeUnknown(
            f"The answer to a commit was lost ({self._pool.place}): {why}.", hint="Look at the database."
        )

    async def _ask(self, transaction: Transaction) -> str:
        """What became of it; "committed" once that is replicated.

        What it added shows that it was. Its number tells whether it may still be: after a crash that may be
        another one's, which was committed.
        """
        if self._connection is None:
            self._connection = await self._pool.connect()
        connection = self._connection
        await self._pool.begin(connection, hot=True, writes=True)
        fate = await connection.fetchval(SQL["fate"], str(transaction.number)) or "unknown"
        if transaction.evidence is not None:
            name, values = transaction.evidence
            there = await connection.fetchval(SQL[name], *values)
            fate = "committed" if there else "aborted" if fate == "committed" else fate
        await connection.execute(SQL["touch"])
        return str(fate) if await self._pool.committed(connection) else "unknown"

    def saw(self, number: int, *, own: bool = False) -> bool:
        """Note the last number of a change; whether somebody else made one since."""
        others = self._seen >= 0 and number != self._seen and not (own and number == self._seen + 1)
        self._seen = number
        if own and others:
            self.others_wrote = True
            return True
        others, self.others_wrote = others or self.others_wrote, False
        return others


async def _fill(transaction: Transaction, jobs: Sequence[TransactionJob], *, doubted: bool) -> None:
    """Run the jobs: what is to be first, ends, what comes, then all else. What one raises is its `error`."""
    for job in jobs:
        job.error = job.value = None
    await _work(transaction, [job for job in jobs if job.first], alone=len(jobs) == 1)
    endings = [job for job in jobs if job.ending is not None]
    errors = await settle_all(transaction, [job.ending for job in endings if job.ending is not None])
    for job, error in zip(endings, errors, strict=True):
        job.error = error
    arriving = [job for job in jobs if job.accept is not None]
    if arriving:
        arrivals = [each for job in arriving for each in job.accept or ()]
        door = await Door.of(transaction, arrivals, doubted=doubted)
        for job in arriving:
            try:
                job.value = door.accept(transaction, job.accept or ())
            except StoreError as error:
                job.error = error
        door.close(transaction)
    await transaction.flush()
    await _work(transaction, [job for job in jobs if not job.first], alone=len(jobs) == 1)
    await transaction.mark()


async def _work(transaction: Transaction, jobs: Sequence[TransactionJob], *, alone: bool) -> None:
    for job in jobs:
        if job.work is not None:
            await (_whole if alone or job.plain else _part)(transaction, job, job.work)


async def _whole(transaction: Transaction, job: TransactionJob, work: Work[Any]) -> None:
    """What it raises undoes the transaction."""
    job.value = await work(transaction)
    await transaction.flush()


async def _part(transaction: Transaction, job: TransactionJob, work: Work[Any]) -> None:
    """What it raises undoes it alone."""
    evidence, run = transaction.evidence, transaction.run
    await transaction.connection.execute("SAVEPOINT job")
    try:
        job.value = await work(transaction)
        await transaction.flush()
    except (asyncpg.PostgresError, UniqueConflict, *LOST):
        raise
    except Exception as error:  # any: it is this job's alone, and the others' work stands
        job.error = error
        transaction.forget(evidence)
        transaction.run = run
        await transaction.connection.execute("ROLLBACK TO job")
    await transaction.connection.execute("RELEASE job")


def _crash(jobs: Iterable[TransactionJob], when: str) -> None:
    for job in jobs:
        for name in job.names:
            crash(f"{name}.{when}")


def _fail(jobs: Iterable[TransactionJob], error: StoreError) -> None:
    for job in jobs:
        job.error = error


def _resolve(job: TransactionJob) -> None:
    if job.unclaimed is not None and job.error is None and job.future.cancelled():
        job.unclaimed(job.value)
    elif not job.future.done():
        if job.error is None:
            job.future.set_result(job.value)
        else:
            job.future.set_exception(job.error)
