"""The server's end of a connection, with a receive buffer of its own: nothing survives into TLS."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import cast

HIGH = 256 * 1024  # octets buffered before the client has to wait
LINGER = 2.0  # seconds that a client has for its last replies once the connection is closed


def user_of(end: socket.socket) -> int | None:
    """The uid of the process at the other end of a Unix socket, where the system tells."""
    if end.family != getattr(socket, "AF_UNIX", None) or not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


class Link(asyncio.Protocol):
    """What a server reads from and writes to, in one task: `begin`, if given, starts it once connected."""

    def __init__(
        self,
        begin: Callable[[Link], object] | None = None,
        *,
        peer: str = "",
        gather: bool = False,
    ) -> None:
        """`peer`: the address that connected; ``""`` on a Unix socket.

        With `gather`, what is said in one round of the loop is written at the end of it, with what other
        connections say: a program that has many of them is so woken once, and not by each (a sixth more
        messages a second from ten).
        """
        self.peer = peer  # as accepted: of a connection that was reset meanwhile the system knows no more
        self.user: int | None = None  # uid of the process at the other end of a Unix socket
        self._begin = begin
        self._gather = gather
        self._said = b""  # and not written yet
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._ended = False  # no more will come
        self._lost = False  # nor can anything be said
        self._deaf = False  # what comes is dropped
        self._paused = False  # we do not read
        self._choked = False  # the client does not read
        self._waiter: asyncio.Future[None] | None = None
        self._due = 0.0  # until when it waits
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self.tls = False
        self.received = 0  # octets, ever

    # What asyncio calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.tls = transport.get_extra_info("ssl_object") is not None
        end = transport.get_extra_info("socket")
        self.user = None if end is None else user_of(end)
        if self._begin is not None:
            self._begin(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._pieces.append(data)
        self._buffered += len(data)
        self.received += len(data)
        if self._buffered > HIGH and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return not (
            self.tls or self._deaf
        )  # a half-closed client still gets its replies; TLS knows no such thing

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._lost = True
        self._wake()
        if self._alarm is not None:
            self._alarm.cancel()

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self._wake()

    # What a server uses ---------------------------------------------------------------------

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @property
    def waiting(self) -> bool:
        """Whether its task waits for the client to say something."""
        return self._waiter is not None and not self._waiter.done() and not self._choked

    @property
    def lost(self) -> bool:
        """Whether the connection is closed, on both sides."""
        return self._lost

    def take(self) -> bytes:
        """What has come so far."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            if not self._ended:
                self.transport.resume_reading()
        return data

    def put_back(self, data: bytes) -> None:
        """`data` was taken, and is to be read again."""
        if data:
            self._pieces.insert(0, data)
            self._buffered += len(data)

    async def read(self, timeout: float | None = None) -> bytes:
        """What has come; ``b""`` at the end. Raises `TimeoutError` when nothing comes in time."""
        if not self._pieces and not self._ended:
            self._allow(timeout)
            while not self._pieces and not self._ended:
                await self._next_change()
        return self.take()

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        """Send `data`; waits while the client does not read. Raises `TimeoutError`."""
        transport = self._transport
        if not data or transport is None or transport.is_closing():
            return
        if not self._gather:
            transport.write(data)
        elif self._said:
            self._said += data
        else:
            self._said = data
            self._loop.call_soon(self.flush)
        if self._choked:
            self._allow(timeout)
            while self._choked and not self._lost:
                await self._next_change()

    def flush(self) -> None:
        """Write now what was gathered."""
        data, self._said = self._said, b""
        transport = self._transport
        if data and transport is not None and not transport.is_closing():
            transport.write(data)

    def hurry(self) -> None:
        """Acknowledge at once: a client that writes line by line waits for it (RFC 1122 4.2.3.2)."""
        if self.transport.is_closing():  # then the socket is of no use any more, and uvloop raises ValueError
            return
        end = self.transport.get_extra_info("socket")
        if end is not None and hasattr(socket, "TCP_QUICKACK"):
            with suppress(OSError):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    async def start_tls(self, context: ssl.SSLContext, timeout: float = 30.0) -> bool:
        """Encrypt from here on; False, and closed, if plaintext lies in front of TLS or it fails."""
        if self._pieces or self._ended:
            self.abort()
            return False
        self.flush()
        try:
            transport = await self._loop.start_tls(
                self.transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=LINGER,
            )
        except OSError:
            self.abort()
            return False
        self._transport = cast(asyncio.Transport, transport)
        self.tls = True
        return True

    def close(self, last: bytes = b"", *, linger: bool = False) -> None:
        """Send `last` and close, within `LINGER` seconds.

        With `linger`, what the client still sends is waited for, and dropped: octets that nobody took make
        the system reset the connection, and a reply that was on its way is lost (RFC 9293 3.10.4).
        """
        if self.transport.is_closing() or self._deaf:
            return
        self.flush()
        if last:
            self.transport.write(last)
        if linger and not self._ended and self.transport.can_write_eof():
            self._deaf = True
            self.take()
            self.transport.write_eof()
        else:
            self.transport.close()
        if self._deaf or self.transport.get_write_buffer_size():
            self._loop.call_later(LINGER, self.transport.abort)

    async def gone(self) -> None:
        """Wait until the connection is no more; `close` sees to that."""
        self._allow(None)
        while not self._lost:
            await self._next_change()

    def abort(self) -> None:
        self.transport.abort()

    # Waiting: one timer for a connection, that looks when it rings whether it is time already -----

    def _allow(self, timeout: float | None) -> None:
        """What is waited for from here on may take `timeout` seconds."""
        self._due = math.inf if timeout is None else self._loop.time() + timeout
        if timeout is not None and (self._alarm is None or self._due < self._alarm_at):
            self._set_alarm(self._due)

    def _next_change(self) -> asyncio.Future[None]:
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done() or self._due == math.inf:
            return
        if self._loop.time() < self._due:
            self._set_alarm(self._due)
        else:
            self._waiter.set_exception(TimeoutError())
