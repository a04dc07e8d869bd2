"""What a restart finds reaches who runs the relay, also when the first run after it says nothing any more."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.errors import ConfigError
from postbearer.events import PossibleDuplicate, Warned
from postbearer.state import StateFolder
from postbearer.testing import ManualClock
from support.configuration import COMPLETE
from support.local import short_folder
from support.relay import Ears, WaitingClock
from support.spooling import START, accept, claim, sqlite

UNCLEAN = "The last run did not end properly; the queue was put in order."


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def home(taken: int) -> Iterator[Path]:
    with short_folder() as folder:
        (folder / "postbearer.toml").write_text(f'{COMPLETE}[relay]\nlisten = ["127.0.0.1:{taken}"]\n')
        yield folder


def configure(home: Path, port: int) -> None:
    (home / "postbearer.toml").write_text(f'{COMPLETE}[relay]\nlisten = ["127.0.0.1:{port}"]\n')


async def killed(home: Path) -> None:
    """A relay was killed while `m1` was under way."""
    before = home / "before"
    before.mkdir()
    spool = sqlite(before, ManualClock(START))
    await spool.open()
    await accept(spool, "m1", account="alerts")
    assert await claim(spool, account="alerts")
    shutil.copytree(before, home / "state", copy_function=shutil.copy)
    await spool.close()


def relay(home: Path, ears: Ears) -> Relay:
    state = StateFolder(home / "state")
    assembly = Assembly.load(home / "postbearer.toml", {"POSTBEARER_ALLOW_EPHEMERAL": "true"}, state=state)
    return Relay(assembly, observer=ears, clock=WaitingClock(START))


async def run(home: Path) -> list[str]:
    """Start it and stop it: what it says."""
    ears = Ears()
    started = relay(home, ears)
    await started.start()
    await started.stop(0.0)
    return [
        event.text if isinstance(event, Warned) else f"{event.window} {event.id}"
        for event in ears.events
        if isinstance(event, Warned | PossibleDuplicate)
    ]


async def look(home: Path) -> None:
    spool = sqlite(home / "state", ManualClock(START))
    await spool.open(read_only=True)
    await spool.close()


async def change(home: Path) -> None:
    spool = sqlite(home / "state", ManualClock(START))
    await spool.open()
    await spool.resume("alerts")
    await spool.close()


async def fail_to_start(home: Path) -> None:
    with pytest.raises(ConfigError, match="in use"):
        await relay(home, Ears()).start()


async def be_killed_before_a_word(home: Path) -> None:
    spool = sqlite(home / "state", ManualClock(START))
    await spool.open()
    shutil.copytree(home / "state", home / "again", copy_function=shutil.copy)
    await spool.close()
    shutil.rmtree(home / "state")
    (home / "again").rename(home / "state")


@pytest.mark.parametrize(
    "between",
    [(), (look,), (change,), (fail_to_start,), (be_killed_before_a_word,), (look, fail_to_start, change)],
)
async def test_a_possible_copy_is_told_once_whatever_came_between(
    home: Path, between: tuple[object, ...]
) -> None:
    await killed(home)
    for step in between:
        await step(home)  # type: ignore[operator]
    configure(home, 0)
    said = await run(home)
    assert said.count("DUP-MARK m1") == 1
    assert said.count(UNCLEAN) == 1
    assert [each for each in await run(home) if "DUP-MARK" in each or each == UNCLEAN] == []
