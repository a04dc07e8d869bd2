"""Whatever fails in the background of the relay is told, and begins again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from postbearer.alerts import AlertDispatcher, AlertMonitor
from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.control import ControlServer
from postbearer.daemon import Relay, services
from postbearer.daemon.refresher import SignInRefresher
from postbearer.engine import Dispatcher
from postbearer.events import Defect
from postbearer.state import StateFolder
from postbearer.store import SqliteSpool
from postbearer.submission import DropFolder
from support.configuration import COMPLETE
from support.local import short_folder
from support.relay import Ears
from support.submitting import Talk

TIMES = 2  # that each fails


class Hurried(SystemClock):
    """Who sleeps does so for a moment only."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.002))


class Failing:
    """Raises what nobody expects, `TIMES` times; then it does what it is there for."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real = real
        self.calls = 0
        self.worked = asyncio.Event()

    async def __call__(self, *given: Any) -> Any:
        self.calls += 1
        if self.calls <= TIMES:
            raise RuntimeError("injected")
        self.worked.set()
        return await self._real(*given)


def put(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> Failing:
    failing = Failing(getattr(where, name))

    async def stand_in(*given: Any) -> Any:
        return await failing(*given)

    monkeypatch.setattr(where, name, stand_in)
    return failing


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        (folder / "postbearer.toml").write_text(COMPLETE + '[relay]\nlisten = ["127.0.0.1:0"]\n')
        yield folder


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[tuple[Relay, list[Defect]]]:
    """The relay; and what asyncio would have printed must be nothing."""
    printed: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context))
    ears = Ears()
    state = StateFolder(home / "state")
    assembly = Assembly.load(home / "postbearer.toml", {"POSTBEARER_ALLOW_EPHEMERAL": "true"}, state=state)
    relay = Relay(assembly, observer=ears, clock=Hurried())
    await relay.start()
    told: list[Defect] = []
    try:
        yield relay, told
    finally:
        await relay.stop(0.0)
        told += ears.defects
    assert printed == []


@pytest.mark.parametrize(
    ("where", "name", "what"),
    [
        (DropFolder, "collect", "drop folder"),
        (AlertMonitor, "look", "watch over the accounts"),
        (AlertDispatcher, "deliver", "notices"),
        (SignInRefresher, "look", "care for sign-ins"),
        (Dispatcher, "warn_late", "look for late mail"),
        (SqliteSpool, "lanes", "worker"),
    ],
)
async def test_what_goes_on_in_the_background_outlives_a_defect(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, what: str
) -> None:
    monkeypatch.setattr(services, "LATE_LOOK", 0.001)
    failing = put(monkeypatch, where, name)
    async with running(home) as (_, told), asyncio.timeout(20):
        await failing.worked.wait()
    assert [(each.what, each.error) for each in told] == [(what, "RuntimeError('injected')")] * TIMES
    assert all("test_background.py" in each.traceback for each in told)


async def test_a_listener_outlives_a_defect_in_accepting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = put(monkeypatch, asyncio.get_running_loop(), "sock_accept")
    async with running(home) as (relay, told), asyncio.timeout(20):
        await failing.worked.wait()
        host, _, port = relay.addresses[0].rpartition(":")
        async with await Talk.open(host, int(port)) as client:
            assert (await client.reply()).startswith("220 ")
    assert [each.what for each in told] == ["listener 127.0.0.1:0"] * TIMES


async def test_a_stop_that_fails_somewhere_still_closes_the_queue(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, real = [], ControlServer.stop

    async def fails(server: ControlServer, patience: float) -> None:
        left.append(server)
        raise RuntimeError("injected")

    async with running(home) as (_, told):
        monkeypatch.setattr(ControlServer, "stop", fails)
    await real(left[0])
    assert [each.what for each in told] == ["stop"]
    spool = SqliteSpool(home / "state" / "spool.db", clock=SystemClock(), allow_ephemeral=True)
    assert (await spool.open()).clean
    await spool.close()
