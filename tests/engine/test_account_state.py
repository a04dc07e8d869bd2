"""One account: how many connections it may use, and when."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from postbearer.address import Address
from postbearer.engine import AccountState, Channel
from postbearer.engine.account_state import GROW_AFTER
from postbearer.settings import Limits
from postbearer.store import Pause, Priority
from postbearer.testing import ManualClock
from support.relay import Provider, account


def account_state(clock: ManualClock, connections: int = 8) -> AccountState:
    made = account(limits=Limits(connections=connections))
    return AccountState(Channel(made, Provider(clock)), clock)


def test_connections_are_halved_and_come_back_one_by_one() -> None:
    clock = ManualClock()
    made = account_state(clock)
    for _ in range(8):
        made.begin()
    made.cut()
    assert made.connections == 4
    for _ in range(7):
        made.end()
    made.cut()
    assert made.connections == 1
    for _ in range(GROW_AFTER):
        made.went_well()
    assert made.connections == 2
    for _ in range(GROW_AFTER * 20):
        made.went_well()
    assert made.connections == 8


def test_rests_grow_and_one_message_tries_whether_they_are_over() -> None:
    clock = ManualClock()
    made = account_state(clock)
    rests = []
    for _ in range(6):
        made.rest(0)
        rests.append(made.resting)
        assert made.slots(clock.now()) == 0
        clock.advance(made.resting)
        assert made.slots(clock.now()) == 1
    assert rests == [15, 75, 225, 300, 300, 300]
    made.went_well()
    assert made.slots(clock.now()) == 8


def test_a_rest_is_as_long_as_the_server_asks() -> None:
    clock = ManualClock()
    made = account_state(clock)
    made.rest(42.0)
    assert made.resting == 42.0
    assert made.free_at(Priority.NORMAL, clock.now()) == clock.now() + 42.0


def test_a_pause_lets_one_through_when_its_time_has_come() -> None:
    clock = ManualClock()
    made = account_state(clock)
    made.pause = Pause(account="alerts", since=0, reason="x", probe=clock.now() + 900)
    assert made.slots(clock.now()) == 0
    assert made.free_at(Priority.NORMAL, clock.now()) == clock.now() + 900
    clock.advance(900)
    assert made.slots(clock.now()) == 1
    made.begin()
    assert made.slots(clock.now()) == 0
    made.pause = replace(made.pause, probe=None)
    assert made.free_at(Priority.NORMAL, clock.now()) == math.inf


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("app@example.org", True),
        ("root@host", False),
        ("root@localhost.localdomain", False),
        ("root@printer.local", False),
        ("root@host.", False),
    ],
)
def test_who_can_be_reached_with_a_report(address: str, expected: bool) -> None:
    assert Address.parse(address).deliverable is expected
