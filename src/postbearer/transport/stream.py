"""A connection as five operations, and TCP with TLS behind them.

The receive buffer is our own. `asyncio.StreamWriter.start_tls` leaves plaintext that came behind the
answer to STARTTLS in its reader, where it looks like the first words of the encrypted connection
(CVE-2011-0411 and its many children); here a single octet in front of TLS ends the connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

from postbearer.address import ascii_domain
from postbearer.errors import ConnectFailed, Disconnected, NetworkError, RemoteProtocolError, TimedOut
from postbearer.transport.tls import Certificate, tls_failure

READ = 65536
RECEIVE_HIGH = 65536  # above it the peer must wait for us to read …
RECEIVE_MOST = 4 * 1024 * 1024  # … but not while our own write waits for the peer; this is where it ends
SEND_HIGH = 512 * 1024  # a message sent in one flight never waits here; more content meets back-pressure
WAITING = {  # the phases that the verdicts know, in words
    "conn": "for its greeting",
    "tls": "for TLS",
    "ehlo": "for the answer to EHLO",
    "auth": "for the answer to AUTH",
    "mail": "for the answer to MAIL",
    "rcpt": "for the answer to RCPT",
    "data": "to send the content",
    "eod": "for the answer to the content",
}
HAPPY_EYEBALLS = 0.25  # seconds until the next address is tried beside the first (RFC 8305 5)
CLOSING = 1.0  # seconds for a polite end of TLS before the connection is cut


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """TLS is up, and the certificate was verified for `name`."""

    version: str
    cipher: str
    name: str
    certificate: Certificate | None = None


class Stream(Protocol):
    """Bytes to and from one peer. `stage` is the phase, as the verdicts name it, that errors will tell."""

    @property
    def tls(self) -> TlsInfo | None:
        """What protects the connection; None while nothing does."""
        ...

    @property
    def quiet(self) -> bool:
        """True while the connection stands and nothing unread has come: what an idle one must be."""
        ...

    async def read(self, stage: str, timeout: float, limit: int = READ) -> bytes:
        """At least one and at most `limit` octets.

        Raises `TimedOut`, or `Disconnected` at the end of the stream, after all that came was read.
        """
        ...

    async def write(self, data: bytes, stage: str, timeout: float) -> None:
        """Take `data` and send it; waits only while too much is still unsent.

        Raises `TimedOut` or `Disconnected`; then at least the end of `data` never left.
        """
        ...

    async def start_tls(self, context: ssl.SSLContext, name: str, timeout: float) -> None:
        """Encrypt from here on, the peer being `name` by its certificate.

        Raises `TlsFailed`, `TimedOut`, or `RemoteProtocolError` if anything was received in front of TLS.
        """
        ...

    async def close(self) -> None:
        """End the connection. Never raises; may be called again."""
        ...


class _Receiver(asyncio.BufferedProtocol):
    """Collects what comes and wakes whoever waits: one at a time, for something to read or room to write."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.buffer = bytearray()
        self.ended = False
        self.writable = True
        self.closed = self._loop.create_future()
        self.transport: asyncio.Transport | None = None
        self.error: Exception | None = None  # why the connection ended, if the system knows
        self._arriving = memoryview(bytearray(READ))
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._due = 0.0  # when the wait under way is over, on the loop's clock
        self._alarm: asyncio.TimerHandle | None = None  # left from one wait to the next, which is cheap
        self._alarm_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._arriving

    def buffer_updated(self, nbytes: int) -> None:
        self.buffer += self._arriving[:nbytes]
        self._wake()
        if len(self.buffer) > RECEIVE_MOST:
            self._transport.abort()
        elif len(self.buffer) > RECEIVE_HIGH and self.writable:
            self._pause()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.writable = True
        self._end()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        # Both windows may be full now; whoever waits must go on reading or nobody ever moves.
        self.writable = False
        self._resume()

    def resume_writing(self) -> None:
        self.writable = True
        self._wake()

    def allow(self, seconds: float) -> None:
        """What is waited for from here on may take so long; then `next_change` raises `TimeoutError`."""
        self._due = self._loop.time() + seconds
        if self._alarm is None or self._alarm_at > self._due:
            self._set_alarm()

    def next_change(self) -> asyncio.Future[None]:
        """Done when something came, or can be written, or the connection ended."""
        self._waiter = self._loop.create_future()
        return self._waiter

    def take(self, limit: int) -> bytes:
        data = bytes(self.buffer[:limit])
        del self.buffer[:limit]
        if self._paused and len(self.buffer) <= RECEIVE_HIGH:
            self._resume()
        return data

    @property
    def _transport(self) -> asyncio.Transport:
        assert self.transport is not None
        return self.transport

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = self._loop.call_at(self._due, self._ring), self._due

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done():
            return
        if self._alarm_at < self._due:  # it was set for a wait that is over
            self._set_alarm()
        else:
            self._waiter.set_exception(TimeoutError())

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _end(self) -> None:
        self.ended = True
        self._wake()


