"""The budget: never over the provider's limit in any window, and no slot wasted."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.engine import Budget, next_slot
from postbearer.settings import Limits
from postbearer.state import Charge, Charges, MemoryLedger
from postbearer.testing import ManualClock

MICROSOFT = Limits(messages_per_minute=30, recipients_per_day=10_000)


def times_of(past: Charges) -> list[float]:
    return [past.at(index) for index in range(len(past))]


def send_all(
    count: int, limits: Limits, *, start: float = 0.0, recipients: int = 1, late: float = 0.0
) -> list[float]:
    """When `count` waiting messages leave, one after the other, as early as they may.

    Each timer rings `late` seconds behind its time.
    """
    past = Charges()
    now = start
    for _ in range(count):
        while (slot := next_slot(past, limits, now=now, recipients=recipients)) > now:
            now = slot + late
        past.add(Charge(now, recipients))
    return times_of(past)


def most_in_any(window: float, times: list[float]) -> int:
    return max(sum(1 for other in times if at <= other < at + window) for at in times)


def test_an_account_without_limits_never_waits() -> None:
    assert not Limits(connections=5, recipients_per_message=100, size=1000).budgeted
    assert next_slot(Charges([Charge(0, 1)] * 1000), Limits(), now=0, recipients=500) == 0


def test_half_a_minutes_messages_go_at_once_and_the_rest_is_paced() -> None:
    times = send_all(20, MICROSOFT)
    assert times[:15] == [0.0] * 15
    steps = [later - earlier for earlier, later in pairwise(times[14:])]
    assert steps == pytest.approx([60.5 / 30] * 5)


def test_never_more_than_the_limit_in_any_minute() -> None:
    assert most_in_any(60.0, send_all(500, MICROSOFT)) <= 30


def test_a_backlog_uses_nearly_all_of_the_limit() -> None:
    times = send_all(1800, MICROSOFT)
    sent_in_an_hour = sum(1 for at in times if at < 3600)
    assert sent_in_an_hour >= 0.99 * 1800


@pytest.mark.parametrize("late", [0.005, 0.03])
def test_what_timers_lose_does_not_add_up(late: float) -> None:
    times = send_all(1800, MICROSOFT, late=late)
    assert sum(1 for at in times if at < 3600) >= 0.99 * 1800
    assert most_in_any(60.0, times) <= 30


def test_after_a_late_message_the_next_come_a_little_closer_and_never_at_once() -> None:
    gap = 60.5 / 30
    past = Charges([Charge(gap * number, 1) for number in range(40)])
    past.add(Charge(past.at(-1) + gap + 1.0, 1))  # the processor had other things to do
    now = past.at(-1)
    assert next_slot(past, MICROSOFT, now=now, recipients=1) == pytest.approx(now + 0.9 * gap)


def test_recipients_are_counted_over_a_day() -> None:
    past = Charges([Charge(100.0, 6000), Charge(200.0, 3900)])
    assert next_slot(past, MICROSOFT, now=1000.0, recipients=100) == 1000.0
    assert next_slot(past, MICROSOFT, now=1000.0, recipients=101) == 100.0 + 86_400


def test_a_message_for_more_than_a_whole_day_goes_when_the_day_is_empty() -> None:
    limits = Limits(recipients_per_day=100)
    assert next_slot(Charges(), limits, now=0.0, recipients=500) == 0.0
    assert next_slot(Charges([Charge(10.0, 1)]), limits, now=20.0, recipients=500) == 10.0 + 86_400


def test_messages_per_day() -> None:
    past = Charges([Charge(float(at), 1) for at in range(500)])
    assert next_slot(past, Limits(messages_per_day=500), now=1000.0, recipients=1) == 86_400.0


@given(
    st.integers(1, 40),
    st.lists(st.floats(0, 120), min_size=1, max_size=60).map(sorted),
)
def test_whenever_messages_come_no_window_is_ever_exceeded(limit: int, arrivals: list[float]) -> None:
    limits = Limits(messages_per_minute=limit)
    past = Charges()
    now = 0.0
    for arrival in arrivals:
        now = max(now, arrival)
        while (slot := next_slot(past, limits, now=now, recipients=1)) > now:
            now = slot
        past.add(Charge(now, 1))
    assert most_in_any(60.0, times_of(past)) <= limit


@given(
    st.builds(
        Limits,
        messages_per_minute=st.none() | st.integers(1, 60),
        messages_per_day=st.none() | st.integers(1, 60),
        recipients_per_day=st.none() | st.integers(1, 120),
    ),
    st.lists(st.floats(0, 30), max_size=60),
)
async def test_as_many_as_may_begin_together_really_may(limits: Limits, gaps: list[float]) -> None:
    clock = ManualClock()
    budget = Budget(MemoryLedger(clock), limits, clock)
    for gap in gaps:
        clock.advance(gap)
        await budget.take(2)
        for _ in range(budget.together if budget.together > 1 else 0):
            assert isinstance(await budget.take(2), Charge)


async def test_far_from_spent_several_begin_together_and_near_it_one_by_one() -> None:
    clock = ManualClock()
    budget = Budget(MemoryLedger(clock), Limits(messages_per_minute=60), clock)
    assert budget.together == 1  # nobody looked yet
    together = []
    for _ in range(30):
        assert isinstance(await budget.take(1), Charge)
        together.append(budget.together > 1)
    assert together == [True] * 22 + [False] * 8
