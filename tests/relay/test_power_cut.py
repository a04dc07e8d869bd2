"""The power fails: what was answered by 250 is on the disk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay.campaign import Campaign, Row
from relay.disk import PowerDisk, power_disk

pytestmark = pytest.mark.servers
UNSAFE = Path(__file__).with_name("unsafe.py")

Tell = Callable[[Row], None]


@pytest.fixture
def disk(home: Path) -> Iterator[PowerDisk]:
    with power_disk(home) as made:
        yield made


def cut(
    campaign: Campaign, disk: PowerDisk, seconds: float, *, paused: bool, program: Path | None = None
) -> None:
    """Send for `seconds`, then the power fails; `paused`: nothing has left by then."""
    relay = campaign.relay
    assert relay.start(program=program), relay.log
    if paused:
        relay.ask("accounts.pause", name="out")
    campaign.load.start(relay.port)
    time.sleep(seconds)
    disk.cut()
    relay.kill()
    campaign.load.finish()
    campaign.kills += 1
    disk.unmount()
    disk.mount()


async def finish(campaign: Campaign, fault: str) -> Row:
    """Let it all out, and compare."""
    assert campaign.relay.start(), campaign.relay.log
    campaign.relay.ask("accounts.resume", name="out")
    campaign.relay.drain()
    row, found = await campaign.outcome(fault)
    assert not {name: each for name, each in found.bad.items() if name != "lost"}
    return row


async def test_the_power_fails_under_load(home: Path, disk: PowerDisk, tell: Tell, long: bool) -> None:
    dice = random.Random(9)
    with Campaign(home / "relay", 400, spool=disk.path / "spool.db") as campaign:
        for number in range(50 if long else 4):
            cut(campaign, disk, dice.uniform(0.1, 0.6), paused=bool(number % 2))
        row = await finish(campaign, "power cut")
    tell(row)
    assert row.lost == 0
    assert row.accepted > 50


async def test_without_the_sync_the_same_loses_mail(home: Path, disk: PowerDisk, tell: Tell) -> None:
    fault = "power cut, control run with synchronous=NORMAL: has to lose"
    for number in range(
        5
    ):  # a cut may come just behind a checkpoint, or the kernel's own write-back, which sync
        with Campaign(home / f"relay{number}", 500 + number, spool=disk.path / f"{number}.db") as campaign:
            for _ in range(3):
                cut(campaign, disk, 0.3, paused=True, program=UNSAFE)
            row = await finish(campaign, fault)
        if row.lost:
            break
    tell(replace(row, control=True))
    assert row.lost > 0
