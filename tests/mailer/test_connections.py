"""What a message costs, counted at the wire; and what happens when a token or a server is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
import pytest

from postbearer import StaticToken
from postbearer.errors import ConnectFailed, CredentialRefused, Rejected
from postbearer.mailer import AsyncMailer
from postbearer.secret import Secret
from postbearer.state import StateFolder
from postbearer.testing import Faults, ManualClock, Sandbox, SmtpFault
from postbearer.transport import PoolLimits
from support.listening import listening
from support.sandboxed import RAW, TO_YOU, at


class Counting:
    """A proxy that counts how often the client had spoken when the server spoke again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked = False
        self.turns = 0
        self.sent = bytearray()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.gather(self._pass(reader, ours, True), self._pass(theirs, writer, False))
        finally:
            ours.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: bool) -> None:
        while data := await source.read(65536):
            if client:
                self._asked = True
                self.sent += data
            else:
                self.turns += self._asked
                self._asked = False
            sink.write(data)
        sink.close()


@asynccontextmanager
async def counting(sandbox: Sandbox) -> AsyncIterator[tuple[Counting, int]]:
    proxy = Counting(sandbox.starttls_port)
    async with listening(proxy.serve) as port:
        yield proxy, port


@pytest.mark.parametrize(
    ("left_out", "trips"), [((), 1), (("CHUNKING",), 2), (("CHUNKING", "PIPELINING"), 4)]
)
async def test_round_trips_on_a_warm_connection(left_out: tuple[str, ...], trips: int) -> None:
    provider = Sandbox()
    offered = tuple(name for name in provider.personality.extensions if name not in left_out)
    provider.personality = replace(provider.personality, extensions=offered)
    async with provider as sandbox, counting(sandbox) as (proxy, port):
        async with AsyncMailer(at(sandbox.account(), f"localhost:{port}"), state="memory") as mailer:
            await mailer.send(RAW, TO_YOU)
            for _ in range(3):
                before = proxy.turns
                await mailer.send(RAW, TO_YOU)
                assert proxy.turns - before == trips
        assert sandbox.mail.connections == 1
        assert len(sandbox.inbox.messages) == 4


async def test_no_token_leaves_in_the_clear(sandbox: Sandbox) -> None:
    async with counting(sandbox) as (proxy, port):
        async with AsyncMailer(at(sandbox.account(), f"localhost:{port}"), state="memory") as mailer:
            await mailer.send(RAW, TO_YOU)
        assert b"STARTTLS" in proxy.sent
        assert b"AUTH" not in proxy.sent


async def test_a_refused_token_is_renewed_once_and_the_message_goes(
    sandbox: Sandbox, state: StateFolder
) -> None:
    before = sandbox.token_requests
    sandbox.set_faults(Faults(refuse_tokens=1))
    async with AsyncMailer(sandbox.account(), state=state) as mailer:
        await mailer.send(RAW, TO_YOU)
    assert len(sandbox.inbox.messages) == 1
    assert sandbox.token_requests - before == 2


async def test_a_token_refused_twice_is_told_and_the_mailer_stays_usable(sandbox: Sandbox) -> None:
    before = sandbox.token_requests
    sandbox.set_faults(Faults(refuse_tokens=2))
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        with pytest.raises(CredentialRefused) as refused:
            await mailer.send(RAW, TO_YOU)
        assert sandbox.token_requests - before == 2
        assert refused.value.account == "sandbox"
        assert refused.value.reply is not None
        assert refused.value.reply.code == 535
        assert refused.value.hint
        await mailer.send(RAW, TO_YOU)
    assert len(sandbox.inbox.messages) == 1


async def test_a_static_token_that_is_refused_is_not_tried_again(sandbox: Sandbox) -> None:
    account = replace(sandbox.account(), grant=StaticToken(Secret("canary-static-token")))
    connections = sandbox.mail.connections
    async with AsyncMailer(account, state="memory") as mailer:
        with pytest.raises(CredentialRefused) as refused:
            await mailer.send(RAW, TO_YOU)
    assert sandbox.mail.connections == connections + 1
    assert "canary" not in str(refused.value)


