"""What became of a message, recipient by recipient."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from postbearer.errors import PostbearerError, Rejected
from postbearer.reply import Reply


class State(StrEnum):
    """Where one recipient stands after an attempt."""

    DELIVERED = "delivered"  # accepted by the provider, which may still report a failure by mail
    DEFERRED = "deferred"  # refused for now; trying again is right
    FAILED = "failed"  # refused for good
    UNKNOWN = "unknown"  # connection lost after the content: it may or may not have arrived (RFC 1047)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one recipient."""

    recipient: str
    state: State
    reply: Reply | None = None  # the server's deciding reply, if one came
    error: PostbearerError | None = None  # what came instead of a reply
    queue_id: str = ""  # the provider's own id for the message, when its reply names one
    cause: str = ""  # in plain words
    remedy: str = ""  # what a person can do about it
    phase: str = ""  # what the reply answered: ``rcpt``, ``eod`` …; the same code means different things
    refuses_us: bool = False  # it is the account or its sender that was refused, and not the recipient

    def __str__(self) -> str:
        said = str(self.reply) if self.reply is not None else str(self.error or "")
        return f"{self.recipient}: {self.state}" + (f" ({said})" if said else "")


@dataclass(frozen=True, slots=True)
class Receipt:
    """One outcome per recipient, in the order of the envelope."""

    outcomes: tuple[Outcome, ...]
    server: str = ""  # host:port that answered
    message_id: str = ""
    dsn: bool = False  # the server takes wishes for delivery reports, so reporting success is its part

    @property
    def delivered(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.state is State.DELIVERED)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Every recipient that was not accepted, for whatever reason."""
        return tuple(outcome for outcome in self.outcomes if outcome.state is not State.DELIVERED)

    @property
    def queue_id(self) -> str:
        return next((outcome.queue_id for outcome in self.outcomes if outcome.queue_id), "")

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
