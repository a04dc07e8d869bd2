"""Content on its way into a spool."""

from __future__ import annotations

from typing import Protocol


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

    async def discard(self) -> None:
        """Forget it. Does nothing once it was accepted."""
        ...
