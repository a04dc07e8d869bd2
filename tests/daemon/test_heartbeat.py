"""A sign of life is given as long as the relay runs and can keep what it accepts, and stays away else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.events import Warned
from postbearer.state import StateFolder
from support.configuration import COMPLETE
from support.hooks import Hooks, receiving
from support.local import short_folder
from support.relay import Ears, WaitingClock
from support.spooling import START


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with receiving() as found:
        yield found


class Beating:
    """A relay that gives signs, and the hands of its clock."""

    def __init__(self, home: Path, *lines: str) -> None:
        self.home = home
        self.clock = WaitingClock(START)
        self.ears = Ears()
        self.relay = Relay(self.configured(*lines), observer=self.ears, clock=self.clock)

    def configured(self, *lines: str) -> Assembly:
        text = COMPLETE + '[relay]\nlisten = ["127.0.0.1:0"]\n[notify]\n' + "\n".join(lines)
        (self.home / "postbearer.toml").write_text(text)
        environ = {"POSTBEARER_ALLOW_EPHEMERAL": "true", "BEAT": "http://127.0.0.1:1/never"}
        return Assembly.load(self.home / "postbearer.toml", environ, state=StateFolder(self.home / "state"))

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass, and then everybody do what they have to, which takes real time."""
        self.clock.advance(seconds)
        await asyncio.sleep(0.1)

    async def until(self, came: Callable[[], bool]) -> None:
        """Wait for what takes real time."""
        for _ in range(500):
            if came():
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # and for what would be too much

    def warnings(self) -> list[str]:
        return [
            each.text for each in self.ears.events if isinstance(each, Warned) and "sign of life" in each.text
        ]


@asynccontextmanager
async def beating(home: Path, *lines: str) -> AsyncIterator[Beating]:
    found = Beating(home, *lines)
    await found.relay.start()
    try:
        yield found
    finally:
        await found.relay.stop(0.0)


async def test_an_address_is_asked_at_once_and_every_minute(home: Path, hooks: Hooks) -> None:
    async with beating(home, f'heartbeat = "{hooks.url}"') as found:
        await found.until(lambda: len(hooks.calls) >= 1)
        assert [(call.method, call.path, call.body) for call in hooks.calls] == [("GET", "/hook", b"")]
        await found.pass_time(60)
        await found.until(lambda: len(hooks.calls) >= 2)
        assert len(hooks.calls) == 2
        await found.pass_time(59)
        assert len(hooks.calls) == 2
        await found.pass_time(1)
        await found.until(lambda: len(hooks.calls) >= 3)
        assert len(hooks.calls) == 3
    await found.pass_time(60)
    assert len(hooks.calls) == 3  # it has ended


async def test_a_file_is_touched(home: Path) -> None:
    async with beating(home, 'heartbeat-file = "alive"', 'heartbeat-every = "10 s"') as found:
        await found.until((home / "alive").exists)
        (home / "alive").unlink()
        await found.pass_time(10)
        await found.until((home / "alive").exists)
        assert (home / "alive").exists()


async def test_without_room_for_mail_there_is_no_sign(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with beating(home, 'heartbeat-file = "alive"') as found:
        await found.until((home / "alive").exists)
        (home / "alive").unlink()

        async def full(size: int) -> bool:
            return False

        monkeypatch.setattr(found.relay.spool, "room", full)
        await found.pass_time(70)
        assert not (home / "alive").exists()
        monkeypatch.undo()
        await found.pass_time(61)
        await found.until((home / "alive").exists)
        assert (home / "alive").exists()


async def test_one_that_does_not_arrive_is_told_once_until_one_does(home: Path, hooks: Hooks) -> None:
    hooks.answers = [(500, {}), (301, {"location": "https://example.org/"}), (204, {}), (503, {})]
    async with beating(home, f'heartbeat = "{hooks.url}"', 'heartbeat-every = "10 s"') as found:
        await found.until(lambda: len(hooks.calls) >= 1)
        await found.pass_time(10)
        await found.until(lambda: len(hooks.calls) >= 2)
        assert len(hooks.calls) == 2
        await found.until(lambda: len(found.warnings()) >= 1)
        assert len(found.warnings()) == 1
        assert "answered 500" in found.warnings()[0]
        await found.pass_time(10)
        await found.until(lambda: len(hooks.calls) >= 3)
        await found.pass_time(10)
        await found.until(lambda: len(found.warnings()) >= 2)
        assert len(found.warnings()) == 2
        assert "answered 503" in found.warnings()[1]
        assert "/hook" not in " ".join(found.warnings())  # the address may be a secret


async def test_an_address_that_is_a_secret_is_not_shown_and_the_file_is_touched_all_the_same(
    home: Path,
) -> None:
    async with beating(home, 'heartbeat = "env:BEAT"', 'heartbeat-file = "alive"') as found:
        await found.pass_time(2)
        await found.until((home / "alive").exists)
        assert (home / "alive").exists()
        (warning,) = found.warnings()
        assert "never" not in warning


async def test_a_reload_takes_another_one(home: Path) -> None:
    async with beating(home) as found:
        await found.pass_time(61)
        await found.relay.reload(found.configured('heartbeat-file = "alive"'))
        await found.pass_time(1)
        await found.until((home / "alive").exists)
        assert (home / "alive").exists()
