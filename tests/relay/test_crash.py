"""A relay that is killed at every step and at any moment: whatever it answered by 250 arrives."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.campaign import Campaign, Row

# What is done, before or after its commit; `n`: the how manieth time it is done.
POINTS = [f"{what}.{when}" for what in ("accept", "attempt", "done", "dsn") for when in ("before", "after")]
FEW, MANY = (1, 6, 40), (1, 2, 3, 4, 5, 8, 13, 21, 34, 55, 89, 144, 233)

Tell = Callable[[Row], None]


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_a_named_point(home: Path, tell: Tell, long: bool, point: str) -> None:
    with Campaign(home / "relay", POINTS.index(point), refused=0.3 if "dsn" in point else 0.02) as campaign:
        for n in MANY if long else FEW:
            assert campaign.die_at(f"{point}:{n}"), f"{point} was not reached {n} times"
        row, found = await campaign.outcome("killed", point)
    tell(row)
    assert found.bad == {}
    assert found.accepted > 0
    if point in ("attempt.after", "done.before"):
        assert found.windows.get("DUP-MARK", 0) > 0  # the one place in which a copy may leave twice


async def test_killed_while_it_removes_what_is_done(home: Path, tell: Tell) -> None:
    with Campaign(home / "relay", 50) as campaign:
        for point in ("purge.before", "purge.after"):
            campaign.kill_after(0.1)
            assert campaign.die_at(point)  # at the start, which looks for what can go
        row, found = await campaign.outcome("killed", "purge")
    tell(row)
    assert found.bad == {}


async def test_killed_at_any_moment_under_load(home: Path, tell: Tell, long: bool) -> None:
    dice = random.Random(7)
    with Campaign(home / "relay", 100, refused=0.02) as campaign:
        for _ in range(200 if long else 10):
            campaign.kill_after(dice.uniform(0.0, 0.4))
        row, found = await campaign.outcome("killed", "at random")
    tell(row)
    assert found.bad == {}


@pytest.mark.servers
async def test_killed_at_any_moment_under_load_from_smtp_source(home: Path, tell: Tell, long: bool) -> None:
    dice = random.Random(8)
    with Campaign(home / "relay", 200) as campaign:
        for _ in range(100 if long else 6):
            campaign.kill_after(dice.uniform(0.1, 0.5), source=True)
        row, found = await campaign.outcome("killed", "at random, smtp-source")
    tell(row)
    assert found.bad == {}
    assert found.accepted > 100
