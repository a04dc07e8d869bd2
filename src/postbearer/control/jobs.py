"""Actions on all messages that match something, as jobs: counted first, seen while they work, cancelled."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import UNSET, Meta, Struct

from postbearer.clock import Clock
from postbearer.control.acts import Act
from postbearer.control.answers import JobInfo, JobList, Matching
from postbearer.control.job_runner import JobRunner
from postbearer.control.messages import Look
from postbearer.control.method import Method, Text
from postbearer.control.principal import Principal, Right
from postbearer.control.search import as_search
from postbearer.errors import Conflict, UsageError
from postbearer.store import Job, JobAction, JobState, Query, Spool

if TYPE_CHECKING:
    from postbearer.account import Account

SHOWN: Final = 100  # jobs of a list
PATIENCE: Final = 10.0  # seconds that one question waits at most


class Bulk(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What to do to all messages that match. `account` is where they are moved, `count` how many it was said.

    With `dry_run` they are only counted.
    """

    action: JobAction
    matching: Look = Look()
    account: Text = ""
    count: Annotated[int, Meta(ge=0)] | None = None
    dry_run: bool = False


class WhichJob(Struct, forbid_unknown_fields=True, frozen=True):
    """A job; of one client's messages only, if that is named. For how many seconds to wait for it."""

    job: Text
    client: Text = ""
    seconds: Annotated[float, Meta(ge=0, le=60)] = 0.0


class WhoseJobs(Struct, forbid_unknown_fields=True, frozen=True):
    """All jobs, or those that work on the messages of one client."""

    client: Text = ""


class Jobs:
    """The jobs of a spool. All methods raise `UsageError` for what does not exist, and `StoreError`.

    `find` gives an account that is configured, and raises `ConfigError` or `UsageError` for none.
    """

    def __init__(self, spool: Spool, clock: Clock, runner: JobRunner, find: Callable[[str], Account]) -> None:
        self._spool = spool
        self._clock = clock
        self._runner = runner
        self._find = find

    async def start(
        self,
        action: JobAction,
        matching: Query,
        account: str = "",
        count: int | None = None,
        *,
        dry_run: bool = False,
        by: Principal,
    ) -> JobInfo:
        """Begin to do `action` to all that matches: `count` messages, as a dry run has told.

        Raises `Conflict` when it is another number now. `account` is where messages are moved.
        """
        matching = _workable(action, matching)
        self._check_target(action, account)
        job = Job(
            id=secrets.token_hex(8),
            action=action,
            matching=matching,
            account=account,
            by=by.name,
            known_by=by.known_by,
            created=self._clock.now(),
            matched=await self._spool.jobs.count(matching),
        )
        if dry_run:
            return _told(job, dry_run=True)
        if count is None:
            raise UsageError(
                "It is not said how many messages are meant.",
                hint=f"Say so by count, as a dry run tells it; now it would be {job.matched}.",
            )
        if count != job.matched:
            raise Conflict(
                f"{_messages(job.matched)} match now, not {count}.",
                hint="Look at them again, and say how many are meant.",
            )
        act = Act(by=by, action=action, account=account, detail=_detail(job))
        begun = await self._spool.jobs.begin(job, act.record(job.created, count=count))
        self._runner.wake()
        return _told(begun)

    async def list(self, client: str = "") -> JobList:
        """The newest first; of one client, those that work on its messages only."""
        found = await self._spool.jobs.list(SHOWN)
        return JobList(jobs=tuple(_told(each) for each in found if client in ("", each.matching.client)))

    async def show(self, job: str, client: str = "") -> JobInfo:
        """How far it is."""
        return _told(await self._job(job, client))

    async def cancel(self, job: str, client: str = "", *, by: Principal) -> JobInfo:
        """Have it do nothing more. What it has done stays. Raises `Conflict` when it has ended."""
        found = await self._job(job, client)
        if found.state is not JobState.RUNNING:
            raise Conflict(f"The job {found.id} has ended: {found.state}.")
        ended = await self._runner.end(found, JobState.CANCELLED, f"Cancelled by {by.name}.")
        return _told(ended or found)

    async def wait(self, job: str, seconds: float, client: str = "") -> JobInfo:
        """The same as `show`, once it has ended, or after so many seconds."""
        found = await self._job(job, client)
        await self._runner.wait(found.id, min(seconds, PATIENCE))
        return _told(await self._job(job, client))

    async def _job(self, job: str, client: str) -> Job:
        found = await self._spool.jobs.show(job)
        if found is None or client not in ("", found.matching.client):
            raise UsageError(f"There is no job {job!r:.80}.", hint="Those that ended long ago are forgotten.")
        return found

    def _check_target(self, action: JobAction, account: str) -> None:
        if action is JobAction.MOVE:
            if not account:
                raise UsageError("It is not said which account is to carry the messages.")
            self._find(account)
        elif account:
            raise UsageError(f"To {action} messages, no account is needed: that is for move.")


def _workable(action: JobAction, matching: Query) -> Query:
    """With the states that the action works on, of those that are asked for."""
    asked = matching.statuses or action.works_unasked_on
    statuses = tuple(each for each in action.works_on if each in asked)
    if not statuses:
        states = " or ".join(action.works_on)
        raise UsageError(
            f"What is {' or '.join(asked)} cannot be changed by {action}.",
            hint=f"It works on what is {states}.",
        )
    return replace(matching, statuses=statuses, limit=1, after="")


def _told(job: Job, *, dry_run: bool = False) -> JobInfo:
    return JobInfo(
        id=UNSET if dry_run else job.id,
        state="dry-run" if dry_run else job.state.value,
        action=job.action,
        matching=Matching.of(job.matching),
        account=job.account,
        by=job.by,
        began=job.created,
        ended=job.ended,
        matched=job.matched,
        done=job.done,
        changed=job.changed,
        refused=job.refused,
        error=job.error,
    )


def _detail(job: Job) -> str:
    """What the job is for, in one line of the audit."""
    return f"job {job.id}: all that matches {as_search(job.matching)}"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


METHODS: Mapping[str, Method] = {
    "jobs.start": Method(
        *(Bulk, JobInfo, Right.OPERATE),
        lambda on, given, by: on.jobs.start(
            given.action,
            given.matching.query(),
            given.account,
            given.count,
            dry_run=given.dry_run,
            by=by,
        ),
    ),
    "jobs.list": Method(WhoseJobs, JobList, Right.LOOK, lambda on, given, by: on.jobs.list(given.client)),
    "jobs.show": Method(
        WhichJob, JobInfo, Right.LOOK, lambda on, given, by: on.jobs.show(given.job, given.client)
    ),
    "jobs.wait": Method(
        *(WhichJob, JobInfo, Right.OPERATE),
        lambda on, given, by: on.jobs.wait(given.job, given.seconds, given.client),
    ),
    "jobs.cancel": Method(
        *(WhichJob, JobInfo, Right.OPERATE),
        lambda on, given, by: on.jobs.cancel(given.job, given.client, by=by),
    ),
}