async def test_a_server_that_is_down_is_passed_over(sandbox: Sandbox) -> None:
    account = at(sandbox.account(), "127.0.0.1:9", f"localhost:{sandbox.starttls_port}")
    async with AsyncMailer(account, state="memory") as mailer:
        receipt = await mailer.send(RAW, TO_YOU)
    assert receipt.server == f"localhost:{sandbox.starttls_port}"


@pytest.mark.parametrize(
    "fault",
    [
        SmtpFault(at="auth", reply="535 5.7.8 not here"),
        SmtpFault(at="auth", reply="454 4.7.0 not now"),
        SmtpFault(at="greeting", reply="554 5.7.1 not you"),
        SmtpFault(at="starttls", reply="454 4.7.0 no TLS today"),
        SmtpFault(at="ehlo", reply=""),
    ],
    ids=lambda fault: f"{fault.at} {fault.reply[:3]}",
)
async def test_the_second_server_takes_what_the_first_refuses(fault: SmtpFault) -> None:
    async with Sandbox() as first, Sandbox() as second:
        first.set_faults(Faults(smtp=[fault]))
        second.mail.register = first.register  # both know one authorization server
        bundle = first.folder / "both.pem"
        bundle.write_bytes(first.authority.pem + second.authority.pem)
        servers = [f"localhost:{each.starttls_port}" for each in (first, second)]
        account = at(first.account(), *servers, ca_file=str(bundle))
        async with AsyncMailer(account, state="memory") as mailer:
            receipt = await mailer.send(RAW, TO_YOU)
        assert receipt.server == servers[1]
        assert (len(first.inbox.messages), len(second.inbox.messages)) == (0, 1)
        assert first.token_requests <= 2


async def test_nobody_there_is_told_and_nothing_was_attempted(sandbox: Sandbox) -> None:
    async with AsyncMailer(at(sandbox.account(), "127.0.0.1:9"), state="memory") as mailer:
        with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:9"):
            await mailer.send(RAW, TO_YOU)
        assert sandbox.inbox.messages == []


async def test_a_capped_token_is_fetched_for_every_connection_and_no_more(sandbox: Sandbox) -> None:
    """For servers that refuse tokens without saying so: no token and no connection older than a second."""
    account = sandbox.account()
    account = replace(account, settings=msgspec.structs.replace(account.settings, maximum_token_lifetime=1.0))
    account = at(account, limits=PoolLimits(connections=1, token_lifetime=1.0))
    clock, requests, connections = ManualClock(), sandbox.token_requests, sandbox.mail.connections
    async with AsyncMailer(account, state="memory", clock=clock) as mailer:
        for number in range(1, 4):
            await mailer.send(RAW, TO_YOU)
            await mailer.send(RAW, TO_YOU)
            assert sandbox.token_requests - requests == number
            assert sandbox.mail.connections - connections == number
            clock.advance(1.5)


async def test_microsofts_three_connections_are_never_four() -> None:
    async with Sandbox("microsoft") as sandbox:
        async with AsyncMailer(sandbox.account(), state="memory") as mailer:
            receipts = await asyncio.gather(*(mailer.send(RAW, TO_YOU) for _ in range(12)))
        assert all(receipt.delivered for receipt in receipts)
        assert sandbox.mail.connections <= 3
        assert sandbox.token_requests == 1


async def test_a_warm_connection_the_server_closed_costs_nothing_but_a_new_one(sandbox: Sandbox) -> None:
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        await mailer.send(RAW, TO_YOU)
        sandbox.set_faults(Faults(smtp=[SmtpFault(at="mail", reply="421 4.4.2 idle for too long", times=1)]))
        assert (await mailer.send(RAW, TO_YOU)).delivered
        sandbox.set_faults(Faults(smtp=[SmtpFault(at="mail", reply="550 5.7.1 no")]))
        with pytest.raises(Rejected):
            await mailer.send(RAW, TO_YOU)
    assert len(sandbox.inbox.messages) == 2
