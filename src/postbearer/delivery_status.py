"""What becomes of a message, recipient by recipient: one vocabulary, and what others call each of its words.

Whoever tells a state of a message to programs takes the word from here: the event stream, webhooks, and the
faces of hosted mail APIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from postbearer.outcome import Status

# fmt: off
Word = Literal["scheduled", "queued", "sending", "deferred", "unknown", "held", "accepted",
               "delivered", "bounced", "failed", "expired", "canceled"]
EventType = Literal["message.scheduled", "message.queued", "message.deferred", "message.unknown",
                    "message.held", "message.accepted", "message.failed", "message.expired",
                    "message.canceled"]
# fmt: on
ResendEvent = Literal[
    "scheduled", "queued", "sent", "delivered", "delivery_delayed", "bounced", "failed", "canceled"
]
JmapDelivered = Literal["queued", "yes", "no", "unknown"]  # RFC 8621 7, DeliveryStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    """A word, and its one image in the words of others.

    `status` is the state of the queue that it tells; None: there is none. `told`: an event tells it when it
    comes about. `event` and `anymail` are django-anymail's event type and its status of a recipient,
    `resend` is the `last_event` of Resend's API.
    """

    status: Status | None
    jmap: JmapDelivered
    event: str
    anymail: str
    resend: ResendEvent
    told: bool = True


STATUSES: Final[Mapping[Word, DeliveryStatus]] = {
    "scheduled": DeliveryStatus(
        status=Status.SCHEDULED, jmap="queued", event="queued", anymail="queued", resend="scheduled"
    ),
    "queued": DeliveryStatus(
        status=Status.READY, jmap="queued", event="queued", anymail="queued", resend="queued"
    ),
    "sending": DeliveryStatus(
        status=Status.LEASED, jmap="queued", event="queued", anymail="queued", resend="queued", told=False
    ),
    "deferred": DeliveryStatus(
        status=Status.DEFERRED, jmap="queued", event="deferred", anymail="queued", resend="delivery_delayed"
    ),
    "unknown": DeliveryStatus(
        status=Status.DEFERRED, jmap="unknown", event="deferred", anymail="unknown", resend="delivery_delayed"
    ),
    "held": DeliveryStatus(
        status=Status.HELD, jmap="queued", event="deferred", anymail="queued", resend="delivery_delayed"
    ),
    # By the provider. What becomes of it there, nobody has told us.
    "accepted": DeliveryStatus(
        status=Status.DELIVERED, jmap="unknown", event="sent", anymail="sent", resend="sent"
    ),
    "delivered": DeliveryStatus(
        status=None, jmap="yes", event="delivered", anymail="sent", resend="delivered", told=False
    ),
    "bounced": DeliveryStatus(
        status=None, jmap="no", event="bounced", anymail="failed", resend="bounced", told=False
    ),
    "failed": DeliveryStatus(
        status=Status.FAILED, jmap="no", event="rejected", anymail="rejected", resend="failed"
    ),
    "expired": DeliveryStatus(
        status=Status.EXPIRED, jmap="no", event="failed", anymail="failed", resend="failed"
    ),
    "canceled": DeliveryStatus(
        status=Status.CANCELLED, jmap="no", event="failed", anymail="failed", resend="canceled"
    ),
}
EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
_WORDS: Final[Mapping[Status, Word]] = {
    each.status: word for word, each in STATUSES.items() if each.status is not None and word != "unknown"
}


def word_of(status: Status, *, unknown: bool) -> Word:
    """The word for a state of the queue. Of what is tried again, it matters more that it may have arrived."""
    return "unknown" if unknown and status is Status.DEFERRED else _WORDS[status]


def event_type(status: Status, *, unknown: bool) -> str:
    """What an event is called that tells of a recipient's coming into a state."""
    return f"message.{word_of(status, unknown=unknown)}"
