"""Content on its way into a spool in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from postbearer.message import BLOCK, BytesContent


class MemoryStaging:
    """Content that is collected in memory."""

    def __init__(self) -> None:
        self._data = bytearray()

    async def write(self, data: bytes) -> None:
        self._data += data

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()

    @property
    def octets(self) -> bytes:
        return bytes(self._data)

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        return BytesContent(self.octets).blocks(size)

    async def discard(self) -> None:
        self._data.clear()