class TcpStream:
    """A `Stream` over one TCP connection. `peer` names the far end in errors (``host:port``)."""

    def __init__(self, receiver: _Receiver, peer: str) -> None:
        self._receiver = receiver
        self._peer = peer
        self._tls: TlsInfo | None = None
        assert receiver.transport is not None, "it is connected"
        self._transport = receiver.transport
        self._prepare()

    @property
    def tls(self) -> TlsInfo | None:
        return self._tls

    @property
    def quiet(self) -> bool:
        return not (self._receiver.buffer or self._receiver.ended or self._transport.is_closing())

    async def read(self, stage: str, timeout: float, limit: int = READ) -> bytes:
        receiver = self._receiver
        if not (receiver.buffer or receiver.ended):
            receiver.allow(timeout)
            try:
                while not (receiver.buffer or receiver.ended):
                    await receiver.next_change()
            except TimeoutError:
                raise self._timed_out(stage, timeout) from None
        if not receiver.buffer:
            raise self._disconnected(stage)
        return receiver.take(limit)

    async def write(self, data: bytes, stage: str, timeout: float) -> None:
        if self._receiver.ended or self._transport.is_closing():
            raise self._disconnected(stage)
        self._transport.write(data)
        if not self._receiver.writable:
            await self._room(stage, timeout)

    async def _room(self, stage: str, timeout: float) -> None:
        """Wait until more can be written."""
        self._receiver.allow(timeout)
        try:
            while not self._receiver.writable:
                await self._receiver.next_change()
        except TimeoutError:
            raise self._timed_out(stage, timeout) from None
        if self._receiver.ended:
            raise self._disconnected(stage)

    async def start_tls(self, context: ssl.SSLContext, name: str, timeout: float) -> None:
        if self._receiver.buffer:
            await self.close()
            raise RemoteProtocolError(
                f"{self._peer} sent {len(self._receiver.buffer)} octets in front of TLS.",
                hint="Something on the way may be injecting words into the connection.",
            )
        if self._receiver.ended:
            raise self._disconnected("tls")
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport,
                self._receiver,
                context,
                server_hostname=server_name(name),
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=CLOSING,
            )
        except ConnectionAbortedError:  # asyncio's word for ssl_handshake_timeout
            self._abandon()
            raise self._timed_out("tls", timeout) from None
        except (OSError, ssl.CertificateError) as error:
            self._abandon()
            raise tls_failure(error, self._peer, name) from None
        except BaseException:
            self._abandon()
            raise
        self._receiver.transport = self._transport = cast(asyncio.Transport, transport)
        self._tls = _describe(self._transport, name)
        self._prepare()

    async def close(self) -> None:
        if self._receiver.closed.done():
            return
        # A second close, be it behind one that TLS began itself, makes asyncio's TLS transport forget its
        # protocol: abort() raises then (Python 3.11.2), or cuts nothing.
        if not self._transport.is_closing():
            self._transport.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING):
                    await asyncio.shield(self._receiver.closed)
        finally:
            self._transport.abort()

    def _prepare(self) -> None:
        self._transport.set_write_buffer_limits(high=SEND_HIGH)

    def _abandon(self) -> None:
        """After a handshake that failed, asyncio tells our receiver nothing more."""
        self._transport.abort()
        self._receiver.connection_lost(None)

    def _timed_out(self, stage: str, timeout: float) -> TimedOut:
        return TimedOut(
            f"{self._peer} let us wait {timeout:g} s {WAITING[stage]}.",
            host=self._peer,
            stage=stage,
            hint=self._silent(stage),
        )

    def _disconnected(self, stage: str) -> NetworkError:
        error = self._receiver.error
        if isinstance(error, ssl.SSLError):  # TLS 1.3: the peer judges our certificate after the handshake
            return tls_failure(error, self._peer, self._tls.name if self._tls else "")
        return Disconnected(
            f"{self._peer} closed the connection while we waited {WAITING[stage]}.",
            host=self._peer,
            stage=stage,
            hint=self._silent(stage),
        )

    def _silent(self, stage: str) -> str:
        """A server that does not begin may wait for us to begin with TLS, as on port 465."""
        if stage != "conn" or self._tls is not None:
            return ""
        return 'If it speaks TLS from the first octet, as on port 465, set tls = "implicit".'


