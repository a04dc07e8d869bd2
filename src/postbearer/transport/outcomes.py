"""From the replies of one transaction to one outcome per recipient. Pure; a table in a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbearer.errors import NetworkError, RemoteProtocolError, UsageError
from postbearer.meaning import ImmediateAction, State, Verdict
from postbearer.outcome import Outcome
from postbearer.providers import Phase, Rule
from postbearer.reply import Reply
from postbearer.verdict import judge, judged, provider_queue_id


@dataclass(slots=True)
class Replies:
    """What one transaction brought. None: no answer came, or the command was never sent.

    `complete`: every octet of the content was handed to the connection, so that the server may have
    the message even if it never says so. `error` is what ended the connection, if that happened.
    """

    rcpts: list[Reply | None]
    accepted: int = 0  # of these
    mail: Reply | None = None
    data: Reply | None = None  # a refusal of DATA
    final: Reply | None = None  # the last word on the content, or the refusal of a chunk
    complete: bool = False
    error: NetworkError | RemoteProtocolError | None = None

    @property
    def closing(self) -> Reply | None:
        """A 421, wherever it came: nothing unanswered was accepted, and nothing more will be."""
        for reply in (self.mail, *self.rcpts, self.data, self.final):
            if reply is not None and reply.closing:
                return reply
        return None

    @property
    def refusal(self) -> tuple[Reply, Phase] | None:
        """The reply that refused the message as a whole, and what it answered."""
        if self.mail is not None and not self.mail.positive:
            return self.mail, Phase.MAIL
        if self.accepted and self.data is not None:
            return self.data, Phase.DATA
        if self.accepted and self.final is not None:  # a promise counts, also behind a 421
            return None if self.final.positive else (self.final, Phase.EOD)
        closing = self.closing
        return None if closing is None else (closing, Phase.ANY)


def dealt_with(outcomes: Sequence[Outcome]) -> bool:
    """Whether the server dealt with the message, so that nothing is wrong with the account.

    It did where it had its say, or would have had it if we had offered what we knew that it does not take.
    """
    for outcome in outcomes:
        if outcome.state is State.DELIVERED:
            return True
        answered = outcome.answer is not None or isinstance(outcome.error, UsageError)
        if answered and outcome.verdict is not None and not outcome.verdict.stops_account:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reply that refused the message as a whole, what it answered, and what it means."""

    reply: Reply
    phase: Phase
    verdict: Verdict

    def outcome(self, address: str) -> Outcome:
        """What becomes of one recipient by it."""
        return judged(address, self.reply, self.phase, verdict=self.verdict)


def refused(replies: Replies, rules: Sequence[Rule] | None) -> Refusal | None:
    """What refused the message as a whole, if anything did."""
    if replies.refusal is None:
        return None
    reply, phase = replies.refusal
    return Refusal(reply, phase, judge(reply, phase, rules))


def settle(
    replies: Replies, recipients: Sequence[str], refusal: Refusal | None, rules: Sequence[Rule] | None
) -> list[Outcome | None]:
    """One outcome per recipient; None for those that may be offered again, now and without harm."""
    final = replies.final
    taken = final if final is not None and final.positive and refusal is None else None
    queue_id = provider_queue_id(taken) if taken is not None else ""
    return [
        Outcome(address, State.DELIVERED, taken, None, queue_id)
        if taken is not None and own is not None and own.positive
        else _not_delivered(replies, refusal, place, address, rules)
        for place, (address, own) in enumerate(zip(recipients, replies.rcpts, strict=True))
    ]


def _not_delivered(
    replies: Replies,
    refusal: Refusal | None,
    place: int,
    address: str,
    rules: Sequence[Rule] | None,
) -> Outcome | None:
    own = replies.rcpts[place]
    if own is not None and not own.positive and not (replies.mail and not replies.mail.positive):
        verdict = judge(own, Phase.RCPT, rules)
        if _one_too_many(replies, place, own, verdict):
            return None
        return judged(address, own, Phase.RCPT, verdict=verdict)
    if refusal is not None:
        return refusal.outcome(address)
    if replies.complete and replies.error is not None:  # RFC 1047: it may have arrived
        return judged(address, replies.error, Phase.EOD, rules)
    return None


def _one_too_many(replies: Replies, place: int, own: Reply, verdict: Verdict) -> bool:
    """True if the server only wants fewer recipients at a time.

    RFC 5321 4.5.3.1.10: 452, and 552 is to be read as 452; other uses of these codes say so by their
    enhanced status. It holds only once another recipient was taken: else there is nothing to split.
    """
    if not any(other is not None and other.positive for other in replies.rcpts[:place]):
        return False
    if own.code in (452, 552) and own.enhanced is not None:
        return own.enhanced[1:] == (5, 3)
    return own.code in (452, 552) or ImmediateAction.SPLIT in verdict.first
