"""Small messages that were accepted a moment ago: most leave before they would have to be read again."""

from __future__ import annotations

from typing import NamedTuple

from postbearer.store.records import Message

MOST = 8 * 1024 * 1024  # octets that are kept
EACH = 2048  # octets that a message needs beside its content …
FIELD = 256  # … and each field of its header
LONGEST = 30.0  # seconds after which one makes room for newer ones


class _Kept(NamedTuple):
    number: int
    content: bytes
    since: float
    size: int


class ContentCache:
    """What is in the file as well. When it is full, those that came first stay, as they are sent first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._size = 0
        self._kept: dict[str, _Kept] = {}  # by id, the oldest first
        self._messages: dict[int, Message] = {}  # also looked at by the writer's thread

    def add(self, number: int, message: Message, content: bytes, now: float) -> None:
        """Keep it, if there is room. `now` is monotonic."""
        header = message.header
        size = (
            len(content) + EACH + (0 if header is None else header.body + FIELD * len(header.header.fields))
        )
        while self._size + size > self._most and self._kept:
            identifier, oldest = next(iter(self._kept.items()))
            if oldest.since > now - LONGEST:
                return
            self.drop(identifier)
        if size <= self._most:
            self._size += size
            self._kept[message.id] = _Kept(number, content, now, size)
            self._messages[number] = message

    def message(self, number: int) -> Message | None:
        """The message with this number, if it is kept."""
        return self._messages.get(number)

    def content(self, identifier: str) -> bytes:
        """Its content; empty if it is not kept."""
        kept = self._kept.get(identifier)
        return kept.content if kept is not None else b""

    def drop(self, identifier: str) -> None:
        """Forget it, if it is kept."""
        kept = self._kept.pop(identifier, None)
        if kept is not None:
            self._size -= kept.size
            del self._messages[kept.number]
