"""What was accepted is not forgotten because the log beside the database was lost, cut or damaged.

A relay is killed, something is done to its files, and it is started once, twice, or after a look: each time
all is there, or it is refused with what to do. What a kill alone leaves is taken up without a word.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.errors import StoreError
from postbearer.store import Found, SqliteSpool, Status
from postbearer.store.database import CHECKPOINT
from postbearer.testing import ManualClock
from support.spooling import START, accept, sqlite, statuses
from support.waiting import until

FRAME = 4096 + 24
FILES = ("spool.db", "spool.db-wal", "spool.generation")


def take(folder: Path, to: Path) -> Path:
    """What a killed process leaves there at this moment.

    The note first and the file last, as the log may come home meanwhile: a note is never ahead of its file.
    """
    to.mkdir()
    for name in reversed(FILES):
        shutil.copy(folder / name, to / name)
        (to / name).chmod(0o600)
    return to


def log(folder: Path) -> Path:
    return folder / "spool.db-wal"


async def started(folder: Path) -> tuple[SqliteSpool, Found]:
    spool = sqlite(folder, ManualClock(START))
    return spool, await spool.open()


async def serve(folder: Path) -> None:
    spool, _ = await started(folder)
    await spool.close()


async def look(folder: Path) -> None:
    spool = sqlite(folder, ManualClock(START))
    try:
        await spool.open(read_only=True)
    finally:
        await spool.close()


@pytest.fixture
async def killed(tmp_path: Path) -> Path:
    """Accepted since the log was begun: ten messages; and beside it what there was after five."""
    home = tmp_path / "home"
    home.mkdir()
    spool, _ = await started(home)
    for number in range(5):
        await accept(spool, f"m{number}")
    take(home, tmp_path / "earlier")
    for number in range(5, 10):
        await accept(spool, f"m{number}")
    await until(lambda: used_frames(home) == whole_frames(home))  # noted a moment after the answer
    left = take(home, tmp_path / "killed")
    await spool.close()
    return left


def whole_frames(folder: Path) -> int:
    """Frames of the log since it was begun: those with its salt, one after the other."""
    octets = log(folder).read_bytes()
    places = range(32, len(octets), FRAME)
    return next((n for n, at in enumerate(places) if octets[at + 8 : at + 16] != octets[16:24]), len(places))


def used_frames(folder: Path) -> int:
    """Frames of the log that count, as noted."""
    return int((folder / "spool.generation").read_text().split()[4], 16)


def removed(folder: Path) -> None:
    log(folder).unlink()


def cut(octets: Callable[[int], int]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        os.truncate(log(folder), octets(used_frames(folder)))

    return damage


def random_octets(folder: Path) -> None:
    log(folder).write_bytes(os.urandom(log(folder).stat().st_size))


def zeros(folder: Path) -> None:
    log(folder).write_bytes(bytes(log(folder).stat().st_size))


def flipped(place: Callable[[int], int]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        octets = bytearray(log(folder).read_bytes())
        octets[place(used_frames(folder))] ^= 1
        log(folder).write_bytes(octets)

    return damage


def older(folder: Path) -> None:
    shutil.copy(folder.parent / "earlier" / "spool.db-wal", log(folder))


def of_another(by: int) -> Callable[[Path], None]:
    """A log of another queue, whose salt happens to be `by` more: each queue begins anywhere."""

    def damage(folder: Path) -> None:
        octets = bytearray(log(folder).read_bytes())
        octets[16:20] = (int.from_bytes(octets[16:20]) + by & 0xFFFFFFFF).to_bytes(4)
        first = second = 0
        order = ">" if octets[3] & 1 else "<"
        words = struct.unpack(f"{order}6I", octets[:24])
        for even, odd in zip(words[::2], words[1::2], strict=True):
            first = first + even + second & 0xFFFFFFFF
            second = second + odd + first & 0xFFFFFFFF
        octets[24:32] = struct.pack(">2I", first, second)
        log(folder).write_bytes(octets)

    return damage


DAMAGES = {
    "removed": removed,
    "cut to nothing": cut(lambda frames: 0),
    "cut within its header": cut(lambda frames: 20),
    "cut to its header": cut(lambda frames: 32),
    "cut to ten pages": cut(lambda frames: 32 + 10 * FRAME),
    "cut by its last page": cut(lambda frames: 32 + (frames - 1) * FRAME),
    "cut within its last page": cut(lambda frames: 32 + frames * FRAME - 1),
    "random": random_octets,
    "zeros": zeros,
    "a bit of its header": flipped(lambda frames: 17),
    "a bit of its first page": flipped(lambda frames: 32 + 24 + 100),
    "a bit of its first frame's header": flipped(lambda frames: 32 + 5),
    "a bit in the middle": flipped(lambda frames: 32 + frames // 2 * FRAME + 24 + 2000),
    "a bit of its last page": flipped(lambda frames: 32 + frames * FRAME - 1),
    "an older one": older,
    **{f"another one, {by:+}": of_another(by) for by in (-1, 1 << 16, 1 << 30, (1 << 31) - 1, 1 << 31)},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_log_that_lost_a_piece_is_refused_whoever_comes_first(
    killed: Path, damage: Callable[[Path], None]
) -> None:
    damage(killed)
    before = {name: (killed / name).read_bytes() for name in FILES if (killed / name).exists()}
    for tries in (serve, serve, look, look, serve):
        with pytest.raises(StoreError, match="messages may be lost") as refused:
            await tries(killed)
        assert "Put it back" in refused.value.hint
        assert {name: (killed / name).read_bytes() for name in FILES if (killed / name).exists()} == before


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_after_a_proper_end_the_log_is_not_needed(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    home, earlier = tmp_path / "home", tmp_path / "earlier"
    home.mkdir()
    spool, _ = await started(home)
    await accept(spool, "m0")
    take(home, earlier)
    await accept(spool, "m1")
    await spool.close()
    if damage is older:
        shutil.copy(log(earlier), log(home))
    else:
        damage(home)
    await look(home)
    for _ in range(2):
        spool, found = await started(home)
        assert (found.clean, found.restored) == (True, False)
        assert await statuses(spool, "m0") + await statuses(spool, "m1") == [Status.READY] * 2
        await spool.told()
        await spool.close()


@pytest.mark.parametrize("damage", [removed, random_octets])
async def test_what_is_lost_for_good_is_given_up_on_purpose_and_the_rest_held(
    killed: Path, damage: Callable[[Path], None]
) -> None:
    damage(killed)
    log(killed).unlink(missing_ok=True)
    (killed / "spool.generation").unlink()
    spool, found = await started(killed)
    assert found.restored
    await accept(spool, "new")
    await spool.close()
    await serve(killed)


async def test_what_a_kill_leaves_is_taken_up_at_any_moment(tmp_path: Path) -> None:
    """Also where the log has just begun anew, or was brought home."""
    home = tmp_path / "home"
    home.mkdir()
    spool, _ = await started(home)
    for number in range(40):
        name = f"m{number}"
        await accept(spool, name, text=b"From: a@example.org\n\n" + b"x" * 4096 * (CHECKPOINT // 12))
        left = take(home, tmp_path / f"left{number}")
        await look(left)
        again, found = await started(left)
        assert not found.restored
        assert await statuses(again, name) == [Status.READY]
        await again.close()
        shutil.rmtree(left)
    await spool.close()


async def test_a_torn_end_that_nobody_was_promised_is_no_damage(killed: Path) -> None:
    """As a power cut leaves it: a commit that was not synced is in the log in part, out of order."""
    end = 32 + used_frames(killed) * FRAME
    octets = bytearray(log(killed).read_bytes())
    octets[end : end + 3 * FRAME] = os.urandom(3 * FRAME)
    log(killed).write_bytes(octets)
    spool, found = await started(killed)
    assert (found.clean, found.restored) == (False, False)
    assert await statuses(spool, "m9") == [Status.READY]
    await spool.close()


async def test_a_note_that_was_not_synced_before_the_power_went_may_be_behind(killed: Path) -> None:
    shutil.copy(killed.parent / "earlier" / "spool.generation", killed / "spool.generation")
    spool, found = await started(killed)
    assert not found.restored
    assert await statuses(spool, "m9") == [Status.READY]
    await spool.close()


async def test_an_older_copy_beside_a_newer_log_is_refused(tmp_path: Path) -> None:
    home, backup = tmp_path / "home", tmp_path / "backup"
    home.mkdir()
    await serve(home)
    backup.mkdir()
    shutil.copy(home / "spool.db", backup / "spool.db")
    spool, _ = await started(home)
    await accept(spool, "m1")
    left = take(home, tmp_path / "left")
    await spool.close()
    shutil.copy(backup / "spool.db", left / "spool.db")
    for tries in (serve, look, serve):
        with pytest.raises(StoreError, match="is an older copy") as refused:
            await tries(left)
        assert "move" in refused.value.hint
    log(left).unlink()
    spool, found = await started(left)
    assert found.restored
    await spool.close()


async def test_a_queue_that_is_gone_is_no_empty_one(killed: Path) -> None:
    for name in FILES[:2]:
        (killed / name).unlink()
    for tries in (serve, look, serve):
        with pytest.raises(StoreError, match="is gone"):
            await tries(killed)
    (killed / "spool.generation").unlink()
    await serve(killed)


@pytest.mark.parametrize("octets", [0, 10, 50, 83, 84, 85])
async def test_half_a_note_lets_what_waits_be_held(killed: Path, octets: int) -> None:
    file = killed / "spool.generation"
    file.write_bytes(file.read_bytes()[:octets])
    spool, found = await started(killed)
    assert found.restored == (octets < 84)  # all but the end of its line
    if octets < 84:
        assert found.held == 10
    await spool.close()


async def test_a_note_of_an_older_version_is_taken_up(killed: Path) -> None:
    file = killed / "spool.generation"
    file.write_bytes(file.read_bytes()[:33] + b"\n")
    spool, found = await started(killed)
    assert not found.restored
    assert await statuses(spool, "m9") == [Status.READY]
    await spool.close()
    assert used_frames(killed) > 0
