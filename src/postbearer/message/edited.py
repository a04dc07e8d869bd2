"""Stored content with another header in front: the body streams by untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from postbearer.message.content import BLOCK, Content
from postbearer.message.fields import Header, ParsedHeader
from postbearer.message.header_section import HeaderReader


def read_header(content: Content) -> Header:
    """The header section at the front of `content`. Raises `UsageError` for one nobody may send."""
    return Header.of(_read(content)[0])


def edit(content: Content, change: Callable[[Header], Header], parsed: ParsedHeader | None = None) -> Content:
    """`content` with its header put through `change`, and an empty line behind it unless nothing is.

    The same object when that changes no octet. Raises `UsageError` for a header nobody may send. With the
    header `parsed`, as somebody has read it at the front of this content, it is not read again.
    """
    head = b""
    if parsed is None:
        reader, head = _read(content)
        parsed = ParsedHeader.of(reader)
    after = bytes(change(parsed.header))
    alone = parsed.body == content.size and not parsed.parted
    before = after if alone else after + b"\r\n"
    return content if head == before else Edited(before, content, parsed.body)


def _read(content: Content) -> tuple[HeaderReader, bytes]:
    """What reads the header, at its end, and the octets in front of the body."""
    reader = HeaderReader()
    blocks = []
    for block in content.blocks():
        blocks.append(block)
        if reader.feed(block):
            break
    reader.finish()
    return reader, b"".join(blocks)[: reader.body]


class Edited:
    """A `Content`: `head`, then what `content` holds from octet `skip` on."""

    def __init__(self, head: bytes, content: Content, skip: int) -> None:
        self._head = head
        self._content = content
        self._skip = skip
        self.size = len(head) + content.size - skip
        self.eight_bit = content.eight_bit or not head.isascii()
        self.binary = content.binary

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        yield self._head
        skip = self._skip
        for block in self._content.blocks(size):
            if skip < len(block):
                yield block[skip:] if skip else block
            skip = max(0, skip - len(block))
