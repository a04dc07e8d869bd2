"""Header fields in ASCII, for servers and for mail that nobody declared as internationalised.

Text becomes encoded words (RFC 2047), a parameter is written as RFC 2231 says, a domain goes in A-labels
(RFC 5890). Nothing does that for the local part of an address (RFC 6531 3.2).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from email.errors import MessageError
from email.header import decode_header, make_header
from urllib.parse import quote

from postbearer.address import Address
from postbearer.errors import UsageError
from postbearer.message.fields import Field
from postbearer.message.folding import WISHED, fold
from postbearer.message.mailboxes import Mailbox, parse_mailboxes

ADDRESSES = frozenset(
    prefix + name for prefix in ("", "resent-") for name in ("from", "sender", "to", "cc", "bcc", "reply-to")
)
_LONGEST_WORD = 75  # RFC 2047 2
_SECTION = 60  # octets of a parameter's value before it goes on in another section, RFC 2231 3
_LONGEST_VALUE = 900  # octets of one that stands on a line by itself
_ESCAPED = r"\\\g<0>"
_SPECIAL = re.compile(r'["\\]')
_PARAMETER = re.compile(r"""(;\s*)([!#$%&+\-^_`{}|~.\w]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"\s]+)""", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PAIR = re.compile(r"\\(.)")
_ENCODED = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=")
# Blanks that only Unicode knows are text like any other, and no fold.
_TOKEN = re.compile(r"""[^\s"(),.:;<>@\[\\\]]+""", re.ASCII)


def decoded(text: str) -> str:
    """The text that the encoded words in `text` stand for; as it is, where they stand for none."""
    try:
        return str(make_header(decode_header(text)))
    except (MessageError, LookupError, ValueError):  # as `email` fails
        return text


def ascii_field(field: Field) -> Field:
    """`field` without an octet above 127; the same object if it has none.

    Raises `UsageError` for an address that only SMTPUTF8 can carry.
    """
    if field.raw.isascii():
        return field
    name, text = field.raw.partition(b":")[0], field.value
    if field.name in ADDRESSES:
        written = _addresses(text)
    elif field.name.startswith("content-"):
        written = _TOKEN.sub(_token, _PARAMETER.sub(_parameter, text))
    else:
        written = encoded_text(text)
    head = name.decode("ascii", "replace").rstrip(" \t").replace("\ufffd", "?")
    line = f"{head}: {written}".encode("ascii")
    return Field(field.name, fold(line, addresses=field.name in ADDRESSES, most=WISHED) + b"\r\n")


def encoded_text(text: str) -> str:
    """Free text: from the first word that needs it to the last, with the blanks between."""
    if text.isascii():
        return text
    words = text.split(" ")
    needing = [place for place, word in enumerate(words) if not word.isascii() or _looks_encoded(word)]
    first, last = needing[0], needing[-1] + 1
    before, needed, after = words[:first], " ".join(words[first:last]), words[last:]
    if before and _ENCODED.fullmatch(
        before[-1]
    ):  # blanks between two encoded words do not count (RFC 2047 6.2)
        needed = f" {needed}"
    if after and _ENCODED.fullmatch(after[0]):
        needed = f"{needed} "
    return " ".join([*before, encoded(needed), *after])


def _looks_encoded(word: str) -> bool:
    """Whether `word` is no encoded word, and some reader may take it for one or for a part of one."""
    return ("=?" in word or "?=" in word) and not _ENCODED.fullmatch(word)


def encoded(text: str) -> str:
    """All of `text` as encoded words."""
    most = (_LONGEST_WORD - len("=?utf-8?b??=")) // 4 * 3
    pieces: list[bytes] = []
    for octets in (char.encode() for char in text):
        if pieces and len(pieces[-1]) + len(octets) <= most:
            pieces[-1] += octets
        else:
            pieces.append(octets)
    return " ".join(f"=?utf-8?b?{b64encode(piece).decode()}?=" for piece in pieces)


def mailbox_list(boxes: Iterable[Mailbox], *, utf8: bool = False) -> str:
    """The value of an address field, in ASCII unless `utf8`. Raises `UsageError`."""
    return ", ".join(str(box) if utf8 else _mailbox(box) for box in boxes)


def _addresses(text: str) -> str:
    try:
        boxes = parse_mailboxes(text)
    except UsageError:
        if any(not word.rpartition("@")[0].isascii() for word in re.split(r"[\s<>,;]+", text)):
            raise UsageError(
                f"{text[:80]!r} is not in ASCII, and not a list of addresses.", status="5.6.7"
            ) from None
        return _TOKEN.sub(_token, text)
    return mailbox_list(boxes)


def _mailbox(box: Mailbox) -> str:
    address = Address.parse(box.address)
    if not address.local.isascii():
        raise UsageError(
            f"The address {box.address} in the header is not ASCII before the @: it needs SMTPUTF8.",
            hint="Use an address in ASCII, or a server that offers SMTPUTF8.",
            status="5.6.7",
        )
    if not address.domain.isascii():
        address = address.with_ascii_domain()
    display = box.display
    if not display.isascii():
        quoted = '"' in display  # what is in quotes may hold what may not stand beside an encoded word
        display = encoded(_QUOTED.sub(_unquoted, display)) if quoted else encoded_text(display)
    return str(Mailbox(display, str(address)))


def _token(found: re.Match[str]) -> str:
    return found[0] if found[0].isascii() else encoded(found[0])


def _unquoted(found: re.Match[str]) -> str:
    return _PAIR.sub(r"\1", found[1])


def parameter(name: str, value: str) -> str:
    """A parameter with its value: in quotes where all readers find the same in it, else by RFC 2231."""
    if value.isascii() and len(value) <= _LONGEST_VALUE and "=?" not in value:
        return f'{name}="{_SPECIAL.sub(_ESCAPED, value)}"'
    return _extended(name, value)


def _parameter(found: re.Match[str]) -> str:
    before, name, value = found.groups()
    if value.isascii():
        return found[0]
    return before + _extended(name, _PAIR.sub(r"\1", value[1:-1]) if value[:1] == '"' else value)


def _extended(name: str, value: str) -> str:
    octets = value.encode()
    if len(octets) <= _SECTION:
        return f"{name}*=utf-8''{quote(octets, safe='')}"
    written = []
    for number, start in enumerate(range(0, len(octets), _SECTION)):
        opening = "utf-8''" if not number else ""
        written.append(f"{name}*{number}*={opening}{quote(octets[start : start + _SECTION], safe='')}")
    return "; ".join(written)
