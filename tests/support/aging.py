"""A proxy before a database that has its server say that it is of another version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

SAID = b"server_version\0"


@asynccontextmanager
async def another_version(port: int, ours: bytes, theirs: bytes) -> AsyncIterator[int]:
    """The port at which the server at `port` says `theirs` for its version; both have the same length."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above_reader, above = await asyncio.open_connection("127.0.0.1", port)
        talks.add(asyncio.create_task(_copy(reader, above)))
        talks.add(asyncio.create_task(_copy(above_reader, writer, SAID + ours, SAID + theirs)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*talks)


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, old: bytes = b"", new: bytes = b""
) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data.replace(old, new) if old else data)
            await writer.drain()
    writer.close()
