"""Delivery reports: what a submitter is told about the fate of a message (RFC 3461, RFC 3464)."""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from textwrap import wrap
from typing import Literal

from postbearer.message.content import Content
from postbearer.message.fields import Header
from postbearer.message.folding import WISHED, fold
from postbearer.message.returned import Part, header_only, whole
from postbearer.timestamps import format_timestamp

Action = Literal["failed", "delayed", "delivered", "relayed"]
"""RFC 3464 2.3.3. ``relayed`` stands for "accepted by the provider": further reports may follow."""

_LONG = re.compile(r"[^\x20-\x7e]")
_LONGEST_WORD = 900  # so that an address on the web stays whole


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """One recipient of the report."""

    address: str
    action: Action
    status: str  # enhanced status code, RFC 3463
    diagnostic: str = ""  # the provider's words …
    diagnostic_type: str = "smtp"  # … and of which kind they are, RFC 3464 2.3.6
    explanation: str = ""  # in plain words
    remedy: str = ""
    orcpt: str = ""
    server: str = ""
    will_retry_until: float | None = None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A report, before it is bytes. Times are Unix seconds."""

    id: str  # its own
    sender: str  # in From: the account it leaves from
    to: str
    reporting: str  # our host name
    queue_id: str
    arrived: float
    now: float
    recipients: Sequence[ReportedRecipient]
    header: bytes  # header section of the message reported on
    envid: str = ""
    send_at: float | None = None  # before that it was not to leave
    message: Content | None = None  # if it is to be returned whole …
    omitted: str = ""  # … and if it was to be, but is not: why
    seven_bit: bool = False  # the provider takes no 8-bit content

    def fields(self) -> Header:
        """Its header. `Auto-Submitted` keeps responders quiet, and marks it for our loop check (RFC 3834)."""
        fields = Header(())
        for name, value in reversed(self._fields()):
            fields = fields.add(name, value)
        return fields

    @property
    def eight_bit(self) -> bool:
        return self._returned.encoding == "8bit"

    def blocks(self) -> Iterator[bytes]:
        """CRLF content: text for people, fields for programs, the original message or its header."""
        words = self._words()
        encoding = "7bit" if words.isascii() else "base64"
        if not words.isascii():
            words = encodebytes(words.encode()).decode().replace("\n", "\r\n")
        parts = [
            ("text/plain; charset=utf-8", encoding, words),
            ("message/delivery-status", "7bit", self._status()),
        ]
        body = "".join(
            f"--{self._boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
            f"{text}\r\n"
            for kind, encoding, text in parts
        )
        yield bytes(self.fields()) + f"\r\n{body}--{self._boundary}\r\n".encode()
        yield from self._returned.blocks()
        yield f"\r\n--{self._boundary}--\r\n".encode()

    @property
    def _boundary(self) -> str:
        return f"report-{self.id}"  # nobody knew this id when the message was written

    @property
    def _returned(self) -> Part:
        if self.message is None:
            return header_only(self.header)
        return whole(self.message, self.header, seven_bit=self.seven_bit)

    def _fields(self) -> list[tuple[str, str]]:
        failed = any(about.action == "failed" for about in self.recipients)
        subject = "Mail was not delivered" if failed else "Mail is delayed"
        if all(about.action in ("delivered", "relayed") for about in self.recipients):
            subject = "Mail was accepted by the provider"
        return [
            ("From", f"Mail delivery <{self.sender}>"),
            ("To", self.to),
            ("Subject", subject),
            ("Date", _date(self.now)),
            ("Message-ID", f"<{self.id}@{self.reporting.strip('[]') or 'localhost'}>"),
            ("Auto-Submitted", "auto-replied"),
            ("MIME-Version", "1.0"),
            ("Content-Transfer-Encoding", "8bit" if self.eight_bit else "7bit"),
            ("Content-Type", f'multipart/report; report-type=delivery-status; boundary="{self._boundary}"'),
        ]

    def _words(self) -> str:
        lines = [f"This is the mail relay {self.reporting}, about the message {self.queue_id}.", ""]
        for about in self.recipients:
            lines.append(f"{about.address}: {_SAID[about.action]}")
            for text in (about.explanation, about.remedy):
                lines += _wrapped(text)
            if about.diagnostic:
                lines += _wrapped(f"The server said: {about.diagnostic}")
            if about.will_retry_until is not None:
                lines.append(f"  It is tried until {_date(about.will_retry_until)}; do not send it again.")
            lines.append("")
        if self.omitted:
            lines += [f"Only the header of the message is returned: {self.omitted}", ""]
        return "\r\n".join(lines)

    def _status(self) -> str:
        first = [f"Reporting-MTA: dns; {self.reporting}", f"Arrival-Date: {_date(self.arrived)}"]
        if self.envid:
            first.insert(0, f"Original-Envelope-Id: {_plain(self.envid)}")
        if self.send_at is not None:  # RFC 4865 6
            first.append(f"Future-Release-Request: until; {format_timestamp(self.send_at)}")
        groups = [first, *map(self._group, self.recipients)]
        return "\r\n".join("".join(map(_folded, group)) for group in groups)

    def _group(self, about: ReportedRecipient) -> list[str]:
        kind = "rfc822" if about.address.isascii() else "utf-8"  # RFC 6533 3
        group = [f"Original-Recipient: {_plain(about.orcpt)}"] if about.orcpt else []
        group += [
            f"Final-Recipient: {kind}; {_xtext(about.address)}",
            f"Action: {about.action}",
            f"Status: {about.status}",
        ]
        if about.server:
            group.append(f"Remote-MTA: dns; {about.server}")
        if about.diagnostic:
            group.append(f"Diagnostic-Code: {about.diagnostic_type}; {_plain(about.diagnostic)}")
        if about.will_retry_until is not None:
            group.append(f"Will-Retry-Until: {_date(about.will_retry_until)}")
        return group


_SAID = {
    "failed": "was not delivered.",
    "delayed": "has not been delivered yet.",
    "delivered": "was delivered.",
    "relayed": "was accepted by the mail provider.",
}


def _wrapped(text: str) -> list[str]:
    """The text in lines for people; a word that no line of mail holds is cut."""
    words = [
        word[at : at + _LONGEST_WORD] for word in text.split() for at in range(0, len(word), _LONGEST_WORD)
    ]
    lines = wrap(" ".join(words), WISHED - 2, break_long_words=False, break_on_hyphens=False)
    return [f"  {line}" for line in lines]


def _folded(field: str) -> str:
    return fold(field.encode(), most=WISHED).decode() + "\r\n"


def _date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC))


def _xtext(address: str) -> str:
    """Printable ASCII; other characters as RFC 6533 3 writes them in ``utf-8-addr-xtext``."""
    return _LONG.sub(lambda found: f"\\x{{{ord(found[0]):X}}}", address)


def _plain(text: str) -> str:
    return _LONG.sub("?", text)
