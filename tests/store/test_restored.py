"""A queue from a backup knows nothing of what was sent since: it waits for a person, and says so."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from postbearer.errors import StoreError
from postbearer.store import Found, SqliteSpool, Status
from postbearer.testing import ManualClock
from support.spooling import START, accept, claim, ending, sqlite, statuses


async def opened(folder: Path) -> tuple[SqliteSpool, Found]:
    spool = sqlite(folder, ManualClock(START))
    return spool, await spool.open()


def back_up(folder: Path, to: Path) -> None:
    """As an administrator does it while the relay runs."""
    source = apsw.Connection(str(folder / "spool.db"), apsw.SQLITE_OPEN_READONLY)
    target = apsw.Connection(str(to))
    with target.backup("main", source, "main") as copying:
        copying.step()
    target.close()
    source.close()


def take_away(folder: Path) -> None:
    for left in folder.glob("spool.db*"):
        left.unlink()


def put_back(backup: Path, folder: Path) -> None:
    take_away(folder)
    (folder / "spool.db").write_bytes(backup.read_bytes())
    (folder / "spool.db").chmod(0o600)


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    """A spool with a backup from before one of two messages was delivered."""
    folder = tmp_path / "state"
    folder.mkdir()
    spool, found = await opened(folder)
    assert not found.restored
    await accept(spool, "sent")
    await accept(spool, "waits", client="other")
    back_up(folder, tmp_path / "backup.db")
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    await spool.close()
    return folder


async def test_what_waits_in_a_backup_waits_for_a_person(home: Path) -> None:
    put_back(home.parent / "backup.db", home)
    spool, found = await opened(home)
    assert (found.restored, found.held) == (True, 2)
    assert "so 2 messages are held" in found.what_is_held
    for name in ("sent", "waits"):
        entry = await spool.show(name)
        assert entry is not None
        [row] = entry.rows
        assert (row.status, row.unknown) == (Status.HELD, True)
        assert "restored from an older copy" in row.cause
    assert await spool.lanes(START) == []
    await accept(spool, "new")
    assert await statuses(spool, "new") == [Status.READY]
    assert await spool.change("waits", Status.READY, START) == 1
    await spool.told()
    await spool.close()

    spool, found = await opened(home)  # it was decided: another start holds nothing
    assert (found.restored, found.held) == (False, 0)
    assert await statuses(spool, "waits") == [Status.READY]
    await spool.close()


async def test_on_a_new_machine_too(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    put_back(tmp_path / "backup.db", other)
    spool, found = await opened(other)
    assert (found.restored, found.held) == (True, 2)
    await spool.close()


async def test_a_restart_is_no_restore(home: Path) -> None:
    for _ in range(3):
        spool, found = await opened(home)
        assert not found.restored
        assert await statuses(spool, "waits") == [Status.READY]
        await spool.close()


async def test_what_is_held_is_told_until_somebody_was_told(home: Path) -> None:
    put_back(home.parent / "backup.db", home)
    seen = sqlite(home, ManualClock(START))
    found = await seen.open(read_only=True)
    assert (found.restored, found.held, found.ahead) == (True, 2, True)
    assert "2 messages will be held when the relay starts" in found.what_is_held
    await seen.close()
    for _ in range(2):  # the first run is over before it said anything
        spool, found = await opened(home)
        assert (found.restored, found.held) == (True, 2)
        await spool.close()
    spool, _ = await opened(home)
    await spool.told()
    await spool.close()
    spool, found = await opened(home)
    assert not found.restored
    await spool.close()


async def test_a_backup_of_the_run_that_was_killed_is_put_back_without_the_note(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    spool, _ = await opened(folder)
    await accept(spool, "waits")
    back_up(folder, tmp_path / "backup.db")
    left = tmp_path / "left"
    left.mkdir()
    (left / "spool.generation").write_bytes((folder / "spool.generation").read_bytes())
    await spool.close()
    put_back(tmp_path / "backup.db", left)
    with pytest.raises(StoreError, match="messages may be lost") as refused:
        await opened(left)
    assert "comes from a backup" in refused.value.hint
    (left / "spool.generation").unlink()
    spool, found = await opened(left)
    assert (found.restored, found.held) == (True, 1)
    await spool.close()
