"""MIME parts as they are written: texts, octets, messages within, and several as one (RFC 2045, 2046)."""

from __future__ import annotations

import secrets
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from postbearer.message.encoded_words import parameter
from postbearer.message.folding import WISHED, fold

_BASE64_LINE = 76  # characters, RFC 2045 6.8


class WrittenPart(NamedTuple):
    """Its header fields and its body, both as CRLF lines."""

    fields: bytes
    body: bytes

    def blocks(self) -> Iterator[bytes]:
        yield self.fields
        yield b"\r\n"
        yield self.body


def text_part(text: str, subtype: str) -> WrittenPart:
    """A text in UTF-8, in lines; as it is where every line is short and ASCII, else encoded."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    octets = "\r\n".join([*lines, ""]).encode()
    kind = f'Content-Type: text/{subtype}; charset="utf-8"\r\n'.encode()
    if octets.isascii() and b"\0" not in octets and max(map(len, lines)) <= WISHED:
        return _part(kind, "7bit", octets)
    quoted = b2a_qp(octets)
    if len(quoted) > len(octets) * 4 // 3 + len(octets) // 28:  # what base64 takes, with its line ends
        return _part(kind, "base64", base64(octets))
    return _part(kind, "quoted-printable", quoted)


def octets_part(kind: bytes, octets: bytes, *more: bytes) -> WrittenPart:
    """Octets of any kind; `kind` and `more` are fields."""
    return _part(kind, "base64", base64(octets), *more)


def message_part(octets: bytes, *more: bytes) -> WrittenPart:
    """A message that is 7-bit: it is never encoded (RFC 2046 5.2.1)."""
    return _part(field("Content-Type", "message/rfc822"), "7bit", octets, *more)


def multipart(subtype: str, parts: Sequence[WrittenPart], /, **parameters: str) -> WrittenPart:
    """Several parts as one, between lines that none of them can hold."""
    boundary = f"=_{secrets.token_hex(16)}"  # nobody knew it when they were written (RFC 2046 5.1.1)
    line = f"\r\n--{boundary}".encode()
    blocks = [block for part in parts for block in (line, b"\r\n", *part.blocks())]
    kind = field("Content-Type", f"multipart/{subtype}", boundary=boundary, **parameters)
    return WrittenPart(kind, b"".join([*blocks, line, b"--\r\n"])[2:])


def field(name: str, value: str, /, **parameters: str) -> bytes:
    """A field with parameters, folded."""
    text = "; ".join([f"{name}: {value}", *(parameter(key, each) for key, each in parameters.items())])
    return fold(text.encode("ascii"), most=WISHED) + b"\r\n"


def base64(octets: bytes) -> bytes:
    text = b2a_base64(octets, newline=False)
    lines = [text[start : start + _BASE64_LINE] for start in range(0, len(text), _BASE64_LINE)]
    return b"\r\n".join([*lines, b""])


def _part(kind: bytes, encoding: str, body: bytes, *more: bytes) -> WrittenPart:
    transfer = f"Content-Transfer-Encoding: {encoding}\r\n".encode()
    return WrittenPart(b"".join([kind, transfer, *more]), body)
