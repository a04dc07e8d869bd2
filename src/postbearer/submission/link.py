"""The server's end of a connection, with a receive buffer of its own: nothing survives into TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

HIGH = 256 * 1024  # octets buffered before the client has to wait
SMALL = 4096  # pieces below it come from a client that writes line by line


class Link(asyncio.Protocol):
    """What a server reads from and writes to. `serve` is started once, when the client has connected."""

    def __init__(self, serve: Callable[[Link], Awaitable[None]]) -> None:
        self._serve = serve
        self._task: asyncio.Future[None] | None = None
        self._buffer = bytearray()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = False
        self._paused = False
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
        if len(self._buffer) > HIGH and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._end()
        return self._transport is not None and not self.tls  # a half-closed client still gets its replies

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

    @property
    def peer(self) -> str:
        """The client's address; ``""`` on a Unix socket."""
        name = self.transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def user(self) -> int | None:
        """The uid of the process at the other end of a Unix socket, where the system tells."""
        end = self.transport.get_extra_info("socket")
        if (
            end is None
            or end.family != getattr(socket, "AF_UNIX", None)
            or not hasattr(socket, "SO_PEERCRED")
        ):
            return None
        credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])

    async def read(self, timeout: float | None = None) -> bytes:
        """What has come; ``b""`` at the end. Raises `TimeoutError`."""
        if not self._buffer and not self._ended:
            self._readable.clear()
            if timeout is None:
                await self._readable.wait()
            else:
                async with asyncio.timeout(timeout):
                    await self._readable.wait()
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._paused and not self._ended:
            self._paused = False
            self.transport.resume_reading()
        return data

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """Send `data`; waits while the client does not read. Raises `TimeoutError`."""
        if not data or self.transport.is_closing():
            return
        self.transport.write(data)
        if not self._writable.is_set():
            async with asyncio.timeout(timeout):
                await self._writable.wait()

    def hurry(self) -> None:
        """Acknowledge at once: a client that writes line by line waits for it (RFC 1122 4.2.3.2)."""
        end = self.transport.get_extra_info("socket")
        if end is not None and hasattr(socket, "TCP_QUICKACK"):
            with suppress(OSError):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    async def start_tls(self, context: ssl.SSLContext, timeout: float = 30.0) -> bool:
        """Encrypt from here on; False, and closed, if plaintext lies in front of TLS or it fails."""
        if self._buffer or self._ended:
            self.abort()
            return False
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self.transport, self, context, server_side=True, ssl_handshake_timeout=timeout
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
