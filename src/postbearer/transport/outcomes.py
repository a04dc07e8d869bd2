"""From the replies of one transaction to one outcome per recipient. Pure; a table in a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbearer.errors import NetworkError, RemoteProtocolError, UsageError
from postbearer.outcome import Outcome, State
from postbearer.providers import ImmediateAction, Phase, Rule
from postbearer.reply import Reply
from postbearer.verdict import judge, provider_queue_id


@dataclass(slots=True)
class Replies:
    """What one transaction brought. None: no answer came, or the command was never sent.

    `complete`: every octet of the content was handed to the connection, so that the server may have
    the message even if it never says so. `error` is what ended the connection, if that happened.
    """

    rcpts: list[Reply | None]
    mail: Reply | None = None
    data: Reply | None = None  # a refusal of DATA
    final: Reply | None = None  # the last word on the content, or the refusal of a chunk
    complete: bool = False
    error: NetworkError | RemoteProtocolError | None = None

    @property
    def accepted(self) -> int:
        return len([reply for reply in self.rcpts if reply is not None and reply.positive])

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
        accepted = self.accepted
        if accepted and self.data is not None:
            return self.data, Phase.DATA
        if accepted and self.final is not None:  # a promise counts, also behind a 421
            return None if self.final.positive else (self.final, Phase.EOD)
        closing = self.closing
        return None if closing is None else (closing, Phase.ANY)


def settle(replies: Replies, recipients: Sequence[str], rules: Sequence[Rule] | None) -> list[Outcome | None]:
    """One outcome per recipient; None for those that may be offered again, now and without harm."""
    refusal = replies.refusal
    queue_id = provider_queue_id(replies.final) if replies.final is not None else ""
    return [
        _outcome(replies, refusal, queue_id, place, address, rules)
        for place, address in enumerate(recipients)
    ]


def _outcome(
    replies: Replies,
    refusal: tuple[Reply, Phase] | None,
    queue_id: str,
    place: int,
    address: str,
    rules: Sequence[Rule] | None,
) -> Outcome | None:
    own = replies.rcpts[place]
    if own is not None and not own.positive and not (replies.mail and not replies.mail.positive):
        return None if _one_too_many(replies, place, rules) else judged(address, own, Phase.RCPT, rules)
    if refusal is not None:
        return judged(address, *refusal, rules)
    if replies.final is not None and replies.final.positive:
        return Outcome(address, State.DELIVERED, replies.final, queue_id=queue_id)
    if replies.complete and replies.error is not None:  # RFC 1047: it may have arrived
        verdict = judge(replies.error, Phase.EOD, rules)
        return Outcome(
            address,
            State.UNKNOWN,
            error=replies.error,
            cause=verdict.cause,
            remedy=verdict.remedy,
            phase=Phase.EOD,
        )
    return None


def judged(address: str, reply: Reply, phase: Phase, rules: Sequence[Rule] | None) -> Outcome:
    """The outcome of a refusal, by what the catalogue says it means."""
    verdict = judge(reply, phase, rules)
    return Outcome(
        address,
        verdict.state,
        reply,
        cause=verdict.cause,
        remedy=verdict.remedy,
        phase=phase,
        refuses_us=verdict.refuses_us,
    )


def refused_here(address: str, error: UsageError) -> Outcome:
    """The outcome of what was not even offered: nobody but us said anything."""
    return Outcome(address, State.FAILED, error=error, cause=error.message, remedy=error.hint)


def _one_too_many(replies: Replies, place: int, rules: Sequence[Rule] | None) -> bool:
    """True if the server only wants fewer recipients at a time.

    RFC 5321 4.5.3.1.10: 452, and 552 is to be read as 452; other uses of these codes say so by their
    enhanced status. It holds only once another recipient was taken: else there is nothing to split.
    """
    reply = replies.rcpts[place]
    if reply is None or not any(other is not None and other.positive for other in replies.rcpts[:place]):
        return False
    if reply.code in (452, 552) and reply.enhanced is not None:
        return reply.enhanced[1:] == (5, 3)
    return reply.code in (452, 552) or ImmediateAction.SPLIT in judge(reply, Phase.RCPT, rules).first
