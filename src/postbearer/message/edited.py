"""Stored content with another header in front: the body streams by untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from postbearer.errors import UsageError
from postbearer.message.content import Content
from postbearer.message.fields import MAXIMUM_HEADER, Header, split


def read_header(content: Content) -> Header:
    """The header section at the front of `content`. Raises `UsageError` when it is over 1 MiB."""
    return Header.parse(_head(content)[0])


def edit(content: Content, change: Callable[[Header], Header]) -> Content:
    """`content` with its header put through `change`; the same object when nothing changed."""
    section, body = _head(content)
    before = Header.parse(section)
    after = change(before)
    return content if after == before else Edited(bytes(after) + b"\r\n", content, body)


def _head(content: Content) -> tuple[bytes, int]:
    head = b""
    for block in content.blocks():
        head += block
        section, body = split(head)
        if body < len(head) or head.endswith(b"\r\n\r\n"):
            return section, body
        if len(head) > MAXIMUM_HEADER:
            raise UsageError("The header of the message is larger than 1 MiB.")
    return split(head)


class Edited:
    """A `Content`: `head`, then what `content` holds from octet `skip` on."""

    def __init__(self, head: bytes, content: Content, skip: int) -> None:
        self._head = head
        self._content = content
        self._skip = skip
        self.size = len(head) + content.size - skip
        self.eight_bit = content.eight_bit or not head.isascii()
        self.binary = content.binary

    def blocks(self, size: int = 65536) -> Iterator[bytes]:
        yield self._head
        skip = self._skip
        for block in self._content.blocks(size):
            if skip < len(block):
                yield block[skip:] if skip else block
            skip = max(0, skip - len(block))
