"""Messages given as `email.message.Message`, turned into octets safe to send.

Bodies become 7-bit, so that every server takes them (RFC 5322, RFC 2045); only addresses that cannot be
written in ASCII make the header UTF-8 (RFC 6532). What is signed already stays as it is.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from email import policy
from email.errors import MessageError
from email.generator import BytesGenerator
from email.message import Message
from io import BytesIO
from typing import NamedTuple

from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.message.attached import with_messages_unencoded
from postbearer.message.content import BytesContent, Content
from postbearer.message.conversion import SIGNATURES, convert
from postbearer.message.edited import edit
from postbearer.message.encoded_words import ADDRESSES, mailbox_list
from postbearer.message.fields import Field, Header, check_field
from postbearer.message.folding import WISHED, fold
from postbearer.message.mailboxes import Mailbox, parse_mailboxes
from postbearer.message.recipients import NOT_SENT, naming_recipients

_FOLD = re.compile(r"\r?\n(?=[ \t]+[^ \t\r\n])")


def to_bytes(message: Message) -> bytes:
    """The message as CRLF lines, 7-bit, without Bcc and Return-Path; the given object is not changed.

    Raises `UsageError` when a header field of it, or of any part, could smuggle in another one, and
    when it cannot be written at all.
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
