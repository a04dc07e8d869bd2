"""How much room a disk has is looked up as often as it could matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.store.location import MOMENT, PLENTY, DiskSpace
from postbearer.testing import ManualClock

RESERVE = 1_000_000


class Disk:
    """Answers as statvfs(3) does, and counts how often it is asked."""

    f_blocks, f_frsize, f_files, f_favail = 1 << 50, 1, 0, 0

    def __init__(self) -> None:
        self.f_bavail = RESERVE + 2 * PLENTY
        self.looks = 0

    def __call__(self, folder: Path) -> Disk:
        self.looks += 1
        return self


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr("os.statvfs", made)
    return made


def test_where_there_is_plenty_one_look_is_good_for_a_moment(disk: Disk) -> None:
    clock = ManualClock()
    room = DiskSpace(Path(), RESERVE, clock)
    assert [room.missing(4096) for _ in range(100)] == [0] * 100
    assert disk.looks == 1
    clock.advance(MOMENT)
    disk.f_bavail = 0
    assert room.missing(4096) == RESERVE + 4096


def test_it_is_looked_at_as_seldom_while_nothing_is_accepted(disk: Disk) -> None:
    clock = ManualClock()
    room = DiskSpace(Path(), RESERVE, clock)
    assert not any(room.tight() for _ in range(100))
    assert disk.looks == 1
    clock.advance(MOMENT)
    disk.f_bavail = 0
    assert room.tight()


def test_where_room_is_short_each_message_is_a_look(disk: Disk) -> None:
    room = DiskSpace(Path(), RESERVE, ManualClock())
    disk.f_bavail = RESERVE + PLENTY
    assert room.missing(4096) == 0
    disk.f_bavail = RESERVE
    assert room.missing(4096) == 4096


def test_what_is_huge_is_looked_for_anew(disk: Disk) -> None:
    room = DiskSpace(Path(), RESERVE, ManualClock())
    assert room.missing(4096) == 0
    assert room.missing(3 * PLENTY) == PLENTY
