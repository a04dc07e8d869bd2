"""A relay renews its leases while it waits for a provider, and takes over those of a node that died."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.events import DeliveryEnded, Event, PossibleDuplicate
from postbearer.state import StateFolder
from postbearer.store import HEARTBEAT, LEASE, Status
from relay.running import plain_account
from servers.sink import Received, Sink
from support.local import short_folder
from support.relay import Ears, WaitingClock
from support.spooling import START, accept, beside, claim, statuses


class Slow(Sink):
    """Answers the content when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Event()
        self.go_on = threading.Event()

    def record(self, message: Received) -> None:
        self.came.set()
        assert self.go_on.wait(30)
        super().record(message)


class Listening(Ears):
    """Tells when an attempt ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def notice(self, event: Event) -> None:
        super().notice(event)
        if isinstance(event, DeliveryEnded):
            self.ended.set()


@pytest.fixture
def sink() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.go_on.set()
    made.close()


@pytest.fixture
def home(sink: Sink) -> Iterator[Path]:
    with short_folder() as folder:
        (folder / "postbearer.toml").write_text(
            plain_account(sink.port) + '[relay]\nlisten = ["127.0.0.1:0"]\n'
        )
        yield folder


def relay(home: Path, ears: Ears, clock: WaitingClock) -> Relay:
    environ = {"POSTBEARER_ALLOW_EPHEMERAL": "true"}
    assembly = Assembly.load(home / "postbearer.toml", environ, state=StateFolder(home / "state"))
    return Relay(assembly, observer=ears, clock=clock)


async def beat(clock: WaitingClock, seconds: float) -> None:
    """Let time pass, with a heartbeat in between whenever one is due."""
    for _ in range(int(seconds / HEARTBEAT)):
        before = clock.slept.count(HEARTBEAT)
        clock.advance(HEARTBEAT)
        for _ in range(20_000):
            if clock.slept.count(HEARTBEAT) > before:  # it has beaten, and waits for the next time
                break
            await asyncio.sleep(0.001)


async def test_what_waits_for_its_final_reply_stays_leased(home: Path, sink: Slow) -> None:
    ears, clock = Listening(), WaitingClock(START)
    running = relay(home, ears, clock)
    await running.start()
    await accept(running.spool, "m1", account="out")
    running.dispatcher.wake()
    await asyncio.to_thread(sink.came.wait, 20)
    other = beside(running.spool, "b", clock)
    await other.open()
    await beat(clock, 4 * LEASE)
    assert await other.heartbeat() == []
    sink.go_on.set()
    await asyncio.wait_for(ears.ended.wait(), 20)
    assert await statuses(other, "m1") == [Status.DELIVERED]
    await other.close()
    await running.stop(1.0)
    assert not any(isinstance(event, PossibleDuplicate) for event in ears.events)


async def test_what_a_dead_node_had_is_sent_by_another_that_says_so(home: Path, sink: Slow) -> None:
    sink.go_on.set()
    ears, clock = Listening(), WaitingClock(START)
    running = relay(home, ears, clock)
    await running.start()
    dead = beside(running.spool, "b", clock)
    await dead.open()
    await accept(running.spool, "m1", account="out")
    assert await claim(dead, account="out")
    await beat(clock, LEASE - HEARTBEAT)
    assert await statuses(running.spool, "m1") == [Status.LEASED]
    await beat(clock, HEARTBEAT)
    await asyncio.wait_for(ears.ended.wait(), 20)
    assert await statuses(running.spool, "m1") == [Status.DELIVERED]
    told = [(each.id, each.window) for each in ears.events if isinstance(each, PossibleDuplicate)]
    assert told == [("m1", "DUP-LEASE")]
    await dead.close()
    await running.stop(1.0)
