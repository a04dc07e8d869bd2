"""One contract for every ledger: deciding and recording are one step, and the past is remembered."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from postbearer.store import Charge, FileLedger, Ledger, MemoryLedger
from postbearer.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Ledger:
    return MemoryLedger(clock) if request.param == "memory" else FileLedger(tmp_path / "alerts", clock)


class TickingClock(ManualClock):
    """A clock that goes on while one looks at it, as all real ones do."""

    def now(self) -> float:
        self.advance(0.001)
        return super().now()


def at_once(past: Sequence[Charge], now: float) -> float:
    return now


def note(seen: list[Charge]) -> Callable[[Sequence[Charge], float], float]:
    def noting(past: Sequence[Charge], now: float) -> float:
        seen.extend(past)
        return now

    return noting


async def test_a_charge_is_remembered(ledger: Ledger, clock: ManualClock) -> None:
    await ledger.charge(3, at_once)
    seen: list[Charge] = []
    await ledger.charge(1, note(seen))
    assert seen == [Charge(clock.now(), 3)]


async def test_a_slot_in_the_future_records_nothing(ledger: Ledger, clock: ManualClock) -> None:
    assert await ledger.charge(1, lambda past, now: now + 5) == clock.now() + 5
    assert await ledger.charge(1, lambda past, now: now + len(past)) is None


async def test_what_is_days_old_is_forgotten(ledger: Ledger, clock: ManualClock) -> None:
    await ledger.charge(1, at_once)
    clock.advance(3 * 86_400)
    assert await ledger.charge(1, lambda past, now: now + len(past)) is None


async def test_callers_side_by_side_never_take_the_same_slot(ledger: Ledger, clock: ManualClock) -> None:
    def one_only(past: Sequence[Charge], now: float) -> float:
        return now if not past else past[0].at + 10**6

    slots = await asyncio.gather(*(ledger.charge(1, one_only) for _ in range(10)))
    assert slots.count(None) == 1
    assert {slot for slot in slots if slot is not None} == {clock.now() + 10**6}


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_a_charge_is_recorded_though_time_goes_on(tmp_path: Path, kind: str) -> None:
    clock = TickingClock()
    ledger: Ledger = MemoryLedger(clock) if kind == "memory" else FileLedger(tmp_path / "alerts", clock)
    seen: list[Charge] = []
    assert await ledger.charge(1, at_once) is None
    assert await ledger.charge(1, note(seen)) is None
    assert len(seen) == 1


async def test_two_ledgers_on_one_file_share_the_past(tmp_path: Path, clock: ManualClock) -> None:
    await FileLedger(tmp_path / "alerts", clock).charge(2, at_once)
    seen: list[Charge] = []
    await FileLedger(tmp_path / "alerts", clock).charge(1, note(seen))
    assert [charge.recipients for charge in seen] == [2]


async def test_a_row_cut_short_by_a_crash_is_dropped_and_the_next_is_whole(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "alerts"
    ledger = FileLedger(path, clock)
    await ledger.charge(2, at_once)
    path.write_bytes(path.read_bytes() + b"\x01\x02\x03")
    await ledger.charge(5, at_once)
    seen: list[Charge] = []
    await ledger.charge(1, note(seen))
    assert [charge.recipients for charge in seen] == [2, 5]
