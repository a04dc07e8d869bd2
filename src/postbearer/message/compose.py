"""Messages made of what a person says about them: octets that every server takes (RFC 5322, RFC 2045).

All of it is 7-bit; only an address that cannot be written in ASCII makes the header UTF-8 (RFC 6532). `email`
can do this, too, and takes a millisecond for a small message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate, make_msgid, parsedate_to_datetime
from functools import lru_cache
from typing import Any

from postbearer.address import Address, ascii_domain
from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.message.content import LONGEST_LINE, BytesContent
from postbearer.message.encoded_words import ADDRESSES, ascii_field, encoded, mailbox_list
from postbearer.message.fields import Field, check_field
from postbearer.message.files import AttachedFile
from postbearer.message.folding import WISHED, fold
from postbearer.message.mailboxes import Mailbox, parse_mailboxes
from postbearer.message.written import WrittenPart, multipart, text_part

LONGEST_SUBJECT = 10_000  # characters
_LONGEST_WORD = LONGEST_LINE - WISHED  # octets that a line holds beside the name of the field
_CID = re.compile(r"[A-Za-z0-9._+-]+(@[A-Za-z0-9.-]+)?")  # RFC 2392 2
_OPTIONS = ("from", "to", "cc", "bcc", "resent-bcc", "subject")  # given otherwise
_ONCE = ("date", "sender", "reply-to", "message-id", "in-reply-to", "references")
_MADE = ("mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id")


class Composed(BytesContent):
    """A message that was made here, so that a sender rule may write its header anew."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person says about a message; `octets` is the message."""

    sender: str
    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    reply_to: Sequence[str] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    attachments: Sequence[tuple[str, bytes] | AttachedFile] = ()  # file name and content
    inline: Sequence[tuple[Any, ...]] = ()  # what `html` shows: its name there, then as of an attachment
    headers: Sequence[tuple[str, str]] = ()

    def octets(self) -> bytes:
        """The message, with Date and Message-ID, without Bcc.

        Raises `UsageError` for anything that could not stand in the header as it is.
        """
        fields = list(self._fields())
        # RFC 6531 3.2: nothing but UTF-8 can say such an address.
        utf8 = not all(box.address.rpartition("@")[0].isascii() for box in _named_in(fields))
        head = [_written(name, value, utf8=utf8) for name, value in fields]
        return b"".join([*head, b"MIME-Version: 1.0\r\n", *self._body().blocks()])

    def compose(self) -> Composed:
        """The same, as mailers and relays take it."""
        return Composed(self.octets())

    def envelope(self) -> Envelope:
        everyone = [box.address for each in (*self.to, *self.cc, *self.bcc) for box in parse_mailboxes(each)]
        (author,) = parse_mailboxes(self.sender)
        return Envelope.of(author.address, everyone)

    def _fields(self) -> Iterator[tuple[str, str]]:
        """Name and value of each field, before it is encoded and folded."""
        names = {"reply-to"} if self.reply_to else set()
        for name, values in (
            *(("From", (self.sender,)), ("To", self.to), ("Cc", self.cc), ("Reply-To", self.reply_to)),
        ):
            boxes = [box for value in values for box in parse_mailboxes(value)]
            if boxes:
                yield name, mailbox_list(boxes, utf8=True)
        yield "Subject", self._checked_subject()
        for name, value in self.headers:
            lowered = name.lower()
            _refuse_header(name, value, again=lowered in names)
            names.add(lowered)
            yield name, value
        if "date" not in names:
            yield "Date", _date(int(time.time()))
        if "message-id" not in names:
            (author, *_) = parse_mailboxes(self.sender)
            yield "Message-ID", make_msgid(domain=ascii_domain(Address.parse(author.address).domain))

    def _checked_subject(self) -> str:
        if len(self.subject) > LONGEST_SUBJECT:
            raise UsageError(
                f"subject: it has {len(self.subject)} characters; {LONGEST_SUBJECT} are the most.",
                hint="Put what it says into the text.",
            )
        check_field("Subject", self.subject)
        return self.subject

    def _body(self) -> WrittenPart:
        body = self._words()
        files = [each if isinstance(each, AttachedFile) else AttachedFile(*each) for each in self.attachments]
        return multipart("mixed", [body, *(each.attached() for each in files)]) if files else body

    def _words(self) -> WrittenPart:
        """The text, the HTML with what it shows, or one beside the other."""
        if self.html is None:
            return text_part(self.text or "", "plain")
        html = text_part(self.html, "html")
        if self.inline:
            shown = [AttachedFile(*file).shown_as(_checked_cid(cid)) for cid, *file in self.inline]
            html = multipart("related", [html, *shown], type="text/html")  # RFC 2387 3.1
        return html if self.text is None else multipart("alternative", [text_part(self.text, "plain"), html])


def _checked_cid(cid: str) -> str:
    if not _CID.fullmatch(cid):
        raise UsageError(
            f"{cid!r:.80} cannot be the name of an inline file.", hint="Use letters, digits, - and ."
        )
    return cid


def _refuse_header(name: str, value: str, *, again: bool) -> None:
    check_field(name, value)
    lowered = name.lower()
    if lowered in _OPTIONS:
        raise UsageError(f"{name} has its own option; it cannot also be given as a header.")
    if lowered in _MADE:
        raise UsageError(f"{name} follows from what is sent; it cannot be given as a header.")
    if lowered == "return-path":
        raise UsageError(f"{name} is written by whoever receives the message (RFC 5321 4.4).")
    if lowered in _ONCE and again:
        raise UsageError(f"{name} stands in a message once (RFC 5322 3.6).", hint="Give it once.")
    if lowered == "date":
        try:
            parsedate_to_datetime(value)
        except ValueError:
            raise UsageError(
                f"{name}: {value!r:.80} is no date (RFC 5322 3.3).",
                hint="Write Tue, 1 Dec 2026 08:00:00 +0100.",
            ) from None


def _named_in(fields: Sequence[tuple[str, str]]) -> Iterator[Mailbox]:
    """Whom fields name, as far as they can be read: what cannot is told by the sender rule."""
    for name, value in fields:
        if name.lower() in ADDRESSES:
            with suppress(UsageError):
                yield from parse_mailboxes(value)


def _written(name: str, value: str, *, utf8: bool) -> bytes:
    """A field as its lines; a word that no line holds is encoded, too."""
    addresses = name.lower() in ADDRESSES
    if not addresses and max(len(word.encode()) for word in value.split(" ")) > _LONGEST_WORD:
        value = encoded(value)
    line = f"{name}: {value}".encode()
    if utf8 or line.isascii():
        return fold(line, addresses=addresses, most=WISHED) + b"\r\n"
    return ascii_field(Field(name.lower(), line + b"\r\n")).raw


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, localtime=True)
