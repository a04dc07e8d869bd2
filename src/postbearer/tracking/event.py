"""One event: a recipient came into a state, as the stream and webhooks tell it."""

from __future__ import annotations

from msgspec import Struct

from postbearer.delivery_status import event_type
from postbearer.moments import Time
from postbearer.store import StateChange, Status
from postbearer.tags import NamedTags, by_name


class EventInfo(Struct, frozen=True, kw_only=True):
    """A recipient came into a state, in words of events (`type`) and of the queue (`state`).

    `said` is the server's reply, or why else. `unknown`: the message may have arrived all the same.
    """

    id: str
    type: str
    at: Time
    message: str
    recipient: str
    account: str
    client: str
    state: Status
    unknown: bool
    said: str
    tags: NamedTags  # of the message


def event_of(change: StateChange) -> EventInfo:
    """A change as those who follow are told it."""
    return EventInfo(
        id=str(change.number),
        type=event_type(change.status, unknown=change.unknown),
        at=change.at,
        message=change.message,
        recipient=change.recipient,
        account=change.account,
        client=change.client,
        state=change.status,
        unknown=change.unknown,
        said=change.said,
        tags=by_name(change.tags),
    )
