"""The last part of a delivery report: the message it is about, or its header (RFC 3461 4.3, RFC 6533)."""

from __future__ import annotations

from base64 import encodebytes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from postbearer.message.content import BytesContent, Content

_LINES = 57 * 1024  # octets that make whole lines of base64


@dataclass(frozen=True, slots=True)
class Part:
    """A MIME part whose content streams by."""

    kind: str
    encoding: Literal["7bit", "8bit", "base64"]
    content: Content

    def blocks(self) -> Iterator[bytes]:
        """Its fields and its octets, encoded."""
        yield f"Content-Type: {self.kind}\r\nContent-Transfer-Encoding: {self.encoding}\r\n\r\n".encode()
        if self.encoding != "base64":
            yield from self.content.blocks()
            return
        for block in self.content.blocks(_LINES):
            yield encodebytes(block).replace(b"\n", b"\r\n")


def whole(content: Content, header: bytes, *, seven_bit: bool) -> Part:
    """The message `content`, whose header section is `header`; `seven_bit`: no 8-bit octet may be sent.

    A message/rfc822 must not be encoded (RFC 2045 6.4); a message/global may (RFC 6532 3.5), and so goes
    everywhere, also where nobody takes internationalised mail, and whatever lines it has.
    """
    if _international(header) or content.binary or (content.eight_bit and seven_bit):
        return Part("message/global", "base64", content)
    return Part("message/rfc822", "8bit" if content.eight_bit else "7bit", content)


def header_only(header: bytes) -> Part:
    """The header section alone; octets that are no text become ``?``."""
    content = BytesContent(header)
    if _international(header) or content.binary:
        return Part("message/global-headers", "base64", content)
    ascii_only = bytes(octet if octet < 0x80 else 0x3F for octet in header)
    return Part("text/rfc822-headers", "7bit", BytesContent(ascii_only))


def _international(header: bytes) -> bool:
    """Whether it is text that only RFC 6532 allows in a header."""
    if header.isascii():
        return False
    try:
        header.decode()
    except UnicodeDecodeError:
        return False
    return True
