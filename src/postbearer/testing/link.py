"""The server's end of a TCP connection, with a receive buffer of its own, for the reason `stream` gives."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

_HIGH = 256 * 1024


class Link(asyncio.Protocol):
    """What a server reads from and writes to. `serve` is started once, when the client has connected."""

    def __init__(self, serve: Callable[[Link], Awaitable[None]]) -> None:
        self._serve = serve
        self._task: asyncio.Task[None] | None = None
        self._buffer = bytearray()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = False
        self._transport: asyncio.Transport | None = None
        self.received = 0

    # What asyncio calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._task is None:
            self._task = asyncio.ensure_future(self._serve(self))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self.received += len(data)
        self._readable.set()
        if len(self._buffer) > _HIGH:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What a server uses ---------------------------------------------------------------------

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @property
    def tls(self) -> bool:
        return self.transport.get_extra_info("ssl_object") is not None

    async def read(self) -> bytes:
        """What has come; ``b""`` at the end."""
        while not self._buffer and not self._ended:
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._buffer)
        self._buffer.clear()
        if not self._ended:
            self.transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if data and not self._ended:
            self.transport.write(data)
            await self._writable.wait()

    async def start_tls(self, context: ssl.SSLContext) -> bool:
        """Encrypt from here on; False, and closed, if plaintext lies in front of TLS or it fails."""
        if self._buffer or self._ended:
            self.abort()
            return False
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self.transport, self, context, server_side=True, ssl_handshake_timeout=30
            )
        except OSError:
            self.abort()
            return False
        self._transport = cast(asyncio.Transport, transport)
        return True

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def _end(self) -> None:
        self._ended = True
        self._readable.set()
        self._writable.set()
