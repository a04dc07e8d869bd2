"""Whether content that has lines no server takes can be mended; that is known before it is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from postbearer.message import BLOCK, Conversion, Traits
from postbearer.store import Staging


class StagedContent:
    """What came in so far, as `Content`."""

    def __init__(self, staging: Staging, traits: Traits) -> None:
        self._staging = staging
        self.size, self.eight_bit, self.binary = traits

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        return self._staging.blocks(size)


async def mended_size(staging: Staging, traits: Traits) -> int:
    """Octets that it has as it leaves. Raises `UsageError`, with a status, if it cannot be mended."""
    if not traits.binary:
        return traits.size
    conversion = Conversion(StagedContent(staging, traits), eight_bit=True, utf8=True)
    for _ in conversion.look():
        await asyncio.sleep(0)  # other messages go on meanwhile
    return max(traits.size, conversion.content.size)
