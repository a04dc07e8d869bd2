"""From a claimed delivery to its settlement: the attempt, the reports it calls for, and the marks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter

from postbearer.clock import Clock
from postbearer.engine.account_state import AccountState
from postbearer.engine.bounce import Reporter
from postbearer.engine.disposition import NEXT_PROBE, POISON, AttemptResult, Policy, put_off
from postbearer.engine.monitored import MonitoredContent
from postbearer.engine.rewrite import attempt
from postbearer.engine.schedule import RetryPolicy
from postbearer.engine.steady_clock import SteadyTime
from postbearer.errors import LeaseLost, PostbearerError, StoreError, StoreFull, UsageError
from postbearer.events import DeliveryEnded, Observer, PossibleDuplicate, Reported, Warned
from postbearer.message import Content, DeliveryReport
from postbearer.store import Attempt, Claimed, Report, Settlement, Spool, Staging, Status, readable
from postbearer.transport import recording

SETTLE_TRIES = 6
READ_AGAIN = 60.0  # seconds until a message is tried again that could not be read
STOPPED = "stopped"
TOLD = 16_384  # characters of replies that one event tells, as long as each recipient …
SHORTEST_TOLD = 100  # … has so many
NOT_BEGUN = "The relay was stopped before anything of it was sent."
NOT_READABLE = (
    "What the queue noted of its envelope cannot be read: the file is damaged, or of another version."
)
LOOK_AT_IT = "Look at it by `postbearer queue show`, send it anew if it is still wanted, and cancel it."
LOOK = "Look whether it arrived; release or cancel it."
_status = attrgetter("status")


@dataclass(frozen=True, slots=True)
class AttemptSettings:
    """What holds for all accounts. `dice` gives numbers from 0 to 1."""

    retry: RetryPolicy
    reporter: Reporter
    dice: Callable[[], float]


class AttemptRunner:
    """Makes attempts and writes down how they ended."""

    def __init__(self, spool: Spool, clock: Clock, observer: Observer, rules: AttemptSettings) -> None:
        self.rules = rules
        self.stopping = False
        self._spool = spool
        self._clock = clock
        self._steady = SteadyTime(clock)
        self._observer = observer

    async def ended_already(self, claimed: Claimed, account_state: AccountState) -> AttemptResult | None:
        """The end of a delivery that is not worth, or not safe, another attempt. Raises `StoreError`."""
        if not readable(claimed):
            return self.judge(account_state).all(claimed, Status.HELD, cause=NOT_READABLE, remedy=LOOK_AT_IT)
        now, expires = self._steady.now(), claimed.message.expires
        if now >= expires:
            paused = account_state.was_paused(expires)
            return self.judge(account_state).stale(claimed, now, paused=paused)
        careful = account_state.account.settings.on_unknown == "hold" and claimed.attempt > 1
        if claimed.attempt <= POISON and not careful:
            return None
        judge = self.judge(account_state)
        entry = await self._spool.show(claimed.message.id)
        lost = [each.number for each in entry.attempts if _without_result(each)] if entry else []
        if careful and claimed.attempt - 1 in lost:
            cause = "The last attempt was cut short, so it may have been delivered."
            return judge.all(claimed, Status.HELD, cause=cause, remedy=LOOK)
        if len(lost) < POISON:
            return None
        cause = f"{len(lost)} attempts ended without any result: it may be what stops the process."
        return judge.all(claimed, Status.HELD, cause=cause, remedy="Look at it, then release or cancel it.")

    async def run(self, claimed: Claimed, account_state: AccountState) -> AttemptResult:
        """Make the attempt. Its fate is not known when the worker stops once some of it has left."""
        try:
            stored = await self._spool.content(claimed.message)
        except StoreError as error:
            return put_off(claimed, self._clock.now() + READ_AGAIN, error.message)
        content = MonitoredContent(stored, partial(self._spool.holds, claimed))
        ending = await self._run(claimed, account_state, content)
        if content.left or ending.server or ending.unknown:
            return ending
        return replace(ending, unsent=True)

    async def _run(
        self, claimed: Claimed, account_state: AccountState, content: MonitoredContent
    ) -> AttemptResult:
        home = account_state.account.name == claimed.account
        judge, now = self.judge(account_state), self._clock.now()
        largest = account_state.account.limits.size
        if not home and largest is not None and claimed.message.size > largest:
            return _keep_for_home(
                judge.all(claimed, Status.DEFERRED, cause="Too large for the substitute."), now
            )
        try:
            with recording() as said:
                ending = await attempt(claimed, content, account_state.channel, judge, now)
            if not _all_delivered(ending):
                ending = replace(ending, transcript=said.text)
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            if not content.left:
                return put_off(claimed, now, NOT_BEGUN)
            return replace(_stopped(judge, claimed), due=now, unknown=True)
        ended = self._clock.now()
        if ending.due is not None and ended > now:
            ending = replace(ending, due=ending.due + ended - now)
        refused_here = not home and not ending.server and any(f.status is Status.FAILED for f in ending.fates)
        return _keep_for_home(ending, now) if refused_here else ending

    async def settle(
        self, claimed: Claimed, account_state: AccountState, ending: AttemptResult, took: float
    ) -> bool:
        """Write down the end, and say so; whether something may be left to send.

        `took` is how long the attempt did, in seconds.
        """
        now = self._clock.now()
        quiet = _goes_unreported(claimed, ending)
        report = None if quiet else await self.report(claimed, account_state, ending, now)
        settlement = Settlement(
            results=ending.fates,
            ended=now,
            due=ending.due,
            unknown=ending.unknown,
            server=ending.server,
            queue_id=ending.queue_id,
            error=ending.error,
            transcript=ending.transcript,
            warned=not quiet and self.rules.reporter.wants_delay_warning(claimed, ending, self._steady.now()),
            counted=ending.counted,
        )
        written = await self._written(claimed, ending, settlement, report)
        if written:
            self._tell(claimed, account_state, ending, report, took)
        return not written or ending.due is not None or report is not None

    async def _written(
        self, claimed: Claimed, ending: AttemptResult, settlement: Settlement, report: DeliveryReport | None
    ) -> bool:
        """Mark it, together with the report about it, and with patience: a lost mark means a second copy."""
        name, window = claimed.account, "DUP-MARK"
        for tries in range(SETTLE_TRIES):
            try:
                if report is None:
                    await self._spool.settle(claimed, settlement)
                else:
                    async with self.staged(claimed, report) as made:
                        await self._spool.settle(claimed, replace(settlement, reports=(made,)))
            except LeaseLost:
                window = "DUP-LEASE"
                break
            except StoreError as error:
                text = f"The end of an attempt for {claimed.message.id} cannot be written: {error}"
                self._observer.notice(Warned(name, text))
                await self._clock.sleep(min(30.0, 2.0**tries))
            else:
                return True
        if ending.unknown or any(fate.status is Status.DELIVERED for fate in ending.fates):
            self._duplicate(claimed, window)
        return False

    @asynccontextmanager
    async def staged(self, claimed: Claimed, report: DeliveryReport) -> AsyncIterator[Report]:
        """`report` with its octets in the spool, for one transaction. Raises `StoreError`.

        It goes without the message it was to return, if that cannot be copied.
        """
        content = self._spool.stage(report.id)
        try:
            try:
                await self._copy(report, content)
            except PostbearerError:
                if report.message is None:
                    raise
                await content.discard()
                content = self._spool.stage(report.id)
                report = replace(report, message=None, omitted="it could not be copied.")
                await self._copy(report, content)
            yield self.rules.reporter.kept(claimed, report, content)
        finally:
            with suppress(StoreError):
                await content.discard()

    async def _copy(self, report: DeliveryReport, content: Staging) -> None:
        if report.message is not None and not await self._spool.room(report.message.size * 3 // 2):
            raise StoreFull("There is no room for a second copy.")
        for block in report.blocks():
            await content.write(block)

    def _tell(
        self,
        claimed: Claimed,
        account_state: AccountState,
        ending: AttemptResult,
        report: DeliveryReport | None,
        took: float,
    ) -> None:
        if ending.unknown:
            self._duplicate(claimed, "DUP-REPLY")
        due = ending.due
        if due is not None and all(fate.status is not Status.DEFERRED for fate in ending.fates):
            due = None
        longest = max(SHORTEST_TOLD, TOLD // len(ending.fates)) if ending.fates else TOLD
        self._observer.notice(
            DeliveryEnded(
                account_state.account.name,
                id=claimed.message.id,
                attempt=claimed.attempt,
                fates=tuple([fate.cut(longest) for fate in ending.fates]),
                server=ending.server,
                queue_id=ending.queue_id,
                seconds=took,
                due=due,
                counted=ending.counted,
                error=ending.error,
                age=max(0.0, self._clock.now() - claimed.message.tried_from),
                traceparent=claimed.message.envelope.traceparent,
                tracestate=claimed.message.envelope.tracestate,
            )
        )
        if report is not None:
            self._observer.notice(
                Reported(claimed.account, id=claimed.message.id, report=report.id, to=report.to)
            )

    def _duplicate(self, claimed: Claimed, window: str) -> None:
        self._observer.notice(
            PossibleDuplicate(claimed.account, id=claimed.message.id, window=window, attempt=claimed.attempt)
        )

    async def report(
        self, claimed: Claimed, account_state: AccountState, ending: AttemptResult, now: float
    ) -> DeliveryReport | None:
        """The report that this end calls for, if anybody wishes for one."""
        reporter, account = self.rules.reporter, account_state.account
        about = reporter.about(claimed, ending, now, account)
        if not about:
            return None
        content: Content | None = None
        with suppress(StoreError):  # then the report says so
            content = await self._spool.content(claimed.message)
        try:
            return reporter.report(claimed, about, content, now, account)
        except UsageError as error:  # an address or envelope id no report could name
            text = f"No report about {claimed.message.id} could be made: {error}"
            self._observer.notice(Warned(claimed.account, text))
            return None

    def judge(self, account_state: AccountState) -> Policy:
        """Who judges what this account meets."""
        return Policy(account_state.account, self.rules.retry, self.rules.dice, account_state.strikes)


def _goes_unreported(claimed: Claimed, ending: AttemptResult) -> bool:
    """Whether all went well, and nobody asked to hear of that: so it is with nearly all mail."""
    for target in claimed.targets:
        if "SUCCESS" in target.recipient.notify:
            return False
    return _all_delivered(ending)


def _all_delivered(ending: AttemptResult) -> bool:
    return set(map(_status, ending.fates)) <= {Status.DELIVERED}


def _without_result(attempt: Attempt) -> bool:
    """Whether it was cut short: by the death of the process, or by a defect; not by being asked to stop."""
    return attempt.unknown and not attempt.server and attempt.error != STOPPED


def _stopped(judge: Policy, claimed: Claimed) -> AttemptResult:
    if judge.account.settings.on_unknown == "hold":
        cause = "The relay was stopped meanwhile, so it may have been delivered."
        return judge.all(claimed, Status.HELD, cause=cause, remedy=LOOK, error=STOPPED)
    return judge.all(claimed, Status.DEFERRED, cause="The relay was stopped meanwhile.", error=STOPPED)


def _keep_for_home(ending: AttemptResult, now: float) -> AttemptResult:
    """A substitute cannot carry this message: it waits for its own account."""
    fates = tuple(replace(fate, status=Status.DEFERRED, code="") for fate in ending.fates)
    return replace(ending, fates=fates, due=now + NEXT_PROBE, counted=False)
