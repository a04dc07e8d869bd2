"""What people do to a queue, as values: the audit of it, and jobs over many messages."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from msgspec.json import encode

from postbearer.reply import TEXT, cut
from postbearer.store.records import Message, Query, Status

AUDIT_KEPT = 100_000  # records of the audit; older ones go
JOBS_KEPT = 1_000  # jobs that have ended
TOGETHER = 2_000  # recipients of the messages of one step, but for one of more


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did what. `known_by` proves who; `detail` tells more of what it was done to.

    `count` recipients were changed by it, or messages. `result` is empty if it was done, else why it was not.
    """

    at: float
    by: str
    known_by: str
    action: str
    account: str = ""
    message: str = ""  # id
    recipient: str = ""
    detail: str = ""
    count: int = 0
    result: str = ""

    def __post_init__(self) -> None:
        for name in ("by", "known_by", "action", "account", "message", "recipient", "detail", "result"):
            kept = cut(getattr(self, name), TEXT).encode(errors="replace").decode()
            object.__setattr__(self, name, kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A record in its place. `hash` is of the record, its number, and the hash of the one before."""

    number: int
    record: AuditRecord
    hash: str

    def follows(self, before: str) -> bool:
        """Whether it is as it was written, behind an entry with the hash `before`."""
        return self.hash == chained(before, self.number, self.record)


def chained(before: str, number: int, record: AuditRecord) -> str:
    """The hash (SHA-256, hex) of a record behind an entry with the hash `before`; empty for the first."""
    return hashlib.sha256(encode([before, number, record])).hexdigest()


async def verified(
    behind: Callable[[int], Awaitable[Sequence[AuditEntry]]],
) -> tuple[int, int | None]:
    """What `AuditLog.verify` tells. `behind` reads the next entries behind a number, none at the end."""
    good, number, before = 0, 0, None
    while piece := await behind(number):
        for entry in piece:
            oldest = before is None and entry.number > 1  # what it followed is gone
            in_order = before is None or entry.number == number + 1
            if not in_order or not (oldest or entry.follows(before or "")):
                return good, entry.number
            good, number, before = good + 1, entry.number, entry.hash
    return good, None


class AuditLog(Protocol):
    """What people did, in its order; nothing in it is ever changed, and the oldest goes."""

    async def add(self, record: AuditRecord) -> None:
        """Record what was done elsewhere than in this store."""
        ...

    async def read(self, before: int | None, most: int) -> Sequence[AuditEntry]:
        """The newest entries, or those with smaller numbers than `before`; the newest first."""
        ...

    async def about(self, message: str, most: int) -> Sequence[AuditEntry]:
        """The last entries that name the message with this id; the oldest of them first."""
        ...

    async def verify(self) -> tuple[int, int | None]:
        """How many entries are as they were written, from the oldest on; and the number of the first not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node that works on the queue. Its leases hold until it `expires`, unless its heartbeat renews them.

    `own`: of the relay that was asked. One that is alone, and has nothing leased, writes no heartbeat.
    """

    name: str
    own: bool
    since: float
    heartbeat: float
    expires: float
    version: str
    address: str = ""
    configuration: str = ""  # a checksum of it
    busy: int = 0  # attempts under way at its last heartbeat


class JobAction(StrEnum):
    """What a job does to each message."""

    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    CANCEL = "cancel"
    MOVE = "move"

    @property
    def works_on(self) -> tuple[Status, ...]:
        """The states in which a recipient can be changed by it."""
        match self:
            case JobAction.HOLD | JobAction.RETRY:
                return (Status.SCHEDULED, Status.READY, Status.DEFERRED)
            case JobAction.RELEASE:
                return (Status.HELD,)
            case JobAction.CANCEL | JobAction.MOVE:
                return (Status.SCHEDULED, Status.READY, Status.DEFERRED, Status.HELD)

    @property
    def works_unasked_on(self) -> tuple[Status, ...]:
        """Those of them that need not be named: what has a time leaves before it only where that is said."""
        without = Status.SCHEDULED if self is JobAction.RETRY else None
        return tuple(each for each in self.works_on if each is not without)

    @property
    def waits_for_time(self) -> bool:
        """Whether what it lets go goes on to wait for the time that it has."""
        return self is JobAction.RELEASE

    @property
    def leads_to(self) -> Status | None:
        """The state that it makes of them; None: they keep it."""
        match self:
            case JobAction.HOLD:
                return Status.HELD
            case JobAction.RELEASE | JobAction.RETRY:
                return Status.READY
            case JobAction.CANCEL:
                return Status.CANCELLED
            case JobAction.MOVE:
                return None

    @property
    def lets_go(self) -> bool:
        """Whether mail may leave after it that could not before."""
        return self in (JobAction.RELEASE, JobAction.RETRY, JobAction.MOVE)


class JobState(StrEnum):
    """How far a job is."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One action on all messages that match; those that were accepted before it began.

    It walks by their numbers in the store, from behind `place` to `last`. Of the `matched` messages, so many
    are `done` so far, by which so many recipients `changed`; `refused` of them had to stay as they were, for
    a reason as the `error` says.
    """

    id: str
    action: JobAction
    matching: Query
    account: str = ""  # where to move
    by: str
    known_by: str
    created: float
    matched: int = 0
    done: int = 0
    changed: int = 0
    refused: int = 0
    state: JobState = JobState.RUNNING
    ended: float | None = None
    error: str = ""
    place: int = field(default=0, repr=False)
    last: int = field(default=0, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStep:
    """What comes next in a job: the `messages` that it works on, up to a `place` in the store."""

    messages: tuple[Message, ...]
    place: int


def together(found: Sequence[tuple[int, Message]], most: int, end: int) -> JobStep:
    """The step that takes what was `found` by number, or its beginning; `end` is as far as was looked."""
    recipients = 0
    for count, (_, message) in enumerate(found):
        recipients += len(message.envelope.recipients)
        if count and recipients > TOGETHER:
            found = found[:count]
            return JobStep(messages=tuple(each for _, each in found), place=found[-1][0])
    place = found[-1][0] if len(found) == most else end
    return JobStep(messages=tuple(each for _, each in found), place=place)


class JobStore(Protocol):
    """Jobs, and their steps: each one transaction with what it changes. All methods raise `StoreError`."""

    async def count(self, matching: Query) -> int:
        """Messages that match, with a recipient in one of its states whom no attempt is under way for."""
        ...

    async def begin(self, job: Job, audit: AuditRecord) -> Job:
        """Keep a new job, with where it ends."""
        ...

    async def list(self, most: int) -> Sequence[Job]:
        """The newest first."""
        ...

    async def show(self, job: str) -> Job | None: ...

    async def running(self) -> Job | None:
        """The oldest one that has not ended."""
        ...

    async def step(self, job: Job, most: int) -> JobStep:
        """What comes next: `most` messages, and not many recipients. It costs no more in a long queue."""
        ...

    async def advance(
        self, job: Job, messages: Sequence[str], place: int, now: float, *, refused: int = 0, error: str = ""
    ) -> Job:
        """Do to `messages` what the job does, and note that it came to `place`; the job as it is then.

        Nothing is done if it has ended meanwhile, or another node was there before.
        """
        ...

    async def end(self, job: str, state: JobState, now: float, error: str = "") -> Job | None:
        """The job has ended, unless it had before; with a record of what it did. None: there is none."""
        ...


def ending(job: Job, at: float) -> AuditRecord:
    """The record of what a job did."""
    return AuditRecord(
        at=at,
        by=job.by,
        known_by=job.known_by,
        action=job.action,
        account=job.account,
        detail=f"job {job.id}: {job.done} of {job.matched} messages",
        count=job.changed,
        result="" if job.state is JobState.DONE else job.error or str(job.state),
    )
