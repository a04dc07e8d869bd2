"""What became of a message, in Resend's words: `/emails/{id}`, and cancelling it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from postbearer.api import messages
from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.problems import HttpProblem
from postbearer.api.resend import FACE, ResendTag
from postbearer.api.tokens import TokenScope
from postbearer.control import Change, MessageDetail, RecipientRow
from postbearer.delivery_status import STATUSES, ResendEvent, Word, word_of
from postbearer.errors import UsageError
from postbearer.message import Header, decoded, parse_mailboxes, read_header

# Of many recipients the one word is that of the one who needs most that it is seen.
FIRST: Sequence[ResendEvent] = (
    *("bounced", "failed", "delivery_delayed", "queued", "scheduled", "sent", "delivered", "canceled"),
)


class ResendRecipient(Struct, frozen=True, kw_only=True):
    """Where one recipient stands, in our words."""

    address: str
    state: str
    said: Annotated[str, Meta(description="the server's reply, or why else")]


class ResendStored(Struct, rename={"from_": "from"}, frozen=True, kw_only=True):
    """A message and what became of it, without its text."""

    id: str
    object: Literal["email"] = "email"
    message_id: str
    from_: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    reply_to: tuple[str, ...]
    subject: str
    html: None = None
    text: None = None
    created_at: str
    scheduled_at: str | None
    tags: tuple[ResendTag, ...]
    last_event: ResendEvent
    postbearer: tuple[ResendRecipient, ...]


class ResendDone(Struct, frozen=True, kw_only=True):
    """It was done to the message of this id."""

    id: str
    object: Literal["email"] = "email"


class ResendNothing(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An empty object."""


async def show(call: Call) -> ResendStored:
    """One message, with the mailboxes that its header names; who is in none of its fields was in Bcc."""
    found = await messages.found(call)
    header = await _header(call, found.id)
    to, cc, reply_to = (_mailboxes(header, name) for name in ("to", "cc", "reply-to"))
    named = {address.lower() for address in (*to, *cc)}
    return ResendStored(
        id=found.id,
        message_id=found.message_id,
        from_=decoded(found.author or found.sender),
        to=to,
        cc=cc,
        bcc=tuple(each.address for each in found.recipients if each.address.lower() not in named),
        reply_to=reply_to,
        subject=decoded(found.subject),
        created_at=_written(found.accepted),
        scheduled_at=None if found.send_at is None else _written(found.send_at),
        tags=tuple(
            ResendTag(name=name, value=value) for name, values in found.tags.items() for value in values
        ),
        last_event=last_event(found),
        postbearer=tuple(
            ResendRecipient(address=each.address, state=_word(each), said=each.reply or each.cause)
            for each in found.recipients
        ),
    )


def _word(recipient: RecipientRow) -> Word:
    return word_of(recipient.state, unknown=recipient.unknown)


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def last_event(found: MessageDetail) -> ResendEvent:
    """The one word that Resend has for all recipients."""
    told = {STATUSES[_word(each)].resend for each in found.recipients}
    return next(each for each in FIRST if each in told)


async def _header(call: Call, identifier: str) -> Header | None:
    spool = call.services.intake.spool
    entry = await spool.show(identifier)
    return None if entry is None else read_header(await spool.content(entry.message))


def _mailboxes(header: Header | None, name: str) -> tuple[str, ...]:
    """The addresses of the fields of this name; of what came as it is, those that can be read."""
    found: list[str] = []
    for each in header.all(name) if header is not None else ():
        with suppress(UsageError):
            found += [box.address for box in parse_mailboxes(each.value)]
    return tuple(found)


async def cancel(call: Call) -> ResendDone:
    """Give up what has not left."""
    call.body = None  # it says nothing: all recipients
    done: Change = await messages.cancel(call)
    if not done.changed:
        raise HttpProblem("invalid", "It has left, or was given up, before: nothing of it can be cancelled.")
    return ResendDone(id=done.id)


ENDPOINTS = (
    ApiEndpoint(
        name="resend_show",
        method="GET",
        path="/emails/{id}",
        needs=TokenScope.READ,
        summary="A message and what became of it, in Resend's shape.",
        do=show,
        face=FACE,
        takes=ResendNothing,  # the SDK for Python sends one
        body_needed=False,
        answers=ResendStored,
    ),
    ApiEndpoint(
        name="resend_cancel",
        method="POST",
        path="/emails/{id}/cancel",
        needs=TokenScope.OPERATE,
        summary="Give up what has not left of a message, in Resend's shape.",
        do=cancel,
        face=FACE,
        takes=ResendNothing,
        body_needed=False,
        answers=ResendDone,
    ),
)
