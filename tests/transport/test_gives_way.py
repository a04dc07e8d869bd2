"""Content that takes time to be made, as what is converted does, holds up nobody else while it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from postbearer.testing import Expect, ExpectContent, ExpectOctets, conversation, lines
from postbearer.testing.stream import Step
from postbearer.transport.transaction import CHUNK
from support.provider import envelope, opened, with_provider

PIECES = 6


class Laborious:
    """Notes how often the rest of the program had its turn before each piece was asked for."""

    size, eight_bit, binary = CHUNK * PIECES, False, False

    def __init__(self) -> None:
        self.turns = 0
        self.seen: list[int] = []

    async def others(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    def blocks(self, size: int = 65536) -> Iterator[bytes]:
        for _ in range(PIECES):
            self.seen.append(self.turns)
            yield b"0123456789abcd\r\n" * (CHUNK // 16)


def by_dot() -> list[Step]:
    return conversation(
        [Expect("MAIL"), Expect("RCPT"), Expect("DATA")],
        lines("250 ok", "250 ok", "354 go"),
        ExpectContent(),
        lines("250 ok"),
    )


def by_chunks() -> list[Step]:
    chunk = [Expect(f"BDAT {CHUNK}"), ExpectOctets(CHUNK), lines("250 ok")]
    return conversation([Expect("MAIL"), Expect("RCPT")], lines("250 ok", "250 ok"), chunk * PIECES)


@pytest.mark.parametrize(
    ("offered", "script"), [(("PIPELINING",), by_dot()), (("PIPELINING", "CHUNKING"), by_chunks())]
)
async def test_others_have_their_turn_between_two_pieces(
    offered: tuple[str, ...], script: list[Step]
) -> None:
    provider = with_provider(conversation(opened(*offered), script))
    content = Laborious()
    others = asyncio.create_task(content.others())
    receipt = await provider.deliver(envelope(), content)
    others.cancel()
    assert receipt.delivered
    assert len(content.seen) == PIECES
    behind = content.seen[2:]  # one piece is made ahead
    assert behind == sorted(set(behind)), content.seen
