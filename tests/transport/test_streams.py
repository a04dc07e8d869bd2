"""The stream over real sockets: its own buffer, its ends, its limits."""

from __future__ import annotations

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from postbearer.errors import ConnectFailed, Disconnected, RemoteProtocolError, TimedOut
from postbearer.transport import connect
from postbearer.transport.stream import TcpStream
from support.listening import Handler, listening


@asynccontextmanager
async def connected(handler: Handler) -> AsyncIterator[TcpStream]:
    async with listening(handler) as port:
        stream = await connect("127.0.0.1", port, timeout=5)
        try:
            yield stream
        finally:
            await stream.close()


async def test_what_came_is_read_before_the_end_is_told() -> None:
    async def farewell(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"421 closing\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with connected(farewell) as stream:
        assert await stream.read("mail", 5) == b"421 closing\r\n"
        with pytest.raises(Disconnected) as caught:
            await stream.read("mail", 5)
        assert caught.value.stage == "mail"
        assert not stream.quiet
        with pytest.raises(Disconnected, match="MAIL"):
            await stream.write(b"x", "mail", 1)


async def test_no_more_is_read_than_was_asked_for() -> None:
    async def greet(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"abcdef")
        await reader.read()

    async with connected(greet) as stream:
        assert await stream.read("conn", 5, 2) == b"ab"
        assert not stream.quiet
        assert await stream.read("conn", 5) == b"cdef"
        assert stream.quiet


async def test_silence_is_a_timeout_that_names_its_stage() -> None:
    async def silent(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()

    async with connected(silent) as stream:
        with pytest.raises(TimedOut, match="RCPT") as caught:
            await stream.read("rcpt", 0.01)
        assert caught.value.stage == "rcpt"


async def test_who_does_not_greet_may_wait_for_tls() -> None:
    async def silent(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async with connected(silent) as stream:
        with pytest.raises(TimedOut, match=r'its greeting.*set tls = "implicit"'):
            await stream.read("conn", 0.01)
        await stream.write(b"x", "conn", 1)
        with pytest.raises(Disconnected, match=r'its greeting.*set tls = "implicit"'):
            await stream.read("conn", 5)


async def test_full_windows_on_both_sides_do_not_block_each_other() -> None:
    """The peer answers every line and does not read on before its answer is taken."""
    line, answer = b"x" * 1000, b"y" * 1000
    count = 3000

    async def echo(reader: StreamReader, writer: StreamWriter) -> None:
        for _ in range(count):
            await reader.readexactly(len(line))
            writer.write(answer)
            await writer.drain()
        writer.write_eof()
        await reader.read()

    async with connected(echo) as stream:
        await stream.write(line * count, "data", 10)
        data = b""
        while len(data) < count * len(answer):
            data += await stream.read("data", 10)
        assert data == answer * count


async def test_a_peer_that_does_not_read_holds_us_up() -> None:
    async def stubborn(reader: StreamReader, writer: StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with connected(stubborn) as stream:
        with pytest.raises(TimedOut):
            await stream.write(b"x" * 100_000_000, "data", 0.05)


async def test_what_is_received_unasked_is_bounded() -> None:
    async def flood(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with connected(flood) as stream:
        await asyncio.wait_for(_buffer_stops_growing(stream), 5)


async def _buffer_stops_growing(stream: TcpStream) -> None:
    size = -1
    while size != (size := len(stream._receiver.buffer)) or not size:
        for _ in range(20):
            await asyncio.sleep(0)
    assert size < 1_000_000


async def test_tls_does_not_start_over_plain_text() -> None:
    async def inject(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"220 go\r\n250 injected\r\n")
        await reader.read()

    async with connected(inject) as stream:
        assert await stream.read("tls", 5, 8) == b"220 go\r\n"
        with pytest.raises(RemoteProtocolError, match="14 octets in front of TLS"):
            await stream.start_tls(ssl.create_default_context(), "localhost", 5)
        assert stream.tls is None
        with pytest.raises(Disconnected):
            await stream.write(b"x", "auth", 1)


async def test_tls_in_the_middle_of_a_connection() -> None:
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)

    async def upgrade(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"220 go\r\n")
        await writer.start_tls(theirs)
        writer.write(b"safe " + await reader.readexactly(5))
        await reader.read()

    async with connected(upgrade) as stream:
        await stream.read("tls", 5)
        await stream.start_tls(ours, "localhost", 5)
        assert stream.tls is not None
        assert stream.tls.version == "TLSv1.3"
        await stream.write(b"hello", "ehlo", 5)
        assert await stream.read("ehlo", 5) == b"safe hello"


async def test_nobody_listens() -> None:
    async def nothing(reader: StreamReader, writer: StreamWriter) -> None: ...

    async with listening(nothing) as port:
        pass
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{port}"):
        await connect("127.0.0.1", port, timeout=5)


async def test_closing_twice_is_no_error() -> None:
    async def nothing(reader: StreamReader, writer: StreamWriter) -> None: ...

    async with connected(nothing) as stream:
        await stream.close()
        await stream.close()


@pytest.mark.parametrize("closers", [1, 2])
@pytest.mark.parametrize("first", ["peer", "we"])
async def test_an_encrypted_connection_is_closed_whoever_began_with_it(first: str, closers: int) -> None:
    ca = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(theirs)
    ours = ssl.create_default_context()
    ca.configure_trust(ours)

    async def peer(reader: StreamReader, writer: StreamWriter) -> None:
        await writer.start_tls(theirs)
        if first == "peer":
            writer.close()
        else:
            await reader.read()

    async with listening(peer) as port:
        stream = await connect("127.0.0.1", port, timeout=5)
        await stream.start_tls(ours, "localhost", 5)
        while first == "peer" and stream.quiet:  # noqa: ASYNC110 - no event tells what TLS alone knows yet
            await asyncio.sleep(0)
        await asyncio.gather(*(stream.close() for _ in range(closers)))
        with pytest.raises(Disconnected):
            await stream.read("ehlo", 5)
