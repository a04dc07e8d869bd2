"""How local programs hand over a message, by socket and by drop folder::

    postbearer 1 send ENVELOPE-LENGTH CONTENT-LENGTH LF
    envelope, as a JSON object
    content, with CRLF

The command ``sendmail`` and the library write it (`postbearer.handover`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct, ValidationError
from msgspec.json import decode
from msgspec.structs import replace

from postbearer.envelope import Envelope, Notify, Recipient, Ret
from postbearer.errors import UsageError
from postbearer.store import IdempotencyKey
from postbearer.tags import Tags, make_tags
from postbearer.trace_context import parse

LONGEST_LINE = 64
LONGEST_ENVELOPE = 512 * 1024  # 1,000 recipients of the longest kind
MOST_RECIPIENTS = 1000
SMTP = b"postbearer 1 smtp"  # asks for a conversation in SMTP
_LINE = re.compile(rb"postbearer 1 send (\d{1,7}) (\d{1,12})\Z")
_Text = Annotated[str, Meta(max_length=1000)]


class TooManyRecipients(UsageError):
    """More than one message may have."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """The first line, in octets."""

    envelope: int
    content: int


class SubmitRequest(Struct, forbid_unknown_fields=True, frozen=True, rename={"from_": "from"}):
    """The envelope as it was handed over. `uid` is who claims to have written it.

    `account` is by which it is to leave, where no route says otherwise. What is handed over again under the
    same `key` is the same message, if it has the same `digest`; both are for the sender to choose.
    """

    uid: Annotated[int, Meta(ge=0)]
    to: Annotated[tuple[_Text, ...], Meta(min_length=1)]  # how many, `parse_slip` says in words
    from_: _Text = ""
    ret: Literal["", "FULL", "HDRS"] = ""
    envid: _Text = ""
    notify: Annotated[tuple[Notify, ...], Meta(max_length=4)] = ()
    account: _Text = ""
    priority: Annotated[int, Meta(ge=-9, le=9)] | None = None  # MT-PRIORITY (RFC 6710)
    key: Annotated[str, Meta(max_length=255)] = ""
    digest: Annotated[str, Meta(max_length=64)] = ""
    traceparent: _Text = ""
    tracestate: _Text = ""
    send_at: Annotated[float, Meta(ge=0, le=1e11)] | None = None  # Unix seconds
    tags: Tags = ()

    def envelope(self) -> Envelope:
        """Raises `UsageError` for what is no address."""
        ret: Ret | None = self.ret or None
        recipients = tuple(Recipient(address, self.notify) for address in dict.fromkeys(self.to))
        envelope = Envelope(self.from_, recipients, ret=ret, envid=self.envid, priority=self.priority)
        if not self.traceparent:
            return envelope
        return envelope.within(parse([self.traceparent], [self.tracestate]))

    def idempotency_key(self, client: str) -> IdempotencyKey | None:
        """As the spool knows it: keys are those of each client."""
        return IdempotencyKey(client=client, key=self.key, digest=self.digest) if self.key else None


def parse_line(line: bytes) -> Lengths:
    """Raises `UsageError`."""
    if not (match := _LINE.match(line)):
        raise UsageError("This is not how a message is handed over.")
    lengths = Lengths(int(match[1]), int(match[2]))
    if lengths.envelope > LONGEST_ENVELOPE:
        raise UsageError("The envelope is too large.")
    return lengths


def parse_slip(octets: bytes) -> SubmitRequest:
    """Raises `UsageError`."""
    try:
        slip = decode(octets, type=SubmitRequest)
    except (ValidationError, ValueError, RecursionError) as error:
        raise UsageError(f"The envelope cannot be read: {error}.") from None
    if len(slip.to) > MOST_RECIPIENTS:
        raise TooManyRecipients(f"A message may have {MOST_RECIPIENTS} recipients, this has {len(slip.to)}")
    return replace(slip, tags=make_tags(slip.tags))
