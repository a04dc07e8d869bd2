"""The listener the browser comes back to: whatever else connects gets a short answer, and changes nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from postbearer.cli.loopback import CONNECTIONS, HEAD, RedirectListener, bound
from postbearer.errors import GrantRefused, UsageError
from postbearer.oauth import RedirectReader
from postbearer.secret import Secret

GOOD = b"GET /?state=s&code=c HTTP/1.1\r\nHost: x\r\n\r\n"
ELSEWHERE = b"GET /elsewhere HTTP/1.1\r\n\r\n"


class Listening:
    """A listener that runs, and ways to talk to it."""

    def __init__(self, patience: float) -> None:
        listener, uri = bound("http://127.0.0.1", 0)
        self._port = int(uri.rpartition(":")[2])
        self.warned: list[GrantRefused] = []
        reader = RedirectReader(Secret("s"), "https://login.example.org/authorize", account="alerts")
        self.listener = RedirectListener(listener, "/", reader, self.warned.append, patience)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, request: bytes) -> str:
        """The answer to these octets, to the end of the connection."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return (await reader.read()).decode()
        except ConnectionError:
            return ""
        finally:
            writer.close()


@asynccontextmanager
async def listening(patience: float = 30.0) -> AsyncIterator[Listening]:
    made = Listening(patience)
    async with made.listener:
        yield made


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", "400 Bad Request"),  # TLS
        (b"GET /\r\n\r\n", "400 Bad Request"),
        (b"GET / SMTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"GET http://[ HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"GET /favicon.ico HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"GET //?state=s&code=c HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"POST /?state=s&code=c HTTP/1.1\r\ncontent-length: 0\r\n\r\n", "405 Method Not Allowed"),
        (b"HEAD /?state=s&code=c HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"GET /?code=<script> HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"GET /?state=\xff%ff&code=c HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"GET /?" + b"x=y&" * 10_000 + b" HTTP/1.1\r\n\r\n", "400 Bad Request"),
    ],
)
async def test_what_is_no_redirect_is_answered_and_the_right_one_awaited(
    request_: bytes, status: str
) -> None:
    async with listening() as one:
        answer = await one.ask(request_)
        assert answer.startswith(f"HTTP/1.1 {status}\r\n")
        assert "script" not in answer
        good = asyncio.create_task(one.ask(GOOD))
        assert await one.listener.code(30) == Secret("c")
    assert "Signed in" in await good


async def test_a_request_without_end_is_cut_off() -> None:
    async with listening() as one:
        answer = await one.ask(b"GET / HTTP/1.1\r\ncookie: " + b"x" * 3 * HEAD)
    assert answer == "" or answer.startswith("HTTP/1.1 431 ")


async def test_cookies_of_half_the_web_are_no_obstacle() -> None:
    async with listening() as one:
        good = asyncio.create_task(one.ask(GOOD[:-2] + b"cookie: " + b"x" * 50_000 + b"\r\n\r\n"))
        assert await one.listener.code(30) == Secret("c")
    assert "Signed in" in await good


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n"])
async def test_who_says_nothing_more_is_hung_up_on(begun: bytes) -> None:
    async with listening(patience=0.05) as one:
        assert await one.ask(begun) == ""


async def test_more_connections_than_anybody_needs_do_not_turn_the_right_one_away() -> None:
    async with listening() as one:
        held = [await one.connect() for _ in range(2 * CONNECTIONS)]
        good = asyncio.create_task(one.ask(GOOD))
        assert await one.listener.code(30) == Secret("c")
        assert await held[0][0].read() == b""  # who came first gave way
    assert "Signed in" in await good
    for _, writer in held:
        writer.close()


async def test_who_holds_a_connection_open_does_not_delay_the_end() -> None:
    async with listening() as one:
        reader, writer = await one.connect()
        good = asyncio.create_task(one.ask(GOOD))
        await one.listener.code(30)
    assert await reader.read() == b""
    writer.close()
    assert "Signed in" in await good


async def test_a_browser_that_asks_twice_learns_the_same() -> None:
    async with listening() as one:
        twice = [asyncio.create_task(one.ask(GOOD)) for _ in range(2)]
        await one.listener.code(30)
        await one.ask(ELSEWHERE)  # whoever came before it has been heard
    assert all("Signed in" in answer for answer in await asyncio.gather(*twice))


async def test_what_went_wrong_afterwards_is_told_without_its_words() -> None:
    one = Listening(30.0)
    refused = GrantRefused("<b>another</b> has signed in", code="other_user")
    await one.listener.__aenter__()
    asked = asyncio.create_task(one.ask(GOOD))
    await one.listener.code(30)
    await one.listener.__aexit__(GrantRefused, refused, None)
    answer = await asked
    assert "Another user has signed in" in answer
    assert "<b>" not in answer


async def test_who_waits_for_nobody_is_told_what_came_instead() -> None:
    async with listening() as one:
        await one.ask(b"GET /?state=old&code=c HTTP/1.1\r\n\r\n")
        with pytest.raises(
            GrantRefused, match=r"within 0.01 s\. What came: The redirect carries another state"
        ):
            await one.listener.code(0.01)
    assert len(one.warned) == 1


def test_a_port_is_had_or_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} of 127.0.0.1 is taken"):
            bound("http://localhost/back", port)
    listener, uri = bound("http://[::1]/back", 0)
    with listener:
        assert uri == f"http://[::1]:{listener.getsockname()[1]}/back"
