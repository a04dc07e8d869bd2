"""Stored content with another header in front: the body streams by untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from postbearer.message.content import BLOCK, Content
from postbearer.message.fields import Header
from postbearer.message.header_section import HeaderReader
from postbearer.message.parsed import ParsedHeader


def read_header(content: Content) -> Header:
    """The header section at the front of `content`. Raises `UsageError` for one nobody may send."""
    return Header.of(_read(content)[0])


def parse_header(content: Content) -> ParsedHeader:
    """The same, with where the body begins."""
    return ParsedHeader.of(_read(content)[0])


def with_header(content: Content, parsed: ParsedHeader, header: Header) -> Content:
    """`content` with `header` in place of the one that was `parsed` of it, and an empty line behind it.

    There is none where nothing stands behind.
    """
    return Edited(_front(content, parsed, header), content, parsed.body)


def edit(content: Content, change: Callable[[Header], Header]) -> Content:
    """`content` with its header put through `change`.

    The same object when that changes no octet. Raises `UsageError` for a header nobody may send.
    """
    return edit_and_read(content, change)[0]


def edit_and_read(content: Content, change: Callable[[Header], Header]) -> tuple[Content, Header]:
    """The same, with the header that it then has."""
    reader, head = _read(content)
    parsed = ParsedHeader.of(reader)
    header = change(parsed.header)
    front = _front(content, parsed, header)
    return content if head == front else Edited(front, content, parsed.body), header


def _front(content: Content, parsed: ParsedHeader, header: Header) -> bytes:
    alone = parsed.body == content.size and not parsed.parted
    return bytes(header) if alone else bytes(header) + b"\r\n"


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
