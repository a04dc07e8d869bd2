"""Content on its way into a spool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

BLOCK = 64 * 1024  # octets handed out at a time, unless asked otherwise


class Staging(Protocol):
    """Content on its way in: kept, hashed and measured as it comes, invisible until it is accepted."""

    async def write(self, data: bytes) -> None:
        """Append octets. Raises `StoreFull` or another `StoreError`."""
        ...

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str:
        """Hex digest of all that was written."""
        ...

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """What was written so far, from the start; no network is waited for. Raises `StoreError`."""
        ...

    async def discard(self) -> None:
        """Forget it. Does nothing once it was accepted."""
        ...
