"""Two relays on one database: one queue, one budget and one token between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.errors import ConfigError
from postbearer.state import StateFolder
from postbearer.store import Pause, Query, Status
from postbearer.testing import Sandbox
from support.local import short_folder
from support.persisting import KEY
from support.relay import Ears
from support.sandboxed import RAW
from support.submitting import PATIENCE, Talk

pytestmark = pytest.mark.servers

RELAY = """
[accounts.sandbox.limits]
{limits}
[relay]
listen = ["127.0.0.1:0"]
spool = "{url}"
[vault]
key = "file:key"
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def nodes(home: Path, schema: str, postbearer_sandbox: Sandbox) -> Iterator[Nodes]:
    nodes = Nodes(home, schema, postbearer_sandbox)
    yield nodes
    nodes.close()


class Nodes:
    """Relays of one configuration, each with a state folder of its own."""

    def __init__(self, home: Path, url: str, sandbox: Sandbox) -> None:
        self._home = home
        self._url = url
        self.sandbox = sandbox
        self._closing: list[object] = []

    def assembly(self, name: str, limits: str = "messages-per-day = 1000") -> Assembly:
        config = self._home / f"{name}.toml"
        config.write_text(self.sandbox.configuration() + RELAY.format(limits=limits, url=self._url))
        (self._home / "key").write_text(KEY)
        (self._home / "key").chmod(0o600)
        environ = {"POSTBEARER_ALLOW_EPHEMERAL": "true"}
        assembly = Assembly.load(config, environ, StateFolder(self._home / name))
        self._closing.append(assembly.persistence)
        return assembly

    @asynccontextmanager
    async def running(self, name: str, limits: str = "messages-per-day = 1000") -> AsyncIterator[Relay]:
        relay = Relay(self.assembly(name, limits), observer=Ears())
        await relay.start()
        try:
            yield relay
        finally:
            await relay.stop(5.0)

    def close(self) -> None:
        for each in self._closing:
            each.close()  # type: ignore[attr-defined]


async def submit(relay: Relay, count: int = 1) -> None:
    host, _, port = relay.addresses[0].rpartition(":")
    async with await Talk.open(host, int(port)) as client:
        await client.reply()
        assert (await client.say("EHLO client"))[0] == "2"
        for _ in range(count):
            for line in ("MAIL FROM:<app@example.org>", "RCPT TO:<you@example.org>", "DATA"):
                assert (await client.say(line))[0] in "23"
            client.send(RAW + b"\r\n.\r\n")
            assert (await client.reply()).startswith("250")


async def states(relay: Relay) -> list[Status]:
    return [row.status for entry in await relay.spool.search(Query()) for row in entry.rows]


async def until(relay: Relay, wanted: list[Status]) -> None:
    async with asyncio.timeout(PATIENCE):
        while sorted(await states(relay)) != sorted(wanted):  # noqa: ASYNC110 - another process's, too
            await asyncio.sleep(0.05)


async def knows_of_the_pause(relay: Relay) -> None:
    """A pause by another node is read within a second; until then it may still send."""
    async with asyncio.timeout(PATIENCE):
        while not relay.dispatcher.account_states["sandbox"].pause:  # noqa: ASYNC110 - another's doing
            await asyncio.sleep(0.05)


async def test_they_share_one_token_and_each_sends_what_it_took(nodes: Nodes) -> None:
    before = nodes.sandbox.token_requests
    async with nodes.running("a") as first, nodes.running("b") as second:
        await submit(first, 3)
        await submit(second, 3)
        await until(first, [Status.DELIVERED] * 6)
        assert await states(second) == [Status.DELIVERED] * 6
    assert nodes.sandbox.token_requests == before + 1


async def test_a_budget_is_one_for_all(nodes: Nodes) -> None:
    limits = "messages-per-day = 10"
    async with nodes.running("a", limits) as first, nodes.running("b", limits) as second:
        await submit(first, 7)
        await submit(second, 7)
        async with asyncio.timeout(PATIENCE):
            while (found := await states(first)).count(Status.DELIVERED) < 9:  # noqa: ASYNC110 - a tenth is kept
                await asyncio.sleep(0.05)
        assert not [each for each in found if each.final and each is not Status.DELIVERED]
        left = await first.dispatcher.account_states["sandbox"].budget.left()
        assert left.messages_today == 1


async def test_what_one_left_when_it_was_stopped_the_other_sends(nodes: Nodes) -> None:
    async with nodes.running("b") as second:
        async with nodes.running("a") as first:
            await first.spool.pause(_pause())
            await knows_of_the_pause(second)
            await submit(first, 2)
            await until(second, [Status.READY] * 2)
        await second.spool.resume("sandbox")
        await until(second, [Status.DELIVERED] * 2)


async def test_a_pause_reaches_the_other(nodes: Nodes) -> None:
    async with nodes.running("a") as first, nodes.running("b") as second:
        await first.spool.pause(_pause())
        await knows_of_the_pause(second)
        await submit(second)
        await until(first, [Status.READY])
        await first.spool.resume("sandbox")
        await until(first, [Status.DELIVERED])


def test_without_a_key_that_all_share_it_is_refused(home: Path, postbearer_sandbox: Sandbox) -> None:
    config = home / "postbearer.toml"
    text = RELAY.partition("[vault]")[0].format(limits="", url="postgresql://db.example.org/mail")
    config.write_text(postbearer_sandbox.configuration() + text)
    with pytest.raises(ConfigError) as refused:
        Relay(Assembly.load(config, {}, StateFolder(home / "state")), observer=Ears())
    assert (refused.value.key, refused.value.file) == ("vault.key", str(config))


def _pause() -> Pause:
    return Pause(account="sandbox", since=0.0, reason="refused")
