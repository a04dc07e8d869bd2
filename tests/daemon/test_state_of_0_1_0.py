"""A state folder of an early 0.1.0 goes on working: mail, pauses, budgets, tokens and what was told.

``state-0.1.0.tar.xz`` was left by a relay of commit 8511239 (schema 5), which was killed while a message was
under way. ``make.py`` in it is how it was made, against the sandbox of that commit: ``out`` delivered a
message, had one deferred and one held, and waits for the answer to another; ``app`` was paused by hand with
a message before it; ``nobody`` paused by itself, and that was told; ``person`` and ``app`` have tokens, which
are good until 2036 and known to ``tokens.json``.
"""

from __future__ import annotations

import asyncio
import json
import re
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.events import DeliveryEnded, Event, PossibleDuplicate, Silent
from postbearer.state import StateFolder
from postbearer.store import Query, Status
from postbearer.testing import ManualClock
from servers.sink import Sink
from support.local import short_folder
from support.relay import Ears, WaitingClock

LEFT_AT = 1_796_038_600.0  # some seconds after it was killed
SAMPLE = Path(__file__).with_name("state-0.1.0.tar.xz")


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def home(sink: Sink) -> Iterator[Path]:
    with short_folder() as folder:
        with tarfile.open(SAMPLE) as sample:
            # As an attribute, since Python 3.11.2 has no such parameter and later ones warn without it.
            sample.extraction_filter = lambda member, path: member
            sample.extractall(folder)
        config = folder / "postbearer.toml"
        config.write_text(
            re.sub(r"127\.0\.0\.1:\d\d+(?=\"\]\nauth)", f"127.0.0.1:{sink.port}", config.read_text())
        )
        yield folder


class Listening(Ears):
    """Tells when something was delivered and marked."""

    def __init__(self) -> None:
        super().__init__()
        self.delivered = asyncio.Event()

    def notice(self, event: Event) -> None:
        super().notice(event)
        if isinstance(event, DeliveryEnded) and event.fates[0].status is Status.DELIVERED:
            self.delivered.set()


def load(home: Path) -> Assembly:
    environ = {"POSTBEARER_ALLOW_EPHEMERAL": "true"}
    return Assembly.load(home / "postbearer.toml", environ, state=StateFolder(home / "state"))


@asynccontextmanager
async def relaying(home: Path, ears: Ears, clock: WaitingClock) -> AsyncIterator[Relay]:
    relay = Relay(load(home), observer=ears, clock=clock)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop(30.0)


async def states(relay: Relay) -> dict[str, Status]:
    """By subject, each of which has one recipient."""
    return {entry.message.subject: entry.rows[0].status for entry in await relay.spool.search(Query())}


async def arrived(sink: Sink, count: int) -> list[str]:
    """The subjects of what came, once there are `count` of them."""
    messages = await asyncio.to_thread(sink.wait_for, count)
    return sorted(re.findall(rb"Subject: (\w+)", each.content)[0].decode() for each in messages)


async def test_its_mail_and_pauses_and_budget(home: Path, sink: Sink) -> None:
    ears, clock = Listening(), WaitingClock(LEFT_AT)
    async with relaying(home, ears, clock) as relay:
        assert await arrived(sink, 1) == ["hanging"]
        [doubtful] = [each for each in ears.events if isinstance(each, PossibleDuplicate)]
        hanging = await relay.spool.show(doubtful.id)
        assert hanging is not None
        assert (hanging.message.subject, doubtful.window) == ("hanging", "DUP-MARK")
        await asyncio.wait_for(ears.delivered.wait(), 20)
        assert await states(relay) == {
            "delivered": Status.DELIVERED,
            "deferred": Status.DEFERRED,
            "held": Status.HELD,
            "alone": Status.DEFERRED,
            "waiting": Status.READY,
            "hanging": Status.DELIVERED,
        }
        reasons = {
            name: each.pause.reason for name, each in relay.dispatcher.account_states.items() if each.pause
        }
        assert reasons == {
            "app": "Paused by hand.",
            "nobody": "Nobody has signed in for nobody yet.",
        }
        left = await relay.dispatcher.account_states["out"].budget.left()
        assert left.messages_today == 20 - 4 - 1  # four were tried before, and one now
        clock.advance(2 * 3_600)
        assert await arrived(sink, 2) == ["deferred", "hanging"]


async def test_what_was_told_is_not_told_again(home: Path) -> None:
    before = json.loads((home / "state" / "notices.json").read_text())
    ears, clock = Ears(), WaitingClock(LEFT_AT)
    async with relaying(home, ears, clock):
        for _ in range(20):
            clock.advance(60)
            await asyncio.sleep(0.01)
    after = json.loads((home / "state" / "notices.json").read_text())
    assert (after["paused"], after["outbox"]) == (before["paused"], [])


@pytest.mark.parametrize(("name", "has_refresh"), [("person", True), ("app", False)])
async def test_its_tokens_are_used(home: Path, name: str, has_refresh: bool) -> None:
    assembly, clock = load(home), ManualClock(LEFT_AT)
    account = assembly.account(name)
    token = await account.token_source(assembly.state, clock=clock, observer=Silent()).token()
    assert token.access.reveal() == json.loads((home / "tokens.json").read_text())[name]
    kept = await account.token_store(assembly.state, clock=clock).load()
    assert (kept.refresh is not None) is has_refresh
