"""How values are written into rows, and read from them: a row that is damaged is read like any other.

Texts come as octets (`store/sql`), as SQLite does not care whether they are UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from typing import Any

import msgspec

from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.store.records import Claimed, Lane, Message, Priority, Status
from postbearer.tags import Tags

# One letter each: a mark never changes the size of its row.
LETTERS = {
    Status.SCHEDULED: "s",  # never in a row: it is ready, before its time
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

FRONT = 2_000  # octets of an envelope, with the sender in it
_SENDER = re.compile(rb'\{"reverse_path":("(?:[^"\\]|\\.)*")')

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope).decode


def text(octets: bytes) -> str:
    """A text, for people: what is no UTF-8 in it is told by U+FFFD."""
    return octets.decode(errors="replace")


def status_of(octets: bytes) -> Status:
    """What a letter stands for; whatever is none waits for a person."""
    return STATUSES.get(text(octets), Status.HELD)


def shown_status(octets: bytes, *, early: bool) -> Status:
    """The same of a recipient whose message waits for a time that is still to come, if it is `early`."""
    status = status_of(octets)
    return Status.SCHEDULED if early and status is Status.READY else status


def priority_of(number: int) -> Priority:
    try:
        return Priority(number)
    except ValueError:
        return Priority.NORMAL


def lane_of(account: bytes, priority: int, client: bytes, due: float, types: str, timed: int) -> Lane:
    """Raises `ValueError` for one that is damaged, so that nothing could be claimed from it."""
    if types != "text integer text real":
        raise ValueError(types)
    return Lane(
        account=account.decode(),
        priority=Priority(priority),
        client=client.decode(),
        due=due,
        timed=bool(timed),
    )


# In place of what an older version, or a damaged disk, left in a row and no rule of today takes.
NOBODY = Recipient("nobody@unreadable.invalid")
UNREADABLE = Envelope("", (NOBODY,))
GONE = Message(
    id="?", accepted=0.0, client="", envelope=UNREADABLE, received="", size=0, sha256="", expires=inf
)
_LEAVES = 0, 4, 6  # columns: the id and the trace line go out, the hash is proven


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


def message_of(row: Sequence[Any] | None) -> Message:
    """The message that `message_row` wrote; None is one whose row is gone."""
    if row is None:
        return GONE
    return Message(
        id=text(row[0]),
        accepted=row[1],
        client=text(row[2]),
        envelope=_envelope(row[3], *(row[column] for column in _LEAVES)),
        received=text(row[4]),
        size=row[5],
        sha256=text(row[6]),
        eight_bit=bool(row[7]),
        binary=bool(row[8]),
        expires=row[9],
        message_id=text(row[10]),
        author=text(row[11]),
        subject=text(row[12]),
        report_of=text(row[13]),
        send_at=row[14],
        tags=tags_of(row[15]),
    )


def page_envelope(front: bytes, addresses: Sequence[str]) -> Envelope:
    """The envelope for `addresses` of one of which only the front was read: the sender stands there."""
    sender = _SENDER.match(front)
    try:
        return Envelope.of(msgspec.json.decode(sender[1], type=str) if sender else "", addresses)
    except (msgspec.DecodeError, UsageError):
        return UNREADABLE


def _envelope(octets: bytes, *others: bytes) -> Envelope:
    """The envelope; `others` are texts without which the message cannot be sent either."""
    try:
        for each in others:
            each.decode()
        return _decode(octets)
    except (msgspec.DecodeError, UsageError, UnicodeDecodeError):
        return UNREADABLE


def tags_of(octets: bytes) -> Tags:
    """Those that SQLite wrote as pairs."""
    return tuple([(name, value) for name, value in msgspec.json.decode(text(octets))])


def recipient_row(recipient: Recipient) -> tuple[str, str, str]:
    return recipient.address, ",".join(recipient.notify), recipient.orcpt


def recipient_of(address: bytes, notify: bytes, orcpt: bytes) -> Recipient:
    try:
        wishes = tuple(notify.decode().split(",")) if notify else ()
        return Recipient(address.decode(), wishes, orcpt.decode())  # type: ignore[arg-type]
    except (UsageError, UnicodeDecodeError):
        return NOBODY


def readable(claimed: Claimed) -> bool:
    """Whether the rows of a delivery could be read, so that it can be sent."""
    unreadable = [each for each in claimed.targets if each.recipient is NOBODY]
    return claimed.message.envelope is not UNREADABLE and bool(claimed.targets) and not unreadable


def settled_state(letters: set[bytes]) -> str:
    """The state of a delivery whose recipients are in these states."""
    statuses = set(map(status_of, letters))
    if statuses & {Status.READY, Status.DEFERRED}:
        return WAITING
    return HELD if Status.HELD in statuses else DONE
