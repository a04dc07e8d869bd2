"""One contract for every ledger: deciding and recording are one step, and the past is remembered."""

import asyncio
import random
import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbearer.state import (
    Charge,
    ChargeHistory,
    Charges,
    FileLedger,
    Ledger,
    MemoryLedger,
    claimant,
    freed,
    since,
)
from postbearer.state.ledger import _Rows
from postbearer.testing import ManualClock
from support.persisting import EACH, PERSISTENCES

DAY = 86_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=EACH)
def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Ledger:
    return PERSISTENCES[request.param](request, tmp_path)().ledger(
        "alerts@example.org", "alerts", clock=clock
    )


class TickingClock(ManualClock):
    """A clock that goes on while one looks at it, as all real ones do."""

    def now(self) -> float:
        self.advance(0.001)
        return super().now()


def at_once(past: ChargeHistory, now: float) -> float:
    return now


def listed(past: ChargeHistory, now: float = 0.0) -> list[Charge]:
    return [Charge(past.at(one), past.total(one + 1) - past.total(one)) for one in range(len(past))]


async def made(ledger: Ledger, recipients: int = 1, who: int = 0) -> Charge:
    charge = await ledger.charge(recipients, at_once, who)
    assert isinstance(charge, Charge)
    return charge


async def test_a_charge_is_remembered(ledger: Ledger, clock: ManualClock) -> None:
    assert await ledger.charge(3, at_once) == Charge(clock.now(), 3)
    assert await ledger.look(listed) == [Charge(clock.now(), 3)]


async def test_a_slot_in_the_future_records_nothing(ledger: Ledger, clock: ManualClock) -> None:
    assert await ledger.charge(1, lambda past, now: now + 5) == clock.now() + 5
    assert await ledger.look(listed) == []


async def test_callers_side_by_side_never_take_the_same_slot(ledger: Ledger, clock: ManualClock) -> None:
    def one_only(past: ChargeHistory, now: float) -> float:
        return past.at(0) + 10**6 if len(past) else now

    slots = await asyncio.gather(*(ledger.charge(1, one_only) for _ in range(10)))
    assert len([slot for slot in slots if isinstance(slot, Charge)]) == 1
    assert {slot for slot in slots if isinstance(slot, float)} == {clock.now() + 10**6}


