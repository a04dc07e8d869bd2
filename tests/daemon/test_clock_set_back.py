"""A clock that was set back while the relay was off: nothing is late, and no budget is lost or made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.engine import Budget, FlooredClock, Submission, Submitter
from postbearer.envelope import Envelope
from postbearer.events import Warned
from postbearer.settings import Limits
from postbearer.state import Charge, FileLedger, StateFolder
from postbearer.store import Message
from postbearer.testing import ManualClock
from support.configuration import COMPLETE
from support.local import short_folder
from support.relay import Ears, WaitingClock
from support.spooling import START, accept, claim, sqlite

DAY = 86_400.0
TEN_DAYS = 10 * DAY


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        (folder / "postbearer.toml").write_text(COMPLETE + '[relay]\nlisten = ["127.0.0.1:0"]\n')
        yield folder


@asynccontextmanager
async def running(home: Path, now: float) -> AsyncIterator[tuple[Relay, list[str]]]:
    """The relay on a machine whose clock says `now`, and what it warns of."""
    ears = Ears()
    state = StateFolder(home / "state")
    assembly = Assembly.load(home / "postbearer.toml", {"POSTBEARER_ALLOW_EPHEMERAL": "true"}, state=state)
    relay = Relay(assembly, observer=ears, clock=WaitingClock(now))
    await relay.start()
    try:
        await relay.dispatcher.pause("alerts")
        yield relay, [each.text for each in ears.events if isinstance(each, Warned)]
    finally:
        await relay.stop(0.0)


async def submitted(relay: Relay) -> Message:
    envelope = Envelope.of("app@example.org", ["you@example.net"])
    intaking = await relay.intake.begin(Submission(client=Submitter(name="app"), envelope=envelope))
    await intaking.write(b"From: app@example.org\r\n\r\nHello\r\n")
    entry = await relay.spool.show(await intaking.finish())
    assert entry is not None
    return entry.message


async def test_the_queue_goes_on_from_where_it_was_and_the_log_says_so(home: Path) -> None:
    async with running(home, START) as (relay, warnings):
        first = await submitted(relay)
        assert not any("clock" in each for each in warnings)
    async with running(home, START - TEN_DAYS) as (relay, warnings):
        (said,) = [each for each in warnings if "clock" in each]
        assert "864000 seconds behind" in said
        second = await submitted(relay)
        assert first.accepted <= second.accepted < first.accepted + 60
        assert first.id[:9] <= second.id[:9]  # they still sort by age
    async with running(home, START + 1) as (relay, warnings):
        assert not any("clock" in each for each in warnings)  # it was set right meanwhile


async def test_a_queue_that_was_moved_here_is_held_and_the_log_says_how_many(home: Path) -> None:
    async with running(home, START) as (relay, _):
        await submitted(relay)
    (home / "state" / "spool.generation").unlink()
    async with running(home, START + 1) as (relay, warnings):
        (said,) = [each for each in warnings if "DUP-RESTORE" in each]
        assert "1 messages are held" in said


async def test_an_idle_run_is_remembered_too(tmp_path: Path) -> None:
    clock = ManualClock(START)
    spool = sqlite(tmp_path, clock)
    await spool.open()
    await accept(spool, "m1")
    clock.advance(7 * DAY)
    await spool.close()
    again = sqlite(tmp_path, ManualClock(START))
    assert (await again.open()).newest == START + 7 * DAY
    await again.close()


async def test_what_was_deferred_is_due_when_it_was(tmp_path: Path) -> None:
    spool = sqlite(tmp_path, ManualClock(START))
    await spool.open()
    await accept(spool, "m1", due=START + 3600)
    await spool.close()
    wall = ManualClock(START - TEN_DAYS)
    clock = FlooredClock(wall)
    spool = sqlite(tmp_path, clock)
    clock.start_at((await spool.open()).newest)
    wall.advance(3599)
    assert await claim(spool, clock.now()) == []
    wall.advance(1)
    assert len(await claim(spool, clock.now())) == 1
    await spool.close()


async def test_a_budget_opens_when_it_would_have(tmp_path: Path) -> None:
    limits = Limits(messages_per_day=2)
    before = ManualClock(START)
    for _ in range(2):
        assert await Budget(FileLedger(tmp_path / "b", before), limits, before).take(1) == (START, 1)
    wall = ManualClock(START - TEN_DAYS)
    clock = FlooredClock(wall)
    assert clock.start_at(START + DAY - 3600) > 0  # the last run went on until then
    budget = Budget(FileLedger(tmp_path / "b", clock), limits, clock)
    opens = await budget.take(1)
    assert isinstance(opens, float)
    assert opens - clock.now() == pytest.approx(3600)
    wall.advance(3600)
    assert isinstance(await budget.take(1), Charge)


def test_a_clock_that_is_set_right_again_is_believed() -> None:
    wall = ManualClock(START)
    clock = FlooredClock(wall)
    assert clock.start_at(START + 59) == 0.0  # clocks are adjusted all the time
    assert clock.now() == START
    assert clock.start_at(START + DAY) == DAY
    wall.advance(10)
    assert clock.now() == START + DAY + 10
    wall.jump(2 * DAY)
    assert clock.now() == wall.now()
