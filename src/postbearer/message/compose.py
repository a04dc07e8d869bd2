"""Messages built here, and messages given as `email.message.Message`, turned into bytes safe to send.

What is built is 7-bit clean, so that every server takes it (RFC 5322, RFC 2045); only addresses that
cannot be written in ASCII make a header UTF-8 (RFC 6532). What is signed already stays as it is.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.generator import BytesGenerator
from email.headerregistry import BaseHeader, HeaderRegistry
from email.message import EmailMessage, Message
from email.utils import formatdate, make_msgid
from io import BytesIO
from typing import Any, NamedTuple

from postbearer.address import Address, ascii_domain
from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.message.attached import with_messages_unencoded
from postbearer.message.content import BytesContent, Content
from postbearer.message.conversion import SIGNATURES, convert
from postbearer.message.edited import edit
from postbearer.message.encoded_words import ADDRESSES, mailbox_list
from postbearer.message.fields import Field, Header, check_field
from postbearer.message.files import AttachedFile
from postbearer.message.folding import WISHED, fold
from postbearer.message.mailboxes import Mailbox, parse_mailboxes
from postbearer.message.recipients import NOT_SENT, naming_recipients

LONGEST_SUBJECT = 10_000  # characters: the time that `email` takes grows with the square of them
_FOLD = re.compile(r"\r?\n(?=[ \t]+[^ \t\r\n])")
_CID = re.compile(r"[A-Za-z0-9._+-]+(@[A-Za-z0-9.-]+)?")  # RFC 2392 2
_OPTIONS = ("from", "to", "cc", "bcc", "resent-bcc", "subject")  # given otherwise
_ONCE = ("date", "sender", "reply-to", "message-id", "in-reply-to", "references")
_MADE = ("mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id")


class _Fields(HeaderRegistry):
    """Makes the class of a kind of field once; Python's own makes it anew for each field of each message."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[object, type[BaseHeader]] = {}

    def __getitem__(self, name: str) -> type[BaseHeader]:
        kind = self.registry.get(name.lower(), self.default_class)
        made = self._made.get(kind)
        if made is None:
            made = self._made[kind] = super().__getitem__(name)
        return made


_POLICY = policy.SMTP.clone(cte_type="7bit", header_factory=_Fields())


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
    attachments: Sequence[tuple[str, bytes] | AttachedFile] = ()  # file name and content
    inline: Sequence[tuple[Any, ...]] = ()  # what `html` shows: its name there, then as of an attachment
    headers: Sequence[tuple[str, str]] = ()

    def build(self) -> EmailMessage:
        """The message, with Date and Message-ID, without Bcc.

        Raises `UsageError` for anything that could not stand in the header as it is.
        """
        message = EmailMessage(policy=_POLICY)
        _put_mailboxes(message, "From", [self.sender])
        _put_mailboxes(message, "To", self.to)
        _put_mailboxes(message, "Cc", self.cc)
        _put_mailboxes(message, "Reply-To", self.reply_to)
        if len(self.subject) > LONGEST_SUBJECT:
            raise UsageError(
                f"subject: it has {len(self.subject)} characters; {LONGEST_SUBJECT} are the most.",
                hint="Put what it says into the text.",
            )
        check_field("Subject", self.subject)
        message["Subject"] = self.subject
        for name, value in self.headers:
            _refuse_header(message, name, value)
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
        for cid, *file in self.inline:
            if not _CID.fullmatch(cid):
                raise UsageError(
                    f"{cid!r:.80} cannot be the name of an inline file.", hint="Use letters, digits, - and ."
                )
            shown = message.get_body(("related", "html"))
            assert isinstance(shown, EmailMessage)  # who shows something has an html
            AttachedFile(*file).show_in(shown, cid)
        for each in self.attachments:
            attached = each if isinstance(each, AttachedFile) else AttachedFile(*each)
            attached.put_into(message)


def _refuse_header(message: Message, name: str, value: str) -> None:
    check_field(name, value)
    lowered = name.lower()
    if lowered in _OPTIONS:
        raise UsageError(f"{name} has its own option; it cannot also be given as a header.")
    if lowered in _MADE:
        raise UsageError(f"{name} follows from what is sent; it cannot be given as a header.")
    if lowered == "return-path":
        raise UsageError(f"{name} is written by whoever receives the message (RFC 5321 4.4).")
    if lowered in _ONCE and lowered in message:
        raise UsageError(f"{name} stands in a message once (RFC 5322 3.6).", hint="Give it once.")


def _put_mailboxes(message: EmailMessage, name: str, values: Iterable[str]) -> None:
    boxes = [box for value in values for box in parse_mailboxes(value)]
    if boxes:
        message[name] = mailbox_list(boxes, utf8=True)


