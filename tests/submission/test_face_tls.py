"""S3, S4: what was said in clear text counts for nothing once TLS is on, and no password goes without it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode

import pytest

from postbearer.engine import Submitter
from postbearer.submission import Admission, SessionLimits
from postbearer.testing.certificates import Authority
from support.submitting import Talk, cheap_hash, offering, running

CANARY = "CANARY-3f0a"
LOGIN = "AUTH PLAIN " + b64encode(f"\0alice\0{CANARY}".encode()).decode()
ALICE = Admission(Submitter(name="alice"), username="alice", password_hash=cheap_hash(CANARY))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("localhost")


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem.decode())


async def test_a_message_under_starttls(authority: Authority, trusting: ssl.SSLContext) -> None:
    async with (
        running(context=authority.server_context(), offer=offering(starttls=True)) as relay,
        await relay.client() as client,
    ):
        assert "STARTTLS" in await client.say("EHLO client.example.org")
        assert (await client.say("STARTTLS")).startswith("220")
        await client.start_tls(trusting)
        assert "STARTTLS" not in await client.say("EHLO client.example.org")
        assert (await client.deliver()).startswith("250")
        (message,) = await relay.messages()
        assert " with ESMTPS id " in message.received


async def test_a_message_under_implicit_tls(authority: Authority, trusting: ssl.SSLContext) -> None:
    async with running(context=authority.server_context(), implicit_tls=True) as relay:
        async with await relay.client(ssl=trusting, server_hostname="localhost") as client:
            assert "STARTTLS" not in await client.say("EHLO client.example.org")
            assert (await client.deliver()).startswith("250")
        assert len(await relay.messages()) == 1


async def test_a_handshake_that_never_comes_is_counted_and_ends(authority: Authority) -> None:
    bounds = SessionLimits(tls=0.1, connections=1)
    async with running(context=authority.server_context(), implicit_tls=True, bounds=bounds) as relay:
        async with (
            await Talk.open("127.0.0.1", relay.port) as silent,
            await Talk.open("127.0.0.1", relay.port) as second,
        ):
            assert await second.reply() == ""
            assert await silent.reply() == ""
        async with await Talk.open("127.0.0.1", relay.port) as other:
            other.send(b"EHLO in.clear.text\r\n")
            assert not (await other.reply()).startswith(("2", "4"))


async def test_s3_all_is_forgotten_behind_starttls(authority: Authority, trusting: ssl.SSLContext) -> None:
    offer = offering(starttls=True, mechanisms=("PLAIN",), auth_in_clear=True)
    admissions = [
        Admission(Submitter(name="else"), networks=(), username="alice", password_hash=ALICE.password_hash)
    ]
    async with running(context=authority.server_context(), offer=offer, admissions=admissions) as relay:
        async with await relay.client() as client:
            await client.say("EHLO before.example.org")
            assert (await client.say("STARTTLS")).startswith("220")
            await client.start_tls(trusting)
            assert (await client.say("MAIL FROM:<app@example.org>")).startswith("503")
            assert (await client.say("STARTTLS")).startswith("503")
            assert (await client.deliver()).startswith("250")
            assert (await client.say(LOGIN)).startswith("235")
            assert (await client.say("STARTTLS")).startswith("503")
        (message,) = await relay.messages()
        assert "before.example.org" not in message.received
        assert message.client == "local"


@pytest.mark.parametrize(
    "injected", [b"MAIL FROM:<inj@ected.example>\r\n", b"NOOP\r\n", b"x"], ids=["mail", "noop", "octet"]
)
async def test_s3_octets_behind_starttls_end_the_connection(authority: Authority, injected: bytes) -> None:
    async with running(context=authority.server_context(), offer=offering(starttls=True)) as relay:
        async with await relay.client() as client:
            await client.say("EHLO client.example.org")
            client.send(b"STARTTLS\r\n" + injected)
            assert await client.all_replies() == []
        assert await relay.messages() == []


async def test_s3_octets_in_front_of_the_handshake_are_never_commands(authority: Authority) -> None:
    async with (
        running(context=authority.server_context(), offer=offering(starttls=True)) as relay,
        await relay.client() as client,
    ):
        await client.say("EHLO client.example.org")
        assert (await client.say("STARTTLS")).startswith("220")
        client.send(b"MAIL FROM:<inj@ected.example>\r\n")
        answer = await asyncio.wait_for(client.reader.read(), 10)
        assert b"250" not in answer


async def test_s3_starttls_out_of_turn(authority: Authority) -> None:
    async with (
        running(context=authority.server_context(), offer=offering(starttls=True)) as relay,
        await relay.client() as client,
    ):
        assert (await client.say("STARTTLS")).startswith("503")
        await client.say("EHLO client.example.org")
        assert (await client.say("STARTTLS now")).startswith("501")
        await client.say("MAIL FROM:<app@example.org>")
        assert (await client.say("STARTTLS")).startswith("503")


@pytest.mark.parametrize("name", ["host\\", "x" * 63 + "." + "y" * 63, "*.host"])
async def test_s3_any_server_name_in_the_handshake(authority: Authority, name: str) -> None:
    def greeting(port: int) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as end,
            context.wrap_socket(end, server_hostname=name) as protected,
        ):
            return protected.recv(4)

    async with running(context=authority.server_context(), implicit_tls=True) as relay:
        assert await asyncio.to_thread(greeting, relay.port) == b"220 "


async def test_s4_no_password_in_clear_text(authority: Authority) -> None:
    offer = offering(starttls=True, mechanisms=("PLAIN", "LOGIN"), require_tls=True)
    async with (
        running(context=authority.server_context(), offer=offer, admissions=[ALICE]) as relay,
        await relay.client() as client,
    ):
        assert "AUTH" not in await client.say("EHLO client.example.org")
        assert (await client.say(LOGIN)).startswith("538 5.7.11")
        assert (await client.say("MAIL FROM:<app@example.org>")).startswith("530 5.7.0")
