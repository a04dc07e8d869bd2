"""The audit and the jobs of a spool in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from postbearer.store.operating import (
    AuditEntry,
    AuditRecord,
    Job,
    JobState,
    JobStep,
    chained,
    ending,
    together,
    verified,
)
from postbearer.store.records import Entry, Query, Status


class JobTarget(Protocol):
    """The queue that jobs work on."""

    def numbered(self) -> Sequence[tuple[int, Entry]]:
        """All messages, with growing numbers."""
        ...

    def change_some(self, message: str, status: Status, now: float, matching: Query) -> int: ...

    def time_of(self, message: str) -> float: ...

    def move_some(self, message: str, account: str, now: float, matching: Query) -> int: ...


class MemoryAudit:
    """`AuditLog` in memory."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def append(self, record: AuditRecord | None, *, count: int | None = None) -> None:
        """Add a record, if there is one; with `count`, unless that is 0."""
        if record is None or count == 0:
            return
        record = record if count is None else replace(record, count=count)
        number = len(self.entries) + 1
        before = self.entries[-1].hash if self.entries else ""
        self.entries.append(AuditEntry(number=number, record=record, hash=chained(before, number, record)))

    async def add(self, record: AuditRecord) -> None:
        self.append(record)

    async def read(self, before: int | None, most: int) -> Sequence[AuditEntry]:
        return [each for each in reversed(self.entries) if before is None or each.number < before][:most]

    async def about(self, message: str, most: int) -> Sequence[AuditEntry]:
        return [each for each in self.entries if each.record.message == message][-most:]

    async def verify(self) -> tuple[int, int | None]:
        return await verified(self._behind)

    async def _behind(self, number: int) -> list[AuditEntry]:
        return [entry for entry in self.entries if entry.number > number]


class MemoryJobs:
    """`JobStore` in memory; `waits` hears that something may go on."""

    def __init__(
        self,
        queue: JobTarget,
        audit: MemoryAudit,
        fits: Callable[[Entry, Query], bool],
        waits: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._audit = audit
        self._fits = fits
        self._waits = waits
        self._jobs: dict[str, Job] = {}

    def _matches(self, entry: Entry, matching: Query) -> bool:
        workable = any(
            row.status in matching.statuses and matching.account in ("", row.account) for row in entry.rows
        )
        return workable and self._fits(entry, matching)

    async def count(self, matching: Query) -> int:
        return sum(self._matches(entry, matching) for _, entry in self._queue.numbered())

    async def begin(self, job: Job, audit: AuditRecord) -> Job:
        numbers = [number for number, _ in self._queue.numbered()]
        self._jobs[job.id] = replace(job, place=0, last=max(numbers, default=0))
        self._audit.append(audit)
        return self._jobs[job.id]

    async def list(self, most: int) -> Sequence[Job]:
        return list(reversed(self._jobs.values()))[:most]

    async def show(self, job: str) -> Job | None:
        return self._jobs.get(job)

    async def running(self) -> Job | None:
        return next((each for each in self._jobs.values() if each.state is JobState.RUNNING), None)

    async def step(self, job: Job, most: int) -> JobStep:
        found = [
            (number, entry.message)
            for number, entry in self._queue.numbered()
            if job.place < number <= job.last and self._matches(entry, job.matching)
        ][:most]
        return together(found, most, job.last)

    async def advance(
        self, job: Job, messages: Sequence[str], place: int, now: float, *, refused: int = 0, error: str = ""
    ) -> Job:
        found = self._jobs.get(job.id, job)
        if found.state is not JobState.RUNNING or found.place != job.place:
            return found
        status, changed = job.action.leads_to, 0
        for message in messages:
            if status is None:
                changed += self._queue.move_some(message, job.account, now, job.matching)
            else:
                waits = job.action.waits_for_time
                due = max(now, self._queue.time_of(message)) if waits else now
                changed += self._queue.change_some(message, status, due, job.matching)
        self._jobs[job.id] = replace(
            found,
            place=place,
            done=found.done + len(messages) + refused,
            changed=found.changed + changed,
            refused=found.refused + refused,
            error=error or found.error,
        )
        if messages and job.action.lets_go:
            self._waits()
        return self._jobs[job.id]

    async def end(self, job: str, state: JobState, now: float, error: str = "") -> Job | None:
        found = self._jobs.get(job)
        if found is not None and found.state is JobState.RUNNING:
            found = self._jobs[job] = replace(found, state=state, ended=now, error=error or found.error)
            self._audit.append(ending(found, now))
        return found