@pytest.mark.parametrize("kind", EACH)
async def test_a_charge_is_recorded_though_time_goes_on(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    ledger = PERSISTENCES[kind](request, tmp_path)().ledger(
        "alerts@example.org", "alerts", clock=TickingClock()
    )
    await made(ledger)
    await made(ledger)
    assert len(await ledger.look(listed)) == 2


async def test_two_ledgers_on_one_file_share_the_past(tmp_path: Path, clock: ManualClock) -> None:
    await made(FileLedger(tmp_path / "alerts", clock), 2)
    assert await FileLedger(tmp_path / "alerts", clock).look(listed) == [Charge(clock.now(), 2)]


@pytest.mark.parametrize("which", range(4))
async def test_what_is_given_back_was_never_made(ledger: Ledger, clock: ManualClock, which: int) -> None:
    charges = []
    for recipients in (3, 1, 4, 1):
        charges.append(await made(ledger, recipients))
        clock.advance(1.0)
    await ledger.give_back(charges[which])
    left = charges[:which] + charges[which + 1 :]
    assert await ledger.look(listed) == left
    await ledger.give_back(charges[which])  # once is enough
    assert await ledger.look(listed) == left
    assert await ledger.look(lambda past, now: past.total(len(past))) == sum(one[1] for one in left)


async def test_one_of_several_that_were_made_at_once_is_given_back(
    ledger: Ledger, clock: ManualClock
) -> None:
    for recipients in (2, 5, 2):
        charge = await made(ledger, recipients)
    await ledger.give_back(charge)
    assert sorted(await ledger.look(listed)) == [Charge(clock.now(), 2), Charge(clock.now(), 5)]


@pytest.mark.parametrize("ahead", [0.001, 3600.0, 10 * DAY])
async def test_what_a_clock_that_ran_ahead_made_counts_from_now_on(
    ledger: Ledger, clock: ManualClock, ahead: float
) -> None:
    early = await made(ledger, 7)
    clock.advance(ahead)
    for _ in range(3):
        await made(ledger, 2)
    clock.jump(early.at + 0.0005 - clock.now())
    now = clock.now()
    assert await ledger.look(listed) == [early, *[Charge(now, 2)] * 3]
    clock.advance(DAY + 1)
    assert await ledger.look(listed) == [early, *[Charge(now, 2)] * 3]  # and not from then on again


async def test_a_row_cut_short_by_a_crash_is_dropped_and_the_next_is_whole(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "alerts"
    ledger = FileLedger(path, clock)
    await made(ledger, 2)
    path.write_bytes(path.read_bytes() + b"\x01\x02\x03")
    await made(ledger, 5)
    assert [charge.recipients for charge in await ledger.look(listed)] == [2, 5]


@pytest.mark.parametrize("octets", [0, 5, 8, 100, 1023])
async def test_a_file_cut_short_as_it_was_made_begins_anew(
    tmp_path: Path, clock: ManualClock, octets: int
) -> None:
    path = tmp_path / "alerts"
    await made(FileLedger(path, clock), 2)
    path.write_bytes(path.read_bytes()[:octets])
    await made(FileLedger(path, clock), 5)
    assert [charge.recipients for charge in await FileLedger(path, clock).look(listed)] == [5]


async def test_what_does_not_matter_any_more_is_dropped(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "alerts"
    ledger = FileLedger(path, clock)
    sizes = []
    for _ in range(5):
        for _ in range(4096):
            await made(ledger, 2)
        sizes.append(path.stat().st_size)
        clock.advance(3 * DAY)
    assert sizes[-1] <= 2 * sizes[0]
    await made(ledger, 3)
    assert await ledger.look(lambda past, now: past.total(len(past)) - past.total(past.since(now - DAY))) == 3


async def test_ledgers_of_first_versions_are_taken_over_also_two_of_one_mailbox(
    tmp_path: Path, clock: ManualClock
) -> None:
    now, row = clock.now(), struct.Struct("<dI")
    (tmp_path / "one").write_bytes(row.pack(now - 30, 1) + row.pack(now - 10, 2) + b"torn")
    (tmp_path / "two").write_bytes(row.pack(now - 20, 3))
    path = tmp_path / "smtp=alerts@example.org"
    for name in ("one", "two"):
        await made(FileLedger(path, clock, formerly=[tmp_path / name]), 4)
    taken = await FileLedger(path, clock, formerly=[tmp_path / "one"]).look(listed)
    assert taken == [(now - 30, 1), (now - 20, 3), (now - 10, 2), (now, 4), (now, 4)]
    assert not (tmp_path / "one").exists()
    assert not (tmp_path / "two").exists()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("charge"), st.integers(1, 9)),
            st.tuples(st.just("back"), st.integers(0, 30)),
            st.tuples(st.just("wait"), st.sampled_from([0.0, 1.0, 3600.0, 40_000.0])),
            st.tuples(st.just("jump"), st.sampled_from([-0.5, -90_000.0, 90_000.0])),
        ),
        max_size=60,
    )
)
async def test_file_and_memory_agree_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, float]]
) -> None:
    clock = ManualClock()
    ledgers: list[Ledger] = [
        MemoryLedger(clock),
        FileLedger(tmp_path_factory.mktemp("ledger") / "one", clock),
    ]
    charges: list[Charge] = []
    for what, amount in steps:
        if what == "charge":
            for each in ledgers:
                charge = await made(each, int(amount))
            charges.append(charge)
        elif what == "back" and charges:
            charge = charges.pop(int(amount) % len(charges))
            for each in ledgers:
                await each.give_back(charge)
        elif what == "wait":
            clock.advance(amount)
        elif what == "jump":
            clock.jump(amount)
        seen = [await each.look(lambda past, now: (listed(past), past.since(now - DAY))) for each in ledgers]
        assert seen[0] == seen[1]
        assert seen[0][0] == sorted(seen[0][0], key=lambda charge: charge.at)


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.integers(1, 9))).map(sorted),
    st.floats(0, 1000),
    st.integers(1, 99),
)
def test_questions_are_answered_as_by_counting(
    rows: list[tuple[float, int]], when: float, recipients: int
) -> None:
    past = Charges([Charge(*row) for row in rows])
    assert since(past, when) == past.since(when) == sum(1 for at, _ in rows if at <= when)
    over = freed(past, recipients)
    assert sum(count for _, count in rows[:over]) < recipients
    assert over == len(rows) or sum(count for _, count in rows[: over + 1]) >= recipients


