"""What an attempt means for its recipients and for its account. Pure.

The verdict says how far a failure reaches and what to do about it. What reaches the account is no fault
of the message: its recipients stay open, the attempt does not count, and the account rests or pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from postbearer.account import Account
from postbearer.engine.schedule import RetryPolicy
from postbearer.errors import CredentialRefused, GrantRefused, PostbearerError, UsageError
from postbearer.meaning import Disposition, ImmediateAction, State, Verdict
from postbearer.outcome import Outcome, Receipt, RecipientFate, Status
from postbearer.store import Claimed, Target
from postbearer.verdict import judge

FIRST_PROBE = 15 * 60.0  # seconds after which a paused account is tried with one message
NEXT_PROBE = 3600.0
POISON = 5  # attempts without any result, after which a message is held
EXPIRED = "5.4.7"  # delivery time expired, RFC 3463 3.5
TOO_LATE = "It could not be delivered in time, and is not tried again."
SEND_AGAIN = "Send it again, if it is still wanted."


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseOrder:
    """The account pauses. After `seconds` it is tried again; None: not before something was changed."""

    reason: str
    remedy: str = ""
    seconds: float | None = None
    person: bool = False  # somebody must act; otherwise it passes by itself
    tenant: bool = False  # it reaches every account of the organisation


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """The end of an attempt, and what follows for the account.

    `rest`: seconds that the account is better left alone, 0 leaving it to the schedule. `works`: the provider
    dealt with the message, so nothing is wrong with the account.
    """

    fates: tuple[RecipientFate, ...]  # of all targets, in their order
    due: float | None = None
    unknown: bool = False
    counted: bool = True
    server: str = ""
    queue_id: str = ""
    dsn: bool = False  # the provider takes wishes for reports
    error: str = ""
    transcript: str = ""  # what was said, if it did not go well for all
    stop: PauseOrder | None = None
    rest: float | None = None
    missed: bool = False  # nothing could be attempted, as no server could be reached or no token was had
    cut: bool = False  # fewer connections
    works: bool = False
    strikes: frozenset[str] = frozenset()  # rules of the account that hold it once they were met often enough
    unsent: bool = False  # nothing of it reached the provider, which cannot have counted it


def put_off(claimed: Claimed, until: float, why: str) -> AttemptResult:
    """The end of an attempt that could not begin after all."""
    fates = tuple(
        RecipientFate(recipient=target.recipient.address, status=Status.DEFERRED, cause=why)
        for target in claimed.targets
    )
    return AttemptResult(fates=fates, due=until, counted=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """Judges the attempts of one account. `dice` gives numbers from 0 to 1.

    `strikes` says how often in a row the account met a rule that becomes a hold when it lasts.
    """

    account: Account
    retry: RetryPolicy
    dice: Callable[[], float]
    strikes: Mapping[str, int] = field(default_factory=dict)

    def receipt(self, claimed: Claimed, receipt: Receipt, now: float) -> AttemptResult:
        """What the provider's answers mean."""
        outcomes = receipt.outcomes
        fates = tuple([self._fate(*pair) for pair in zip(claimed.targets, outcomes, strict=True)])
        verdicts = [outcome.verdict for outcome in outcomes if outcome.state is not State.DELIVERED]
        ending = AttemptResult(
            fates=fates,
            server=receipt.server,
            queue_id=receipt.queue_id,
            dsn=receipt.dsn,
            works=receipt.works,
        )
        if not verdicts:
            return ending
        refusals = [verdict for verdict in verdicts if verdict is not None]
        stop = next((stop for verdict in refusals if (stop := self._stop(verdict))), None)
        ending = replace(
            ending,
            due=now if stop else self._due(claimed, refusals, now),
            counted=any(outcome.verdict is None or not outcome.verdict.stops_account for outcome in outcomes),
            unknown=any(outcome.state is State.UNKNOWN for outcome in outcomes),
            stop=stop,
            rest=self._rest(refusals),
            cut=any(ImmediateAction.CUT in verdict.first for verdict in refusals),
            works=receipt.works and stop is None,
            strikes=frozenset(verdict.rule for verdict in refusals if verdict.hold_after),
        )
        return self._expire(claimed, ending, now)

    def error(self, claimed: Claimed, error: PostbearerError, now: float) -> AttemptResult:
        """What it means that nothing could be attempted."""
        verdict = judge(error, rules=self.account.rules)
        if verdict.state is State.FAILED:
            return self.all(
                claimed, Status.FAILED, cause=verdict.cause, remedy=verdict.remedy, error=str(error)
            )
        stop = self._stop(verdict, error)
        ending = self.all(
            claimed, Status.DEFERRED, cause=verdict.cause, remedy=verdict.remedy, error=str(error)
        )
        return AttemptResult(
            fates=ending.fates,
            due=now,  # the account is what has to wait
            counted=False,
            error=ending.error,
            stop=stop,
            rest=None if stop else verdict.wait,
            missed=stop is None,
            cut=ImmediateAction.CUT in verdict.first,
        )

    def refusal(self, error: PostbearerError) -> PauseOrder | None:
        """The pause that `error` asks for, met without a message."""
        return self._stop(judge(error, rules=self.account.rules), error)

    def all(
        self,
        claimed: Claimed,
        status: Status,
        *,
        cause: str,
        remedy: str = "",
        error: str = "",
        code: str = "",
    ) -> AttemptResult:
        """The same for every recipient, without a word from a server."""
        code = code or {Status.EXPIRED: EXPIRED, Status.FAILED: "5.0.0"}.get(status, "")
        fates = tuple(
            RecipientFate(
                recipient=target.recipient.address, status=status, code=code, cause=cause, remedy=remedy
            )
            for target in claimed.targets
        )
        return AttemptResult(fates=fates, error=error)

    def stale(self, claimed: Claimed, now: float, *, paused: bool = False) -> AttemptResult | None:
        """The end of a delivery that is not attempted any more, if it is too late for it.

        One that was given a short life expires. One that was never tried in all the days of an ordinary
        life, or whose time ran out while its account was `paused`, was not tried for reasons of the
        account: a person decides what becomes of it.
        """
        message = claimed.message
        if now < message.expires:
            return None
        ordinary = message.expires - message.tried_from >= self.retry.expire_after
        if ordinary and (paused or claimed.attempt == 1):
            cause = "Its time ran out while its account could not send."
            return self.all(claimed, Status.HELD, cause=cause, remedy="Release it, or cancel it.")
        return self.all(claimed, Status.EXPIRED, cause=TOO_LATE)

    def _fate(self, target: Target, outcome: Outcome) -> RecipientFate:
        answer = outcome.answer
        if outcome.state is State.DELIVERED and answer is not None:
            return RecipientFate(
                recipient=target.recipient.address,
                status=Status.DELIVERED,
                code=answer.report_status,
                reply=str(answer),
                protocol=answer.protocol,
            )
        status = self._status(outcome)
        code = answer.report_status if answer is not None else ""
        if isinstance(outcome.error, UsageError):
            code = outcome.error.status
        if status is Status.FAILED and not code.startswith("5"):
            code = "5.0.0"
        return RecipientFate(
            recipient=target.recipient.address,
            status=status,
            code=code or ("2.0.0" if status is Status.DELIVERED else "4.4.2"),
            reply=str(answer or ""),
            protocol=answer.protocol if answer is not None else "",
            cause=_cause(outcome),
            remedy=outcome.remedy,
        )

    def _status(self, outcome: Outcome) -> Status:
        if outcome.state is State.DELIVERED:
            return Status.DELIVERED
        if outcome.state is State.FAILED:
            return Status.FAILED
        if outcome.state is State.UNKNOWN:
            return Status.HELD if self.account.settings.on_unknown == "hold" else Status.DEFERRED
        verdict = outcome.verdict
        if verdict is not None and verdict.disposition is Disposition.HOLD and not verdict.wide:
            return Status.HELD
        return Status.DEFERRED

    def _stop(self, verdict: Verdict, error: PostbearerError | None = None) -> PauseOrder | None:
        """The pause that a failure of the whole account asks for."""
        if not (verdict.wide or verdict.hold_after):
            return None
        if verdict.disposition is Disposition.WINDOW:
            seconds = verdict.wait or FIRST_PROBE
            return PauseOrder(
                reason=verdict.cause, remedy=verdict.remedy, seconds=seconds, tenant=verdict.tenant
            )
        met = self.strikes.get(verdict.rule, 0) + 1
        worn_out = verdict.disposition is Disposition.SOON and 0 < verdict.hold_after <= met
        if verdict.disposition is not Disposition.HOLD and not worn_out:
            return None
        return PauseOrder(
            reason=verdict.cause,
            remedy=verdict.remedy,
            seconds=None if self._locks(error) else FIRST_PROBE,
            person=True,
            tenant=verdict.tenant,
        )

    def _locks(self, error: PostbearerError | None) -> bool:
        """Whether another try does harm: providers lock a mailbox for a password that is wrong again.

        All else is tried again, whoever is to cure it: a consent, a certificate, a clock and a new secret
        are mended where we do not see it.
        """
        if self.account.outgoing.authentication == "password":
            return isinstance(error, GrantRefused | CredentialRefused)
        return self.account.password_login and isinstance(error, GrantRefused) and not error.configuration

    def _rest(self, verdicts: Sequence[Verdict]) -> float | None:
        waits = [
            each.wait for each in verdicts if each.disposition is Disposition.SOON and each.wide and each.wait
        ]
        return max(waits, default=None)

    def _due(self, claimed: Claimed, verdicts: Sequence[Verdict], now: float) -> float:
        at_least = max((verdict.wait for verdict in verdicts), default=0.0)
        return now + self.retry.wait(claimed.attempt, self.dice, at_least=at_least)

    def _expire(self, claimed: Claimed, ending: AttemptResult, now: float) -> AttemptResult:
        """A wait that would end too late is cut, so that there is one last try; behind it, time is over."""
        expires = claimed.message.expires
        if ending.due is None or ending.due < expires:
            return ending
        last = expires - self.retry.first / 2
        if last > now:
            return replace(ending, due=last)
        if ending.stop is not None:
            return ending
        fates = tuple(_given_up(fate) if fate.status is Status.DEFERRED else fate for fate in ending.fates)
        return replace(ending, fates=fates, due=None)


def _given_up(fate: RecipientFate) -> RecipientFate:
    """What was put off, at the end of its time: that it passes by itself is no advice any more."""
    cause = f"{TOO_LATE} {fate.cause}".strip()
    return replace(fate, status=Status.EXPIRED, code=EXPIRED, cause=cause, remedy=SEND_AGAIN)


def _cause(outcome: Outcome) -> str:
    """Why, with what exactly happened where no server said it."""
    happened = outcome.error.message if outcome.answer is None and outcome.error is not None else ""
    return outcome.cause if happened in outcome.cause else f"{outcome.cause} {happened}".strip()
