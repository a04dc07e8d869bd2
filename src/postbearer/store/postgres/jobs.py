"""Jobs in the database: each step of one is a transaction with what it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import DecodeError
from msgspec.json import Decoder, encode

from postbearer.store.operating import (
    JOBS_KEPT,
    AuditRecord,
    Job,
    JobAction,
    JobState,
    JobStep,
    ending,
    together,
)
from postbearer.store.postgres import auditing, changes
from postbearer.store.postgres.auditing import SQL, Write
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.reads import asked, conditions
from postbearer.store.postgres.rows import clean, message_of
from postbearer.store.postgres.transaction import Transaction
from postbearer.store.records import Query
from postbearer.store.rows import LETTERS

_query = Decoder(Query)
_WORKABLE = ("account", "statuses")  # what `where-workable` asks for of one and the same recipient


def _job(row: Any) -> Job:
    values = {name: value for name, value in row.items() if name != "number"}
    values["matching"] = _query.decode(values["matching"])
    values["action"], values["state"] = JobAction(values["action"]), JobState(values["state"])
    return Job(**values)


async def _find(connection: Any, job: str) -> Job | None:
    row = await connection.fetchrow(SQL["job"], job)
    return None if row is None else _job(row)


def _workable(matching: Query, values: list[Any], now: float) -> list[str]:
    """SQL for what `matching` asks for; what it needs is added to the `values`."""
    statuses = "".join(LETTERS[each] for each in matching.statuses)
    values += [matching.account, statuses]
    text = SQL["where-workable"]
    text = text.replace("?account", f"${len(values) - 1}").replace("?statuses", f"${len(values)}")
    values.append(now)
    text = text.replace("?now", f"${len(values)}::float8")
    wanted = {name: value for name, value in asked(matching).items() if name not in _WORKABLE}
    return [text, *conditions(wanted, values, now)]


async def _do(transaction: Transaction, job: Job, message: str, now: float) -> int:
    """What a job does to one message: how many recipients it changed."""
    matching, status = job.matching, job.action.leads_to
    if status is None:
        return await changes.move(
            transaction, message, job.account, now, account=matching.account, among=matching.statuses
        )
    due = max(now, await changes.time_of(transaction, message)) if job.action.waits_for_time else now
    return await changes.change(
        transaction,
        message,
        status,
        due,
        account=matching.account,
        among=matching.statuses,
        early_at=now,
    )


class PostgresJobs:
    """`JobStore` by the spool's writer and its readers; `waits` hears that something may go on."""

    def __init__(
        self, write: Write, pool: ConnectionPool, waits: Callable[[], None], now: Callable[[], float]
    ) -> None:
        self._now = now
        self._write = write
        self._pool = pool
        self._waits = waits

    async def count(self, matching: Query) -> int:
        values: list[Any] = []
        text = "\n   AND ".join([SQL["count-matching"], *_workable(matching, values, self._now())])
        async with self._pool.reading() as connection:
            return int(await connection.fetchval(text, *values))

    async def begin(self, job: Job, audit: AuditRecord) -> Job:
        row = (
            *(job.id, job.action.value, clean(encode(job.matching).decode()), job.account),
            *(clean(job.by), clean(job.known_by), job.created, job.matched),
        )

        async def begin(transaction: Transaction) -> Job:
            await transaction.connection.execute(SQL["add-job"], *row)
            await transaction.connection.execute(SQL["drop-jobs"], JOBS_KEPT)
            await auditing.append(transaction, audit)
            return await _find(transaction.connection, job.id) or job

        begun: Job = await self._write(begin)
        return begun

    async def list(self, most: int) -> Sequence[Job]:
        return await self._several("jobs", most)

    async def show(self, job: str) -> Job | None:
        async with self._pool.reading() as connection:
            return await _find(connection, job)

    async def running(self) -> Job | None:
        return next(iter(await self._several("running-job", 1)), None)

    async def _several(self, name: str, most: int) -> Sequence[Job]:
        async with self._pool.reading() as connection:
            found = await connection.fetch(SQL[name], most)
        jobs = []
        for row in found:
            try:
                jobs.append(_job(row))
            except (ValueError, DecodeError):  # of a newer node
                continue
        return jobs

    async def step(self, job: Job, most: int) -> JobStep:
        values: list[Any] = [job.place, job.last]
        text = "\n   AND ".join([SQL["step"], *_workable(job.matching, values, self._now())])
        values.append(most)
        async with self._pool.reading() as connection:
            rows = await connection.fetch(f"{text}\n {SQL['step-order']} ${len(values)}", *values)
        return together([(row["number"], message_of(row)) for row in rows], most, job.last)

    async def advance(
        self, job: Job, messages: Sequence[str], place: int, now: float, *, refused: int = 0, error: str = ""
    ) -> Job:
        async def advance(transaction: Transaction) -> Job:
            row = await transaction.connection.fetchrow(SQL["lock-job"], job.id)
            found = None if row is None else _job(row)
            if found is None or found.state is not JobState.RUNNING or found.place != job.place:
                return found or job
            changed = 0
            for message in messages:
                changed += await _do(transaction, job, message, now)
            counts = (len(messages) + refused, changed, refused, clean(error))
            await transaction.connection.execute(SQL["advance-job"], job.id, place, *counts)
            return await _find(transaction.connection, job.id) or job

        advanced: Job = await self._write(advance)
        if messages and job.action.lets_go:
            self._waits()
        return advanced

    async def end(self, job: str, state: JobState, now: float, error: str = "") -> Job | None:
        async def end(transaction: Transaction) -> Job | None:
            marks = (state.value, now, clean(error))
            ended = await transaction.connection.fetch(SQL["end-job"], job, *marks)
            found = await _find(transaction.connection, job)
            if found is not None and ended:
                await auditing.append(transaction, ending(found, now))
            return found

        ended: Job | None = await self._write(end)
        return ended
