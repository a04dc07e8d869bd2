"""A proxy before a database that cuts connections where a test wants it: at a COMMIT, before or behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Cutting:
    """`cut` is what happens to coming COMMITs: "before" it reaches the server, "behind" it, or nothing."""

    def __init__(self, port: int) -> None:
        self.cut: list[str] = []
        self.cuts = 0
        self._target = port
        self.port = 0
        self._serving: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Cutting]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            await asyncio.gather(*self._serving)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            above_reader, above = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        down = asyncio.ensure_future(_copy(above_reader, writer))
        try:
            while data := await reader.read(65536):
                how = self.cut.pop(0) if self.cut and b"COMMIT\0" in data else ""
                if how:
                    self.cuts += 1
                if how == "before":
                    break
                if how == "behind":
                    down.cancel()  # the answer goes nowhere
                above.write(data)
                await above.drain()
                if how == "behind":
                    with suppress(OSError, TimeoutError):
                        await asyncio.wait_for(above_reader.read(65536), 5.0)
                    break
        except OSError:
            pass
        finally:
            down.cancel()
            for each in (writer, above):
                each.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
