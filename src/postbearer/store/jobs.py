"""Jobs in the spool's file: each step of one is a transaction with what it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw
from msgspec import DecodeError
from msgspec.json import Decoder, encode

from postbearer.store import auditing, reads, writes
from postbearer.store.auditing import Doing
from postbearer.store.database import rows
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
from postbearer.store.queries import queries
from postbearer.store.records import Query

SQL, LOOK = queries("operating"), queries("look")
STRETCH = 20_000  # numbers of messages that one read goes through
_query = Decoder(Query)
_WORKABLE = ("account", "statuses")  # what `where-workable` asks for of one and the same recipient


def _job(row: Sequence[Any]) -> Job:
    identifier, action, matching, account, by, known_by, *numbers = row
    created, matched, done, changed, refused, state, ended, error, place, last = numbers
    return Job(
        id=identifier,
        action=JobAction(action),
        matching=_query.decode(matching),
        account=account,
        by=by,
        known_by=known_by,
        created=created,
        matched=matched,
        done=done,
        changed=changed,
        refused=refused,
        state=JobState(state),
        ended=ended,
        error=error,
        place=place,
        last=last,
    )


def _find(connection: apsw.Connection, job: str) -> Job | None:
    row = connection.execute(SQL["job"], (job,)).fetchone()
    return None if row is None else _job(row)


def _conditions(matching: Query, now: float) -> tuple[list[str], dict[str, Any]]:
    """SQL for what `matching` asks for, and its values."""
    asked = reads.conditions(matching)
    names = [LOOK[f"where-{name}"] for name in asked if name not in _WORKABLE]
    values = {name: asked.pop(name, "") for name in _WORKABLE}
    return [SQL["where-workable"], *names], {**asked, **values, "now": now}


def _count(connection: apsw.Connection, matching: Query, now: float) -> int:
    conditions, values = _conditions(matching, now)
    [(count,)] = rows(connection, "\n AND ".join([SQL["count-matching"], *conditions]), values)
    return int(count)


def _step(connection: apsw.Connection, job: Job, most: int, now: float) -> JobStep:
    conditions, values = _conditions(job.matching, now)
    until = min(job.last, job.place + STRETCH)
    query = "\n AND ".join([SQL["step"], *conditions]) + "\n" + SQL["step-order"]
    values |= {"place": job.place, "until": until, "limit": most}
    numbers = [number for (number,) in rows(connection, query, values)]
    return together([(number, reads.message(connection, number)) for number in numbers], most, until)


def _do(connection: apsw.Connection, job: Job, message: str, now: float) -> int:
    """What a job does to one message: how many recipients it changed."""
    matching, status = job.matching, job.action.leads_to
    if status is None:
        return writes.move(connection, message, job.account, now, matching.account, matching.statuses)
    due = max(now, writes.time_of(connection, message)) if job.action.waits_for_time else now
    return writes.change(
        connection, message, status, due, account=matching.account, among=matching.statuses, early_at=now
    )


def _advance(
    connection: apsw.Connection,
    job: Job,
    messages: Sequence[str],
    place: int,
    now: float,
    *,
    refused: int,
    error: str,
) -> Job:
    found = _find(connection, job.id)
    if found is None or found.state is not JobState.RUNNING or found.place != job.place:
        return found or job
    changed = sum(_do(connection, job, message, now) for message in messages)
    row = place, len(messages) + refused, changed, refused, error, job.id
    connection.execute(SQL["advance-job"], row)
    return _find(connection, job.id) or job


def _end(connection: apsw.Connection, job: str, state: JobState, now: float, error: str) -> Job | None:
    connection.execute(SQL["end-job"], (state, now, error, job))
    ended = connection.changes() > 0
    found = _find(connection, job)
    if found is not None and ended:
        auditing.append(connection, ending(found, now))
    return found


class SqliteJobs:
    """`JobStore` by the spool's writer and its readers; `waits` hears that something may go on."""

    def __init__(
        self, write: Doing[Any], read: Doing[Any], waits: Callable[[], None], now: Callable[[], float]
    ) -> None:
        self._now = now
        self._write = write
        self._read = read
        self._waits = waits

    async def count(self, matching: Query) -> int:
        counted: int = await self._read(lambda connection: _count(connection, matching, self._now()))
        return counted

    async def begin(self, job: Job, audit: AuditRecord) -> Job:
        row = (
            *(job.id, job.action, encode(job.matching).decode(), job.account),
            *(job.by, job.known_by, job.created, job.matched),
        )

        def begin(connection: apsw.Connection) -> Job:
            connection.execute(SQL["add-job"], row)
            connection.execute(SQL["drop-jobs"], (JOBS_KEPT,))
            auditing.append(connection, audit)
            return _find(connection, job.id) or job

        begun: Job = await self._write(begin)
        return begun

    async def list(self, most: int) -> Sequence[Job]:
        return await self._several("jobs", most)

    async def show(self, job: str) -> Job | None:
        found: Job | None = await self._read(lambda connection: _find(connection, job))
        return found

    async def running(self) -> Job | None:
        return next(iter(await self._several("running-job")), None)

    async def _several(self, name: str, *values: Any) -> Sequence[Job]:
        found = await self._read(lambda connection: rows(connection, SQL[name], values))
        jobs = []
        for row in found:
            try:
                jobs.append(_job(row))
            except (ValueError, DecodeError):  # the disk, or another program, damaged it
                continue
        return jobs

    async def step(self, job: Job, most: int) -> JobStep:
        step: JobStep = await self._read(lambda connection: _step(connection, job, most, self._now()))
        return step

    async def advance(
        self, job: Job, messages: Sequence[str], place: int, now: float, *, refused: int = 0, error: str = ""
    ) -> Job:
        advanced: Job = await self._write(
            lambda connection: _advance(connection, job, messages, place, now, refused=refused, error=error)
        )
        if messages and job.action.lets_go:
            self._waits()
        return advanced

    async def end(self, job: str, state: JobState, now: float, error: str = "") -> Job | None:
        ended: Job | None = await self._write(lambda connection: _end(connection, job, state, now, error))
        return ended
