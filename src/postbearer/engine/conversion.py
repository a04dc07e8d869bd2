"""Whether content that no server takes as it is can be mended: told before it is accepted, if known."""

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


async def mended_size(staging: Staging, traits: Traits, *, eight_bit: bool = True) -> int:
    """Octets that it has as it leaves. Raises `UsageError`, with a status, if it cannot be mended.

    Without `eight_bit` some server it goes to is known to take none.
    """
    if not traits.binary and (eight_bit or not traits.eight_bit):
        return traits.size
    conversion = Conversion(StagedContent(staging, traits), eight_bit=eight_bit, utf8=eight_bit)
    for _ in conversion.look():
        await asyncio.sleep(0)  # other messages go on meanwhile
    return max(traits.size, conversion.content.size)
