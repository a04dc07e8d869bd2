"""A connection that is gone: what was known of it stays known, and nothing that is left to do to it fails."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from postbearer.serving.link import Link

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
RESET = struct.pack("ii", 1, 0)


async def gone(kind: str, folder: Path, by: Callable[[Link], object]) -> Link:
    """A link whose client was there, and has left with a reset; `by` ends our side."""
    loop = asyncio.get_running_loop()
    begun: asyncio.Future[Link] = loop.create_future()
    if kind == "tcp":
        server = await loop.create_server(lambda: Link(begun.set_result), "127.0.0.1", 0)
        end = socket.create_connection(server.sockets[0].getsockname())
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    else:
        server = await loop.create_unix_server(lambda: Link(begun.set_result), folder / "s")
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(folder / "s"))
    end.sendall(b"x")
    end.close()
    link = await begun
    by(link)
    await link.gone()
    server.close()
    return link


@pytest.mark.parametrize("ours", ["abort", "close"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_link_that_is_gone_is_harmless(folder: Path, loop: str, kind: str, ours: str) -> None:
    async def look() -> None:
        link = await gone(kind, folder, getattr(Link, ours))
        link.hurry()
        link.flush()
        link.close(b"late")
        link.abort()
        await link.write(b"late", 1.0)
        assert await link.read(1.0) in (b"", b"x")
        assert link.user == (os.getuid() if kind == "unix" else None)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(look())
