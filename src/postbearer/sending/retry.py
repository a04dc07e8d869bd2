"""Trying again what may pass, for those recipients alone whose fate is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from postbearer.envelope import Envelope
from postbearer.errors import BudgetSpent, PostbearerError, UsageError
from postbearer.meaning import Disposition, Verdict
from postbearer.outcome import Outcome, Receipt, State
from postbearer.providers import Rule
from postbearer.verdict import judge


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again up to `times` times; before the first `first` seconds pass, then each time `factor` as many.

    What needs a wait of more than `maximum` seconds is not tried again, nor is what needs a person. Where it
    is unknown whether the message arrived, it is never sent again.
    """

    times: int = 3
    first: float = 5.0
    factor: float = 2.0
    maximum: float = 300.0

    def __post_init__(self) -> None:
        if not (self.times >= 0 and self.first >= 0 and self.factor >= 1 and self.maximum >= 0):  # nor NaN
            raise UsageError(
                f"{self} cannot be.", hint="times, first and maximum are at least 0, and factor at least 1."
            )

    @classmethod
    def of(cls, given: Retry | int | None) -> Retry:
        """What ``retry=`` says: a `Retry`, or how many times."""
        if isinstance(given, Retry):
            return given
        if given is None or (isinstance(given, int) and not isinstance(given, bool)):
            return cls(given or 0)
        raise UsageError(f"retry cannot be {given!r:.80}.", hint="Give a number of times, or a Retry(…).")


def seconds(given: object) -> float:
    """What ``timeout=`` says. Raises `UsageError` for what is no time."""
    if isinstance(given, int | float) and not isinstance(given, bool) and given >= 0:
        return float(given)
    raise UsageError(
        f"timeout cannot be {given!r:.80}.", hint="Give a number of seconds, such as timeout=5.0."
    )


class Tries:
    """One message on its way: what is known of each recipient, and whether another try is due."""

    def __init__(self, envelope: Envelope, retry: Retry, rules: Sequence[Rule] | None) -> None:
        self._envelope = envelope
        self._outcomes: list[Outcome | None] = [None] * len(envelope.recipients)
        self._open = list(range(len(envelope.recipients)))
        self._rules = rules
        self._retry = retry
        self._left = retry.times
        self._pause = retry.first
        self._wish = 0.0  # seconds that what was refused is to wait at least
        self._last = Receipt(())
        self._error: PostbearerError | None = None

    @property
    def envelope(self) -> Envelope:
        """For those that are still to be offered the message."""
        everyone = self._envelope.recipients
        if len(self._open) == len(everyone):
            return self._envelope
        return replace(self._envelope, recipients=tuple(everyone[place] for place in self._open))

    def note(self, receipt: Receipt) -> None:
        """A try ended."""
        found = [(place, outcome) for place, outcome in zip(self._open, receipt.outcomes, strict=True)]
        for place, outcome in found:
            self._outcomes[place] = outcome
        self._last = receipt
        again = [
            (place, outcome.verdict)
            for place, outcome in found
            if outcome.state is State.DEFERRED and (outcome.verdict is None or self._passes(outcome.verdict))
        ]
        self._open = [place for place, _ in again]
        self._wish = max((verdict.wait for _, verdict in again if verdict is not None), default=0.0)

    def failed(self, error: PostbearerError) -> None:
        """A try could not be made at all."""
        self._error = error
        verdict = judge(error, rules=self._rules)
        if isinstance(error, BudgetSpent) or verdict.state is not State.DEFERRED or not self._passes(verdict):
            self._left = 0
        self._wish = verdict.wait

    def result(self) -> Receipt:
        """What became of all. Raises `Rejected` if nobody took it, or the error if nothing could be tried."""
        outcomes = tuple(outcome for outcome in self._outcomes if outcome is not None)
        if not outcomes and self._error is not None:
            raise self._error
        last = self._last
        receipt = last if outcomes == last.outcomes else replace(last, outcomes=outcomes)
        if not receipt.delivered:
            raise receipt.rejection()
        return receipt

    def pause(self) -> float | None:
        """Seconds until the next try; None if there is none."""
        pause = max(self._pause, self._wish)
        return pause if self._open and self._left > 0 and pause <= self._retry.maximum else None

    def again(self) -> None:
        """The next try begins."""
        self._left -= 1
        self._pause *= self._retry.factor

    @staticmethod
    def _passes(verdict: Verdict) -> bool:
        return verdict.disposition in (Disposition.SOON, Disposition.WINDOW)
