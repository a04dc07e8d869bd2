"""What of a message has to be written otherwise for a server, by what that offers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from postbearer.envelope import Envelope
from postbearer.errors import UsageError
from postbearer.message import Content, Conversion
from postbearer.wire import Extensions


async def fitted(envelope: Envelope, content: Content, offered: Extensions) -> tuple[Envelope, Content]:
    """Envelope and content as this server takes them. Raises `UsageError`, with a status, if it cannot.

    UTF-8 stands in the header only where the envelope says so (RFC 6531 3.1): else the header is written in
    ASCII, or, if that is not possible, the envelope is made to say it.
    """
    utf8 = envelope.needs_smtputf8 and offered.smtputf8
    as_binary = envelope.body == "BINARYMIME" and takes_binary(offered)
    if not (
        (content.binary and not as_binary)
        or (content.eight_bit and not offered.eightbitmime)
        or (content.eight_bit and not utf8 and _header_eight_bit(content))
    ):
        return envelope, content
    try:
        return envelope, await _converted(content, offered, utf8=utf8)
    except UsageError as error:
        if utf8 or not offered.smtputf8 or not content.eight_bit:
            raise
        try:
            return replace(envelope, smtputf8=True), await _converted(content, offered, utf8=True)
        except UsageError:
            raise error from None


def takes_binary(offered: Extensions) -> bool:
    """Whether content may be anything: BODY= comes with 8BITMIME (RFC 3030 3)."""
    return offered.binarymime and offered.chunking and offered.eightbitmime


async def _converted(content: Content, offered: Extensions, *, utf8: bool) -> Content:
    conversion = Conversion(content, eight_bit=offered.eightbitmime, utf8=utf8)
    for _ in conversion.look():
        await asyncio.sleep(0)  # other messages go on meanwhile
    return conversion.content


def _header_eight_bit(content: Content) -> bool:
    header = b""
    for block in content.blocks():
        header += block
        head, end, _ = header.partition(b"\r\n\r\n")
        if end:
            return not head.isascii()
    return not header.isascii()
