"""Connections that a proxy makes for others: who is believed, and whom a client is then."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from postbearer.engine import Submitter
from postbearer.events import TurnedAway
from postbearer.submission import Admission
from support.relay import Ears
from support.submitting import Submission, Talk, running

HERE = (ipaddress.ip_network("127.0.0.1"),)
PRINTER = Admission(Submitter(name="printer"), (ipaddress.ip_network("192.0.2.0/24"),))
LINE = b"PROXY TCP4 %s 127.0.0.1 51234 2525\r\n"


@asynccontextmanager
async def proxied(ears: Ears, **options: object) -> AsyncIterator[Submission]:
    given = {"proxies": HERE, "admissions": [PRINTER], "observer": ears, **options}
    async with running(**given) as relay:
        yield relay


async def through(relay: Submission, header: bytes) -> Talk:
    talk = await Talk.open("127.0.0.1", relay.port)
    talk.writer.write(header)
    await talk.writer.drain()
    return talk


async def closed(talk: Talk) -> bool:
    """Whether the relay closes without a word; what it did not read makes that a reset."""
    try:
        return await talk.reader.read() == b""
    except ConnectionError:
        return True


async def test_a_client_is_known_by_its_own_network_and_stands_in_received() -> None:
    async with proxied(Ears()) as relay, await through(relay, LINE % b"192.0.2.9") as talk:
        assert (await talk.reply()).startswith("220 ")
        assert (await talk.deliver()).startswith("250 ")
        (message,) = await relay.messages()
        assert (message.client, "[192.0.2.9]" in message.received) == ("printer", True)


@pytest.mark.parametrize(
    "header",
    [
        LINE % b"198.51.100.1",
        LINE % b"127.0.0.1",  # of the proxy's machine, which need not be ours
        b"PROXY TCP6 ::1 ::1 51234 2525\r\n",
        b"PROXY UNKNOWN\r\n",
        bytes.fromhex("0d0a0d0a000d0a515549540a 20000000"),
    ],
)
async def test_whoever_is_not_named_is_nobody_even_behind_a_proxy_of_this_machine(header: bytes) -> None:
    async with proxied(Ears()) as relay, await through(relay, header) as talk:
        assert (await talk.reply()).startswith("220 ")
        assert (await talk.say("EHLO a.example.org")).startswith("250")
        assert (await talk.say("MAIL FROM:<app@example.org>"))[:3] in ("530", "550")
    assert await relay.messages() == []


async def test_a_header_of_a_stranger_closes_the_connection() -> None:
    ears = Ears()
    other = (ipaddress.ip_network("192.0.2.1"),)
    async with proxied(ears, proxies=other) as relay, await through(relay, LINE % b"192.0.2.9") as talk:
        assert await closed(talk)
    (told,) = [each for each in ears.events if isinstance(each, TurnedAway)]
    assert (told.peer, "trusted-proxies" in told.reason) == ("127.0.0.1", True)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"EHLO client.example.org\r\n", "no header of the PROXY protocol"),
        (b"PROXY TCP4 here there 1 2\r\n", "is not one"),
    ],
)
async def test_a_connection_without_a_header_is_closed(header: bytes, told: str) -> None:
    ears = Ears()
    async with proxied(ears) as relay, await through(relay, header) as talk:
        assert await closed(talk)
    assert told in next(each.reason for each in ears.events if isinstance(each, TurnedAway))


async def test_a_proxy_that_goes_away_or_says_nothing_holds_nothing_up() -> None:
    async with proxied(Ears()) as relay:
        for header in (b"", b"PROXY TC"):
            (await through(relay, header)).writer.close()
        async with await through(relay, LINE % b"192.0.2.9") as talk:
            assert (await talk.reply()).startswith("220 ")
            assert (await talk.deliver()).startswith("250 ")
