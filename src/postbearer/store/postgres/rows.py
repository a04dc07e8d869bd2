"""How values are written into rows of PostgreSQL, and read from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.store.records import Claimed, Message, Status, Target
from postbearer.store.rows import LETTERS, NOBODY, STATUSES, UNREADABLE, priority_of
from postbearer.tags import Tags

OPEN = LETTERS[Status.READY] + LETTERS[Status.DEFERRED]
SLOT_BITS = 6  # of a number, at its end

_encode = msgspec.json.Encoder().encode
_envelope = msgspec.json.Decoder(Envelope).decode
_recipients = msgspec.json.Decoder(list[tuple[str, tuple[str, ...], str]]).decode
_tags = msgspec.json.Decoder(list[tuple[str, str]]).decode
_said = msgspec.json.Decoder(list[tuple[int, str, str, str]]).decode

Said = Sequence[tuple[int, str, str, str]]  # place of a recipient, reply, cause, remedy


def slot_of(number: int) -> int:
    return number & ((1 << SLOT_BITS) - 1)


def clean(text: str) -> str:
    """PostgreSQL takes no NUL in a text."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text


def message_row(number: int, message: Message, addresses: Sequence[str]) -> tuple[Any, ...]:
    people = (message.envelope.reverse_path, message.author, *addresses)
    return (
        number,
        message.id,
        message.accepted,
        clean(message.client),
        clean(_encode(message.envelope).decode()),
        clean(message.received),
        message.size,
        message.sha256,
        message.eight_bit,
        message.binary,
        message.expires,
        clean(message.message_id),
        clean(message.author),
        clean(message.subject),
        message.report_of,
        clean("\n".join(dict.fromkeys(each.replace("\n", " ").casefold() for each in people))),
        message.send_at,
        clean(_encode(message.tags).decode()),
    )


def message_of(row: Any) -> Message:
    try:
        envelope = _envelope(row["envelope"])
    except (msgspec.DecodeError, UsageError):
        envelope = UNREADABLE
    return Message(
        id=row["id"],
        accepted=row["accepted"],
        client=row["client"],
        envelope=envelope,
        received=row["received"],
        size=row["size"],
        sha256=row["sha256"],
        eight_bit=row["eight_bit"],
        binary=row["is_binary"],
        expires=row["expires"],
        message_id=row["message_id"],
        author=row["author"],
        subject=row["subject"],
        report_of=row["report_of"],
        send_at=row["send_at"],
        tags=tags_of(row["tags"]),
    )


def tags_of(text: str | None) -> Tags:
    try:
        return tuple(_tags(text or "[]"))
    except msgspec.DecodeError:
        return ()


def tag_text(tag: tuple[str, str]) -> str:
    """As it stands among others: no value can look like one, as its quotes are escaped."""
    return clean(_encode(tag).decode())


def recipients_text(recipients: Sequence[Recipient]) -> str:
    return clean(_encode([(each.address, each.notify, each.orcpt) for each in recipients]).decode())


def recipients_of(text: str) -> list[Recipient]:
    """Those of a delivery, in their places."""
    try:
        rows = _recipients(text)
    except msgspec.DecodeError:
        return [NOBODY]
    return [_recipient(*row) for row in rows]


def _recipient(address: str, notify: tuple[str, ...], orcpt: str) -> Recipient:
    try:
        return Recipient(address, notify, orcpt)  # type: ignore[arg-type]
    except UsageError:
        return NOBODY


def said_text(said: Said) -> str:
    return clean(_encode(said).decode())


def said_of(text: str) -> Said:
    try:
        return _said(text)
    except msgspec.DecodeError:
        return ()


def status_of(letter: str) -> Status:
    return STATUSES.get(letter, Status.HELD)


def shown_status(letter: str, *, early: bool) -> Status:
    """The same of a recipient whose message waits for a time that is still to come, if it is `early`."""
    status = status_of(letter)
    return Status.SCHEDULED if early and status is Status.READY else status


def claimed_of(row: Any) -> Claimed:
    """A delivery as `claim` and `late` give it."""
    recipients = recipients_of(row["recipients"])
    return Claimed(
        delivery=row["delivery"],
        lease=row["lease"],
        attempt=row["attempt"],
        account=row["account"],
        priority=priority_of(row["priority"]),
        client=row["lane_client"],
        message=message_of(row),
        targets=tuple(
            Target(row=place, recipient=recipients[place])
            for place, letter in enumerate(row["states"])
            if letter in OPEN
        ),
        warned=row["warned"],
    )
