"""Jobs at work: one after the other, in steps that leave room for all else between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from postbearer.clock import Clock, event_or_time
from postbearer.control.acts import Act
from postbearer.control.principal import Principal
from postbearer.errors import ConfigError, StoreError, UsageError
from postbearer.events import Observer, Warned
from postbearer.store import Job, JobAction, JobState, Message, Spool

if TYPE_CHECKING:
    from postbearer.account import Account

MOST: Final = 100  # messages of one step
AGAIN: Final = 5.0  # seconds after a step that the store did not take


class JobRunner:
    """Works on the jobs of a spool: in the background of a relay (`run`), else while somebody waits.

    `find` gives an account that is configured, and raises `ConfigError` or `UsageError` for none.
    """

    def __init__(
        self, spool: Spool, clock: Clock, observer: Observer, find: Callable[[str], Account]
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._observer = observer
        self._find = find
        self._begun = asyncio.Event()  # there may be something to do
        self._news = asyncio.Event()  # a new one for each step
        self._in_background = False

    def wake(self) -> None:
        """A job has begun."""
        self._begun.set()

    async def run(self) -> None:
        """Work on whatever there is, also on what an earlier run left."""
        self._in_background = True
        try:
            while True:
                self._begun.clear()
                try:
                    while await self.step():
                        pass
                except StoreError as error:
                    self._observer.notice(Warned("", f"A job cannot go on for now: {error}"))
                    await self._clock.sleep(AGAIN)
                    continue
                await self._begun.wait()
        finally:
            self._in_background = False

    async def wait(self, job: str, seconds: float) -> None:
        """Until it has ended, or for so many seconds; work meanwhile, if nobody does in the background."""
        end = self._clock.monotonic() + seconds
        while (found := await self._spool.jobs.show(job)) is not None:
            if found.state is not JobState.RUNNING or self._clock.monotonic() >= end:
                return
            if not self._in_background:
                await self.step()
                continue
            await event_or_time(self._news, max(0.0, end - self._clock.monotonic()), self._clock)

    async def step(self) -> bool:
        """Do a piece of the oldest job; False if there is none. Raises `StoreError`."""
        job = await self._spool.jobs.running()
        if job is None:
            return False
        try:
            job = await self._advanced(job)
        except (ConfigError, UsageError) as error:  # where it moves mail to is no account any more
            await self.end(job, JobState.FAILED, str(error))
        else:
            if job.state is JobState.RUNNING and job.place >= job.last:
                await self.end(job, JobState.DONE)
        news, self._news = self._news, asyncio.Event()
        news.set()
        return True

    async def _advanced(self, job: Job) -> Job:
        jobs = self._spool.jobs
        target = self._find(job.account) if job.action is JobAction.MOVE else None
        step = await jobs.step(job, MOST)
        fit, error = step.messages, ""
        if target is not None:
            fit, error = await self._fit(target, step.messages)
        return await jobs.advance(
            job,
            [each.id for each in fit],
            step.place,
            self._clock.now(),
            refused=len(step.messages) - len(fit),
            error=error,
        )

    async def _fit(self, target: Account, messages: Sequence[Message]) -> tuple[tuple[Message, ...], str]:
        """Those that the account may carry, and why the last of the others not."""
        fit, error = [], ""
        for each in messages:
            if refusal := await refusal_to_carry(self._spool, target, each):
                error = f"{each.id}: {refusal}"
            else:
                fit.append(each)
        return tuple(fit), error

    async def end(self, job: Job, state: JobState, error: str = "") -> Job | None:
        """Have it do nothing more, and tell what it did. Raises `StoreError`."""
        ended = await self._spool.jobs.end(job.id, state, self._clock.now(), error)
        if ended is not None:
            self._observer.notice(act_of(ended).event(ended.changed))
        return ended


def act_of(job: Job) -> Act:
    """What a job does, by whoever began it."""
    by = Principal(job.by, job.known_by, frozenset())
    detail = f"job {job.id}: {job.done} of {job.matched} messages"
    return Act(by=by, action=job.action, account=job.account, detail=detail)


async def refusal_to_carry(spool: Spool, account: Account, message: Message) -> str:
    """Why an account may not carry a message of the queue; empty if it may.

    By its sender rule, which is that of each attempt, and by its size.
    """
    from postbearer.engine import refuse_for
    from postbearer.message import parse_header

    try:
        content = await spool.content(message)
        parsed = await asyncio.to_thread(parse_header, content)
    except (UsageError, StoreError) as error:  # the latter for what the disk damaged
        return error.message
    refusal = refuse_for(account, message.envelope.reverse_path, parsed, message.size)
    if refusal is None:
        return ""
    return refusal.text.removeprefix(str(refusal.enhanced or "")).strip()