def complete(message: Message) -> None:
    """Give a message the Date and Message-ID it lacks (RFC 6409 8.1, 8.3)."""
    if "Date" not in message:
        message["Date"] = formatdate(localtime=True)
    if "Message-ID" not in message:
        author = parse_mailboxes(_unfold(str(message.get("From", ""))))
        domain = ascii_domain(Address.parse(author[0].address).domain) if author else "localhost"
        message["Message-ID"] = make_msgid(domain=domain)


def to_bytes(message: Message) -> bytes:
    """The message as CRLF lines, 7-bit, without Bcc and Return-Path; the given object is not changed.

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
    signed = any(name in message for name in SIGNATURES)
    for part in message.walk():
        signed = signed or part.get_content_type() == "multipart/signed"
        for name, value in part.raw_items():
            check_field(name, _unfold(str(value)))
    fields = [(name.lower(), _as_utf8(_unfold(str(value)))) for name, value in message.raw_items()]
    given = [_Given(name, value, _readable(value)) for name, value in fields if name in ADDRESSES]
    utf8 = not all(box.address.rpartition("@")[0].isascii() for each in given for box in each.boxes)
    eight_bit = utf8 or signed
    sent = with_messages_unencoded(_without_unsent(message))
    try:
        octets = _generated(sent, utf8=utf8, encode=not eight_bit)
    except UnicodeEncodeError:  # text of a charset that nobody named
        octets = _generated(sent, utf8=utf8, encode=False)
    content: Content = BytesContent(octets)
    if not signed:
        content = edit(content, lambda header: _addressed(header, given, utf8=utf8))
    return b"".join(convert(content, eight_bit=eight_bit, utf8=utf8).blocks())


def _generated(message: Message, *, utf8: bool, encode: bool) -> bytes:
    """As `email` writes it; with `encode`, bodies in 7 bits."""
    kind = "7bit" if encode else "8bit"
    if isinstance(message.policy, policy.EmailPolicy):
        chosen: policy.Policy = message.policy.clone(
            linesep="\r\n", max_line_length=WISHED, cte_type=kind, utf8=utf8, refold_source="none"
        )
    else:
        chosen = message.policy.clone(linesep="\r\n", cte_type=kind)
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=chosen).flatten(message)
    return out.getvalue()


class _Given(NamedTuple):
    """A list of addresses as it stands in the message: the name of its field in lower case, and its value."""

    name: str
    value: str
    boxes: Sequence[Mailbox]


def _addressed(header: Header, given: Sequence[_Given], *, utf8: bool) -> Header:
    """The header with each list of addresses as it was given, where `email` made another one of it.

    Until 3.13.1 it loses the quotes of long names; it quotes a quoted local part once more, and writes
    a domain as it came. A name may come several times, as in the blocks of RFC 5322 3.6.6.
    """
    left = {name: iter([each for each in given if each.name == name]) for name in ADDRESSES}
    fields = []
    for field in header.fields:
        was = next(left.get(field.name, iter(())), None)
        if was and was.boxes and " ".join(field.value.split()) != " ".join(was.value.split()):
            line = f"{field.raw.partition(b':')[0].decode()}: {mailbox_list(was.boxes, utf8=utf8)}".encode()
            field = Field(field.name, fold(line, addresses=True, most=WISHED) + b"\r\n")
        fields.append(field)
    return Header(tuple(fields))


def _readable(value: str) -> Sequence[Mailbox]:
    try:
        return parse_mailboxes(value)
    except UsageError:  # told where it matters: by `envelope_of`, and by the sender rule
        return ()


def envelope_of(message: Message, reverse_path: str) -> Envelope:
    """The envelope its To, Cc and Bcc fields name; if it was resent, the Resent-To, Resent-Cc, Resent-Bcc.

    Raises `UsageError` if they name nobody.
    """
    fields = [(name.lower(), value) for name, value in message.raw_items()]
    places = naming_recipients([name for name, _ in fields])
    boxes = [box for place in places for box in _mailboxes(fields[place][1])]
    return Envelope.of(reverse_path, [box.address for box in boxes])


def author_of(message: Message) -> str:
    """The address in From, or ``""`` when there is none to read; that of who resent it, if somebody did."""
    for name in ("resent-from", "from"):
        for given, value in message.raw_items():
            if given.lower() == name and (boxes := _readable(_as_utf8(_unfold(str(value))))):
                return boxes[0].address
    return ""


def _mailboxes(value: object) -> Sequence[Mailbox]:
    return parse_mailboxes(_as_utf8(_unfold(str(value))))


def _as_utf8(text: str) -> str:
    """With the octets above 127 that a parser has kept (RFC 6532 3.2), unless they are no UTF-8."""
    try:
        return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        return text


def _without_unsent(message: Message) -> Message:
    if not any(name in message for name in NOT_SENT):
        return message
    duplicate = copy.copy(message)
    for name in NOT_SENT:
        del duplicate[name]  # replaces its list of fields, so that the caller's message keeps it
    return duplicate


def _unfold(value: str) -> str:
    """A field value without its folds; a line end that is no fold stays, and is refused later."""
    return _FOLD.sub("", value).replace("\t", " ")
