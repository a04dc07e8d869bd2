"""The relay is a list of services: started and reloaded in order, stopped in the opposite order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import Relay
from postbearer.daemon.plan import RelayPlan
from postbearer.daemon.service import Service, Services, Together
from postbearer.daemon.service_plan import ServicePlan
from postbearer.errors import ConfigError, StoreError
from postbearer.events import Defect, Warned
from postbearer.state import StateFolder
from support.configuration import COMPLETE
from support.local import short_folder
from support.relay import Ears, WaitingClock
from support.spooling import START
from support.submitting import Talk


class Toy(Service):
    """Notes in `diary` what is asked of it; fails at the step `fails`, with `error`."""

    def __init__(self, name: str, diary: list[str], fails: str = "", error: Exception | None = None) -> None:
        self.name = name
        self.diary = diary
        self.fails = fails
        self.error = error or RuntimeError("injected")

    async def start(self) -> None:
        self._step("start")

    async def reload(self, plan: ServicePlan) -> None:
        self._step("reload", f" {plan.relay.size}")

    async def stop(self, patience: float) -> None:
        self._step("stop", f" {patience:g}")

    def _step(self, step: str, more: str = "") -> None:
        self.diary.append(f"{step} {self.name}{more}")
        if step == self.fails:
            raise self.error


def toys(diary: list[str], fails: str = "", error: Exception | None = None) -> list[Service]:
    """Three; the second one fails."""
    return [Toy("a", diary), Toy("b", diary, fails, error), Toy("c", diary)]


async def test_services_start_in_order_and_stop_in_the_opposite_one() -> None:
    diary: list[str] = []
    services = Services(toys(diary), Ears())
    await services.start()
    services.add(Toy("late", diary))
    await services.stop(7.0)
    assert diary == ["start a", "start b", "start c", "stop c 7", "stop b 7", "stop a 7"]
    await services.stop(7.0)  # nothing is stopped twice
    assert len(diary) == 6


@pytest.mark.parametrize("error", [StoreError("no room"), ConfigError("wrong"), RuntimeError("a defect")])
@pytest.mark.parametrize("kind", [Services, Together])
async def test_a_start_that_fails_half_way_stops_what_began(kind: type[Services], error: Exception) -> None:
    diary: list[str] = []
    services = kind(toys(diary, "start", error), Ears())
    with pytest.raises(type(error)):
        await services.start()
    assert diary[:2] == ["start a", "start b"]
    assert sorted(diary[2:]) == ["stop a 0", "stop b 0"]  # b may have got half-way; c did not begin


async def test_a_start_that_is_given_up_stops_what_began() -> None:
    diary: list[str] = []
    began, never = asyncio.Event(), asyncio.Event()

    class Slow(Toy):
        async def start(self) -> None:
            await super().start()
            began.set()
            await never.wait()

    services = Services([Toy("a", diary), Slow("b", diary)], Ears())
    starting = asyncio.ensure_future(services.start())
    await began.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert diary[2:] == ["stop b 0", "stop a 0"]


@pytest.mark.parametrize("kind", [Services, Together])
async def test_a_stop_that_fails_keeps_no_other_from_it(kind: type[Services]) -> None:
    diary: list[str] = []
    ears = Ears()
    services = kind(toys(diary, "stop"), ears)
    await services.start()
    await services.stop(1.0)
    assert len(diary) == 6
    assert [event.what for event in ears.events if isinstance(event, Defect)] == ["stop"]


async def test_a_queue_that_cannot_be_closed_is_no_good_end() -> None:
    diary: list[str] = []
    ears = Ears()
    services = Services(toys(diary, "stop", StoreError("no room")), ears)
    await services.start()
    with pytest.raises(StoreError, match="no room"):
        await services.stop(1.0)
    assert diary[-1] == "stop a 1"
    assert ears.events == []


async def test_what_stops_together_does_not_wait_for_one_another() -> None:
    left: set[str] = set()
    both = asyncio.Event()

    class Patient(Service):
        def __init__(self, name: str) -> None:
            self.name = name

        async def stop(self, patience: float) -> None:
            left.add(self.name)
            if len(left) == 2:
                both.set()
            await both.wait()  # one after the other, this would never end

    services = Together([Patient("a"), Patient("b")], Ears())
    await services.start()
    async with asyncio.timeout(20):
        await services.stop(1.0)


# In the relay --------------------------------------------------------------------------------------


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        configure(folder)
        yield folder


def configure(home: Path, *lines: str, listen: str = "127.0.0.1:0") -> None:
    (home / "postbearer.toml").write_text(
        "\n".join([COMPLETE, "[relay]", f'listen = ["{listen}"]', *lines, ""])
    )


def load(home: Path) -> Assembly:
    environ = {"POSTBEARER_ALLOW_EPHEMERAL": "true"}
    return Assembly.load(home / "postbearer.toml", environ, state=StateFolder(home / "state"))


def relay(home: Path, ears: Ears) -> Relay:
    return Relay(load(home), observer=ears, clock=WaitingClock(START))


async def greeted(running: Relay) -> str:
    host, _, port = running.addresses[0].rpartition(":")
    async with await Talk.open(host, int(port)) as client:
        await client.reply()
        return await client.say("EHLO client.example.org")


async def test_a_service_more_is_one_line(home: Path) -> None:
    diary: list[str] = []
    running = relay(home, Ears())
    running.add(Toy("toy", diary))
    await running.start()
    assert "250" in await greeted(running)
    configure(home, "size = 1000000")
    await running.reload(load(home))
    await running.stop(0.0)
    assert diary == ["start toy", "reload toy 1000000", "stop toy 0"]


async def test_a_relay_whose_last_service_does_not_start_leaves_nothing_open(home: Path) -> None:
    diary: list[str] = []
    ears = Ears()
    running = relay(home, ears)
    running.add(Toy("toy", diary, "start", ConfigError("wrong")))
    with pytest.raises(ConfigError, match="wrong"):
        await running.start()
    assert diary == ["start toy", "stop toy 0"]
    assert not list((home / "state").glob("*.sock"))
    again = relay(home, ears)  # the queue is free, and was closed in order
    await again.start()
    await again.stop(0.0)
    assert not [event for event in ears.events if isinstance(event, Warned) and "properly" in event.text]


async def test_a_reload_that_meets_a_defect_half_way_changes_nothing(home: Path) -> None:
    diary: list[str] = []
    running = relay(home, Ears())
    running.add(Toy("toy", diary, "reload"))
    await running.start()
    before = await greeted(running)
    assert f"SIZE {RelayPlan.of(load(home)).size}" in before
    configure(home, "size = 1000000")
    with pytest.raises(RuntimeError, match="injected"):
        await running.reload(load(home))
    assert await greeted(running) == before
    await running.stop(0.0)


async def test_a_reload_that_is_refused_reaches_no_service(home: Path) -> None:
    diary: list[str] = []
    running = relay(home, Ears())
    running.add(Toy("toy", diary))
    await running.start()
    configure(home, listen="127.0.0.1:1")
    with pytest.raises(ConfigError, match="cannot change while the relay runs"):
        await running.reload(load(home))
    await running.stop(0.0)
    assert diary == ["start toy", "stop toy 0"]
