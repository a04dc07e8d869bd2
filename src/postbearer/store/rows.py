"""How values are written into rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.store.records import Claimed, Message, Status

# One letter each: a mark never changes the size of its row.
LETTERS = {
    Status.READY: "r",
    Status.LEASED: "l",
    Status.DEFERRED: "d",
    Status.HELD: "h",
    Status.DELIVERED: "o",
    Status.FAILED: "f",
    Status.EXPIRED: "e",
    Status.CANCELLED: "c",
}
STATUSES = {letter: status for status, letter in LETTERS.items()}

WAITING, LEASED, HELD, DONE = "w", "l", "h", "x"  # states of a delivery

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode


# In place of what an older version, or a damaged disk, left in a row and no rule of today takes.
NOBODY = Recipient("nobody@unreadable.invalid")
UNREADABLE = Envelope("", (NOBODY,))


def message_row(message: Message) -> tuple[Any, ...]:
    """The columns of `message` behind its number."""
    return (
        message.id,
        message.accepted,
        message.client,
        _encode(message.envelope).decode(),
        message.received,
        message.size,
        message.sha256,
        message.eight_bit,
        message.binary,
        message.expires,
        message.message_id,
        message.author,
        message.subject,
        message.report_of,
    )


def message_of(row: Sequence[Any]) -> Message:
    """The message that `message_row` wrote."""
    return Message(
        id=row[0],
        accepted=row[1],
        client=row[2],
        envelope=_envelope(row[3]),
        received=row[4],
        size=row[5],
        sha256=row[6],
        eight_bit=bool(row[7]),
        binary=bool(row[8]),
        expires=row[9],
        message_id=row[10],
        author=row[11],
        subject=row[12],
        report_of=row[13],
    )


def _envelope(text: str) -> Envelope:
    try:
        return _decode(text)
    except (msgspec.DecodeError, UsageError):
        return UNREADABLE


def recipient_row(recipient: Recipient) -> tuple[str, str, str]:
    return recipient.address, ",".join(recipient.notify), recipient.orcpt


def recipient_of(address: str, notify: str, orcpt: str) -> Recipient:
    try:
        return Recipient(address, tuple(notify.split(",")) if notify else (), orcpt)  # type: ignore[arg-type]
    except UsageError:
        return NOBODY


def readable(claimed: Claimed) -> bool:
    """Whether the rows of a delivery could be read, so that it can be sent."""
    return claimed.message.envelope is not UNREADABLE and all(
        each.recipient is not NOBODY for each in claimed.targets
    )


def settled_state(letters: set[str]) -> str:
    """The state of a delivery whose recipients are in these states."""
    if letters & {"r", "d"}:
        return WAITING
    return HELD if "h" in letters else DONE