def filled(path: Path, clock: ManualClock, charges: int) -> FileLedger:
    """A ledger with so many charges of the last day."""
    asyncio.run(made(ledger := FileLedger(path, clock)))
    rows = b"".join(struct.pack("<dQ", clock.now() - DAY + 0.5 * one, one + 1) for one in range(charges))
    path.write_bytes(path.read_bytes()[:1024] + rows)
    return ledger


def test_a_charge_costs_the_same_however_many_there_are(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets: list[int] = []
    read, write = _Rows._read, _Rows._write

    def reading(rows: _Rows, place: int, size: int) -> bytes:
        octets.append(size)
        return read(rows, place, size)

    def writing(rows: _Rows, place: int, given: bytes) -> None:
        octets.append(len(given))
        write(rows, place, given)

    monkeypatch.setattr(_Rows, "_read", reading)
    monkeypatch.setattr(_Rows, "_write", writing)

    def today(past: ChargeHistory, now: float) -> float:
        past.total(past.since(now - DAY))
        return now

    costs = []
    for charges in (300, 100_000):
        ledger = filled(tmp_path / str(charges), clock, charges)
        octets.clear()
        asyncio.run(ledger.charge(1, today))
        costs.append(sum(octets))
    assert costs[1] <= 1.2 * costs[0]


async def shares(
    ledgers: dict[str, Ledger], clock: ManualClock, late: dict[str, float], turns: int
) -> Counter[str]:
    """How often each got the one slot that comes every two seconds, all of them wanting each."""
    who = {name: claimant() for name in ledgers}
    due = {name: clock.now() + late[name] for name in ledgers}
    had: Counter[str] = Counter()

    def decide(past: ChargeHistory, now: float) -> float:
        return past.at(-1) + 2.0 if len(past) and past.at(-1) + 2.0 > now else now

    while had.total() < turns:
        name = min(due, key=lambda each: due[each])
        clock.advance(max(0.0, due[name] - clock.now()))
        answer = await ledgers[name].charge(1, decide, who[name])
        if isinstance(answer, Charge):
            had[name] += 1
            due[name] = clock.now() + late[name]
        else:
            due[name] = answer + late[name]
    return had


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_who_is_slow_to_come_gets_as_many_turns_as_who_stands_in_the_front_row(
    tmp_path: Path, clock: ManualClock, kind: str
) -> None:
    late = {"relay": 0.3, "command": 0.001, "another": 0.002, "library": 0.01}
    shared = MemoryLedger(clock)
    ledgers: dict[str, Ledger] = {
        name: shared if kind == "memory" else FileLedger(tmp_path / "one", clock) for name in late
    }
    began = clock.now()
    had = await shares(ledgers, clock, late, 120)
    assert max(had.values()) - min(had.values()) <= 2
    assert clock.now() - began <= 120 * 2.35  # no slot was left unused for long


async def test_who_died_while_he_waited_holds_nobody_up_for_long(tmp_path: Path, clock: ManualClock) -> None:
    ledger = FileLedger(tmp_path / "one", clock)
    await made(ledger, who=claimant())
    for _ in range(40):
        assert isinstance(await ledger.charge(1, lambda past, now: now + 2.0, claimant()), float)
    clock.advance(2.0)
    began, slot = clock.now(), await ledger.charge(1, at_once, mine := claimant())
    while isinstance(slot, float):
        clock.advance(slot - clock.now())
        slot = await ledger.charge(1, at_once, mine)
    assert clock.now() - began <= 1.1


async def test_a_crowd_of_any_size_shares_the_file(tmp_path: Path, clock: ManualClock) -> None:
    dice = random.Random(1)
    late = {f"p{number}": dice.random() / 100 for number in range(12)}
    ledgers: dict[str, Ledger] = {name: FileLedger(tmp_path / "one", clock) for name in late}
    had = await shares(ledgers, clock, late, 120)
    assert max(had.values()) - min(had[name] for name in late) <= 2
