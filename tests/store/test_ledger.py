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


def at_once(clock: ManualClock) -> Callable[[Sequence[Charge]], float]:
    return lambda past: clock.now()


async def test_a_charge_is_remembered(ledger: Ledger, clock: ManualClock) -> None:
    await ledger.charge(3, at_once(clock))
    seen: list[Charge] = []
    await ledger.charge(1, lambda past: seen.extend(past) or clock.now())
    assert seen == [Charge(clock.now(), 3)]


async def test_a_slot_in_the_future_records_nothing(ledger: Ledger, clock: ManualClock) -> None:
    assert await ledger.charge(1, lambda past: clock.now() + 5) == clock.now() + 5
    assert await ledger.charge(1, lambda past: clock.now() + len(past)) == clock.now()


async def test_what_is_days_old_is_forgotten(ledger: Ledger, clock: ManualClock) -> None:
    await ledger.charge(1, at_once(clock))
    clock.advance(3 * 86_400)
    assert await ledger.charge(1, lambda past: clock.now() + len(past)) == clock.now()


async def test_callers_side_by_side_never_take_the_same_slot(ledger: Ledger, clock: ManualClock) -> None:
    def one_only(past: Sequence[Charge]) -> float:
        return clock.now() if not past else past[0].at + 10**6

    slots = await asyncio.gather(*(ledger.charge(1, one_only) for _ in range(10)))
    assert sorted(slots)[:2] == [clock.now(), clock.now() + 10**6]


async def test_two_ledgers_on_one_file_share_the_past(tmp_path: Path, clock: ManualClock) -> None:
    await FileLedger(tmp_path / "alerts", clock).charge(2, at_once(clock))
    seen: list[Charge] = []
    await FileLedger(tmp_path / "alerts", clock).charge(1, lambda past: seen.extend(past) or clock.now())
    assert [charge.recipients for charge in seen] == [2]


async def test_a_row_cut_short_by_a_crash_is_dropped_and_the_next_is_whole(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "alerts"
    ledger = FileLedger(path, clock)
    await ledger.charge(2, at_once(clock))
    path.write_bytes(path.read_bytes() + b"\x01\x02\x03")
    await ledger.charge(5, at_once(clock))
    seen: list[Charge] = []
    await ledger.charge(1, lambda past: seen.extend(past) or clock.now())
    assert [charge.recipients for charge in seen] == [2, 5]
