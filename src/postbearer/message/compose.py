"""Messages built here, and messages given as `email.message.Message`, turned into bytes safe to send.

What is built is 7-bit clean, so that every server takes it (RFC 5322, RFC 2045); only addresses that
cannot be written in ASCII make a header UTF-8 (RFC 6532).
"""

from __future__ import annotations

import copy
import mimetypes
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.generator import BytesGenerator
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage, Message
from email.utils import formatdate, make_msgid
from io import BytesIO

from postbearer.address import Address, refuse_controls
from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.message.fields import check_field
from postbearer.message.mailboxes import Mailbox, parse_mailboxes

_FOLD = re.compile(r"\r?\n(?=[ \t]+[^ \t\r\n])")
_CID = re.compile(r"[A-Za-z0-9._+-]+(@[A-Za-z0-9.-]+)?")  # RFC 2392 2
_RECIPIENT_FIELDS = ("to", "cc", "bcc")


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person says about a message; `build` makes the message."""

    sender: str
    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    reply_to: Sequence[str] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    attachments: Sequence[tuple[str, bytes]] = ()  # file name and content
    inline: Sequence[tuple[str, str, bytes]] = ()  # what `html` shows: its name there, file name, content
    headers: Sequence[tuple[str, str]] = ()

    def build(self) -> EmailMessage:
        """The message, with Date and Message-ID, without Bcc.

        Raises `UsageError` for anything that could not stand in the header as it is.
        """
        message = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
        _put_mailboxes(message, "From", [self.sender])
        _put_mailboxes(message, "To", self.to)
        _put_mailboxes(message, "Cc", self.cc)
        _put_mailboxes(message, "Reply-To", self.reply_to)
        check_field("Subject", self.subject)
        message["Subject"] = self.subject
        for name, value in self.headers:
            check_field(name, value)
            if name.lower() in ("from", "to", "cc", "bcc", "subject"):
                raise UsageError(f"{name} has its own option; it cannot also be given as a header.")
            message[name] = value
        self._put_body(message)
        complete(message)
        return message

    def envelope(self) -> Envelope:
        everyone = [box.address for each in (*self.to, *self.cc, *self.bcc) for box in parse_mailboxes(each)]
        (author,) = parse_mailboxes(self.sender)
        return Envelope.of(author.address, everyone)

    def _put_body(self, message: EmailMessage) -> None:
        if self.text is not None or self.html is None:
            message.set_content(self.text or "")
        if self.html is not None:
            if self.text is None:
                message.set_content(self.html, subtype="html")
            else:
                message.add_alternative(self.html, subtype="html")
        for cid, name, content in self.inline:
            if not _CID.fullmatch(cid):
                raise UsageError(
                    f"{cid!r:.80} cannot be the name of an inline file.", hint="Use letters, digits, - and ."
                )
            shown = message.get_body(("related", "html"))
            assert isinstance(shown, EmailMessage)  # who shows something has an html
            main, sub = _file_type(name)
            shown.add_related(
                content, maintype=main, subtype=sub, filename=name, cid=f"<{cid}>", disposition="inline"
            )
        for name, content in self.attachments:
            main, sub = _file_type(name)
            message.add_attachment(content, maintype=main, subtype=sub, filename=name)


def _file_type(name: str) -> tuple[str, str]:
    """The two halves of the content type that `name` tells."""
    refuse_controls(name, "the name of an attachment")
    kind, encoding = mimetypes.guess_type(name)
    main, _, sub = (kind if kind and not encoding else "application/octet-stream").partition("/")
    return main, sub


def _put_mailboxes(message: EmailMessage, name: str, values: Iterable[str]) -> None:
    boxes = [box for value in values for box in parse_mailboxes(value)]
    if boxes:
        message[name] = [_header_address(box) for box in boxes]


def _header_address(box: Mailbox) -> HeaderAddress:
    address = Address.parse(box.address)
    display = box.display
    if display.startswith('"') and display.endswith('"'):
        display = re.sub(r"\\(.)", r"\1", display[1:-1])
    return HeaderAddress(display, address.local, address.domain)


def complete(message: Message) -> None:
    """Give a message the Date and Message-ID it lacks (RFC 6409 8.1, 8.3)."""
    if "Date" not in message:
        message["Date"] = formatdate(localtime=True)
    if "Message-ID" not in message:
        author = parse_mailboxes(_unfold(str(message.get("From", ""))))
        domain = Address.parse(author[0].address).domain if author else "localhost"
        message["Message-ID"] = make_msgid(domain=domain)


def to_bytes(message: Message) -> bytes:
    """The message as CRLF lines, 7-bit, without Bcc; the given object is not changed.

    Raises `UsageError` when a header field of it, or of any part, could smuggle in another one (rows L1, L2),
    and when it cannot be written at all.
    """
    try:
        return _flat(message)
    except UsageError:
        raise
    except (AttributeError, LookupError, MessageError, TypeError, ValueError) as error:  # as `email` fails
        raise UsageError(
            f"The message cannot be written as octets: {error}.",
            hint="Have set_content(text), or MIMEText(text), choose the encoding of a body, and give "
            "attachments as bytes.",
        ) from error


def _flat(message: Message) -> bytes:
    for part in message.walk():
        for name, value in part.raw_items():
            check_field(name, _unfold(str(value)))
    if any(not box.address.isascii() for _, box in _mailboxes(message)):
        chosen: policy.Policy = policy.SMTPUTF8
    else:
        chosen = message.policy.clone(linesep="\r\n", cte_type="7bit")
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=chosen).flatten(_without_bcc(message))
    return out.getvalue()


def envelope_of(message: Message, reverse_path: str) -> Envelope:
    """The envelope its To, Cc and Bcc fields name. Raises `UsageError` if they name nobody."""
    return Envelope.of(reverse_path, [box.address for name, box in _mailboxes(message) if name != "from"])


def author_of(message: Message) -> str:
    """The address in From, or ``""`` when there is none."""
    return next((box.address for name, box in _mailboxes(message) if name == "from"), "")


def _mailboxes(message: Message) -> list[tuple[str, Mailbox]]:
    return [
        (name.lower(), box)
        for name, value in message.raw_items()
        if name.lower() in ("from", *_RECIPIENT_FIELDS)
        for box in parse_mailboxes(_as_utf8(_unfold(str(value))))
    ]


def _as_utf8(text: str) -> str:
    """With the octets above 127 that a parser has kept (RFC 6532 3.2), unless they are no UTF-8."""
    try:
        return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        return text


def _without_bcc(message: Message) -> Message:
    if "Bcc" not in message:
        return message
    duplicate = copy.copy(message)
    del duplicate["Bcc"]  # replaces its list of fields, so that the caller's message keeps Bcc
    return duplicate


def _unfold(value: str) -> str:
    """A field value without its folds; a line end that is no fold stays, and is refused later."""
    return _FOLD.sub("", value).replace("\t", " ")
