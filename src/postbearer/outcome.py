"""What became of a message, recipient by recipient: as one hears it who sends, and as the queue tells it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from postbearer.answer import ProviderAnswer
from postbearer.errors import PostbearerError, Rejected
from postbearer.meaning import State, Verdict
from postbearer.reply import Reply, cut

__all__ = ["Outcome", "Receipt", "RecipientFate", "State", "Status"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one recipient.

    `verdict` is what the answer or the error means, judged once by the transport; a delivered recipient
    needs none.
    """

    recipient: str
    state: State
    answer: ProviderAnswer | None = None  # the provider's deciding answer, if one came
    error: PostbearerError | None = None  # what came instead of an answer
    queue_id: str = ""  # the provider's own id for the message, when its answer names one
    verdict: Verdict | None = None
    phase: str = ""  # what was answered: of SMTP ``rcpt``, ``eod`` …; the same code means different things

    @property
    def reply(self) -> Reply | None:
        """The answer, if it is a reply of SMTP."""
        return self.answer if isinstance(self.answer, Reply) else None

    @property
    def cause(self) -> str:
        """Why, in plain words."""
        return self.verdict.cause if self.verdict is not None else ""

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        return self.verdict.remedy if self.verdict is not None else ""

    @property
    def refuses_us(self) -> bool:
        """Whether it was the account or its sender that was refused, and not the recipient."""
        return self.verdict is not None and self.verdict.refuses_us

    def __str__(self) -> str:
        said = str(self.answer or self.error or "")
        return f"{self.recipient}: {self.state}" + (f" ({said})" if said else "")


@dataclass(frozen=True, slots=True)
class Receipt:
    """One outcome per recipient, in the order of the envelope."""

    outcomes: tuple[Outcome, ...]
    server: str = ""  # host:port that answered
    message_id: str = ""
    dsn: bool = False  # the server takes wishes for delivery reports, so reporting success is its part
    works: bool = (
        False  # the provider dealt with the message, whatever it said of it: the account is in order
    )

    @property
    def delivered(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.state is State.DELIVERED)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Every recipient that was not accepted, for whatever reason."""
        return tuple(outcome for outcome in self.outcomes if outcome.state is not State.DELIVERED)

    @property
    def queue_id(self) -> str:
        for outcome in self.outcomes:
            if outcome.queue_id:
                return outcome.queue_id
        return ""

    def raise_for_refused(self) -> Receipt:
        """Raise `Rejected` if any recipient was not accepted; else return the receipt itself."""
        if self.refused:
            raise self.rejection()
        return self

    def rejection(self) -> Rejected:
        """The error that tells of the refused recipients, with the first remedy as its hint."""
        first = self.refused[0]
        others = f" and {len(self.refused) - 1} more" if len(self.refused) > 1 else ""
        return Rejected(f"{first}{others}.", receipt=self, hint=first.remedy)


class Status(StrEnum):
    """Where a recipient stands in the queue."""

    SCHEDULED = "scheduled"  # waits for the time that its client named
    READY = "ready"  # waits for its turn
    LEASED = "leased"  # an attempt is under way
    DEFERRED = "deferred"  # refused for now, or of unknown fate; due again later
    HELD = "held"  # waits for a person
    DELIVERED = "delivered"  # accepted by the provider
    FAILED = "failed"  # refused for good
    EXPIRED = "expired"  # tried for as long as it was worth
    CANCELLED = "cancelled"  # by a person

    @property
    def final(self) -> bool:
        return self in (Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.CANCELLED)

    @property
    def by_hand(self) -> bool:
        """Whether a person may decide so."""
        return self in (Status.HELD, Status.READY, Status.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientFate:
    """What became of one recipient of a queued message in an attempt, in text: for queue, report and log.

    `status` is a final one, DEFERRED or HELD. `code` is what a report calls it (RFC 3463). `reply` is what
    the provider said, escaped and without secrets, in its `protocol`: ``smtp`` or ``http``; empty: nothing.
    """

    recipient: str
    status: Status
    code: str = ""
    reply: str = ""
    protocol: str = ""
    cause: str = ""
    remedy: str = ""

    def cut(self, longest: int) -> RecipientFate:
        """The same with texts of at most so many characters."""
        if max(len(self.reply), len(self.cause), len(self.remedy)) <= longest:
            return self
        reply, cause, remedy = (cut(each, longest) for each in (self.reply, self.cause, self.remedy))
        return replace(self, reply=reply, cause=cause, remedy=remedy)
