"""Attachments of the type ``message/…``, which may not be encoded as other files are (RFC 2046 5.2)."""

from __future__ import annotations

import copy
import re
from email import message_from_bytes, policy
from email.message import Message

from postbearer.errors import UsageError
from postbearer.message.content import LONGEST_LINE, BytesContent
from postbearer.message.conversion import convert

_STATUS = ("delivery-status", "tracking-status")  # `email` keeps these as lists of header blocks


def is_message(octets: bytes) -> bool:
    """Whether octets can be attached as ``message/rfc822``, and arrive as they are.

    UTF-8 in a header is for ``message/global`` (RFC 6532 3.7), which few programs read: better as a file.
    """
    header = octets.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    return header.isascii() and bool(message_from_bytes(octets, policy=policy.SMTP).keys())


def seven_bit_message(octets: bytes) -> bytes | None:
    """Octets as ``message/rfc822`` carries them everywhere; None: they are no message, or cannot go so.

    That is never encoded itself, so its parts are, and none that is signed is changed (RFC 2046 5.2.1).
    """
    if not is_message(octets):
        return None
    lines = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    try:
        made = convert(BytesContent(lines), eight_bit=False, utf8=False)
    except UsageError:
        return None
    return None if made.eight_bit or made.binary else b"".join(made.blocks())


def with_messages_unencoded(message: Message) -> Message:
    """`message` with each attached ``message/…`` as what it is, and not as octets in base64.

    The given object is not changed. Raises `UsageError` for octets that such a type cannot carry.
    """
    if not any(_is_encoded(part) for part in message.walk()):
        return message
    duplicate = copy.deepcopy(message)
    for part in [each for each in duplicate.walk() if _is_encoded(each)]:
        _unencode(part)
    return duplicate


def _is_encoded(part: Message) -> bool:
    """Whether a part is an encoded message; those of RFC 6532 and RFC 6533 may be."""
    if part.get_content_maintype() != "message" or part.is_multipart():
        return False
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    coded = encoding in ("base64", "quoted-printable") or part.get_content_subtype() == "rfc822"
    return coded and not part.get_content_subtype().startswith("global")


def _unencode(part: Message) -> None:
    octets, subtype = part.get_payload(decode=True), part.get_content_subtype()
    assert isinstance(octets, bytes)  # of what is no multipart
    if subtype == "rfc822":
        if not is_message(octets):
            part.set_type("application/octet-stream")
            return
        part.set_payload([message_from_bytes(octets, policy=policy.SMTP)])
    else:
        _refuse_what_needs_encoding(octets, subtype)
        if subtype in _STATUS:
            head = f"Content-Type: message/{subtype}\r\n\r\n".encode()
            part.set_payload(message_from_bytes(head + octets, policy=policy.SMTP).get_payload())
        else:
            part.set_payload(re.sub(r"\r?\n", "\r\n", octets.decode("ascii")))
    del part["Content-Transfer-Encoding"]


def _refuse_what_needs_encoding(octets: bytes, subtype: str) -> None:
    lines = octets.split(b"\n")
    if octets.isascii() and b"\0" not in octets and max(map(len, lines)) <= LONGEST_LINE:
        return
    raise UsageError(
        f"message/{subtype} is never encoded (RFC 2046 5.2), and what is attached so has octets above 127 or "
        f"lines over {LONGEST_LINE} octets.",
        hint="Attach it as application/octet-stream.",
    )