async def connect(host: str, port: int, *, timeout: float, loopback_only: bool = False) -> TcpStream:
    """Open a TCP connection, trying IPv6 and IPv4 side by side (RFC 8305).

    Raises `ConnectFailed` or `TimedOut`. With `loopback_only` a name that leads off this machine is refused.
    """
    peer = f"{host}:{port}"
    try:
        async with asyncio.timeout(timeout):
            transport, receiver = await asyncio.get_running_loop().create_connection(
                _Receiver, server_name(host), port, **_side_by_side(host)
            )
    except TimeoutError:
        raise TimedOut(f"{peer}: no connection within {timeout:g} s.", host=peer, stage="conn") from None
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(
            f"{peer}: {_plain(error)}.",
            host=peer,
            stage="conn",
            hint="Check the server's name and port, and that outgoing connections to it are allowed.",
        ) from None
    stream = TcpStream(receiver, peer)
    if loopback_only and not ipaddress.ip_address(transport.get_extra_info("peername")[0]).is_loopback:
        await stream.close()
        raise ConnectFailed(
            f"{peer} is not on this machine, and without TLS it must be.", host=peer, stage="conn"
        )
    transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def _side_by_side(host: str) -> dict[str, Any]:
    """How to say it to asyncio; uvloop does not know it and tries one address after the other.

    Not for a literal address, where nothing can race: before Python 3.12.8 a race that is cancelled in
    the moment it is won leaves its socket to the garbage collector.
    """
    own = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    return {"happy_eyeballs_delay": HAPPY_EYEBALLS} if own and not _literal(host) else {}


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def server_name(host: str) -> str:
    """A configured host as DNS and certificates spell it; an address stays as it is."""
    return host if host.isascii() else ascii_domain(host)


def _describe(transport: asyncio.Transport, name: str) -> TlsInfo:
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    cipher = tls.cipher()
    fields = tls.getpeercert()
    certificate = Certificate.read(fields) if fields else None
    return TlsInfo(tls.version() or "", cipher[0] if cipher else "", name, certificate)


def _plain(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name was not found ({error.strerror})"
    # asyncio puts the addresses it tried into these texts; what went wrong is in the numbers.
    numbers = dict.fromkeys(re.findall(r"\[Errno (\d+)\]", str(error)))
    plain = "; ".join(os.strerror(int(number)) for number in numbers)
    return (plain or str(error) or type(error).__name__).rstrip(".")
