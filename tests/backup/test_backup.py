"""A backup is whole or refused; what is restored is what was there, and nothing is changed by half."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.backup import ASIDE, Archive, BackupPart, RelayPaths, restore, write_archive
from postbearer.backup.archive import LIST, Contents
from postbearer.errors import PostbearerError, StoreError, UsageError
from postbearer.store import Query, Spool, Status
from postbearer.store.database import APPLICATION
from postbearer.testing import ManualClock
from support.spooling import START, accept, sqlite, statuses

EVERYTHING = tuple(BackupPart)
CLOCK = ManualClock(START)


def places_in(folder: Path) -> RelayPaths:
    state = folder / "state"
    return RelayPaths(state, state / "spool.db", folder / "config" / "postbearer.toml")


def made(folder: Path) -> RelayPaths:
    """What a relay has, but for its queue; with things that come and go."""
    places = places_in(folder)
    for path, content in {
        "config/postbearer.toml": "[accounts.alerts]\n",
        "config/providers/own.toml": 'name = "own"\n',
        "config/other-program.toml": "not ours\n",
        "state/key": "canary-key",
        "state/tokens/alerts": "sealed",
        "state/tokens/alerts.lock": "",
        "state/budgets/alerts@example.org": "30",
        "state/drop/mail": "on its way",
        "state/.restore-x/key": "left by a restore that was killed",
        f"state/{ASIDE}20261130/key": "an older key",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return places


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    made(tmp_path)
    spool = sqlite(tmp_path / "state", CLOCK)
    await spool.open()
    await accept(spool, "waits")
    yield spool
    await spool.close()


def back_up(places: RelayPaths, target: Path) -> Path:
    write_archive(str(target), places, CLOCK)
    return target


def put_back(archive: Path, places: RelayPaths, aside: str = "") -> list[Path]:
    with Archive.open(str(archive)) as opened:
        return restore(opened, places, EVERYTHING, aside=aside)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_what_a_running_relay_has_comes_back_on_another_machine(spool: Spool, tmp_path: Path) -> None:
    archive = back_up(places_in(tmp_path), tmp_path / "backup.tar")
    assert archive.stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    (other / "state").mkdir(parents=True)
    put_back(archive, places_in(other))
    assert sorted(tree(other)) == [
        "config/postbearer.toml",
        "config/providers/own.toml",
        "state/budgets/alerts@example.org",
        "state/key",
        "state/spool.db",
        "state/spool.lock",
        "state/tokens/alerts",
    ]
    for name in ("config/postbearer.toml", "state/key", "state/tokens/alerts"):
        assert (other / name).read_bytes() == (tmp_path / name).read_bytes()
        assert (other / name).stat().st_mode & 0o777 == 0o600
    copy = sqlite(other / "state", CLOCK)
    found = await copy.open()
    assert (found.restored, found.held) == (True, 1)
    assert await statuses(copy, "waits") == [Status.HELD]
    await copy.close()
    assert await statuses(spool, "waits") == [Status.READY]


async def test_the_copy_is_of_one_moment_while_mail_comes_in(spool: Spool, tmp_path: Path) -> None:
    """Of mail that is accepted one by one, the copy has all up to some message, and none behind it."""
    going = True

    async def busy() -> int:
        number = 0
        while going or number < 20:
            await accept(spool, f"m{number:04}", text=os.urandom(20_000).hex().encode())
            number += 1
        return number

    task = asyncio.create_task(busy())
    archives = []
    for number in range(3):
        target = tmp_path / f"backup{number}.tar"
        archives.append(await asyncio.to_thread(back_up, places_in(tmp_path), target))
    going = False
    accepted = await task
    for number, archive in enumerate(archives):
        other = tmp_path / f"other{number}"
        put_back(archive, places_in(other))
        copy = sqlite(other / "state", CLOCK)
        await copy.open()
        names = sorted(e.message.id for e in await copy.search(Query(limit=1000)) if e.message.id[0] == "m")
        assert names == [f"m{each:04}" for each in range(len(names))]
        assert len(names) <= accepted
        await copy.close()


async def test_a_queue_at_rest_is_left_as_it_is(tmp_path: Path) -> None:
    places = made(tmp_path)
    spool = sqlite(places.state, CLOCK)
    await spool.open()
    await accept(spool, "waits")
    await spool.close()
    before = tree(tmp_path)
    back_up(places, tmp_path / "backup.tar")
    after = tree(tmp_path)
    del after["backup.tar"]
    for passing in ("state/spool.lock", "state/spool.db-shm"):
        del before[passing], after[passing]
    assert after == before


@pytest.mark.parametrize("place", ["state/deep/mail.db", "elsewhere/mail.db"])
async def test_a_queue_goes_where_the_restored_configuration_has_it(tmp_path: Path, place: str) -> None:
    places = made(tmp_path)
    queue = tmp_path / place
    queue.parent.mkdir(parents=True)
    (tmp_path / "spool").mkdir()
    spool = sqlite(tmp_path / "spool", CLOCK)
    await spool.open()
    await spool.close()
    os.rename(tmp_path / "spool" / "spool.db", queue)
    os.rename(tmp_path / "spool" / "spool.generation", queue.with_suffix(".generation"))
    places = RelayPaths(places.state, queue, places.configuration)
    contents = write_archive(str(tmp_path / "backup.tar"), places, CLOCK)
    moved = tmp_path / "other" / "state"
    expected = moved / "deep/mail.db" if place.startswith("state") else queue
    assert contents.place_of_queue(moved) == expected


async def test_what_is_there_stays_unless_it_may_be_moved_aside(spool: Spool, tmp_path: Path) -> None:
    archive = back_up(places_in(tmp_path), tmp_path / "backup.tar")
    other = tmp_path / "other"
    places = made(other)
    (places.state / "tokens/of-another-key").write_text("old")
    (places.state / "spool.generation").write_text("7")
    before = tree(other)
    with pytest.raises(UsageError, match="is there already"):
        put_back(archive, places)
    after = tree(other)
    del after["state/spool.lock"]
    assert after == before
    moved = put_back(archive, places, aside=f"{ASIDE}now")
    assert {each.name for each in moved} == {f"{ASIDE}now"}
    there = tree(other)
    assert there[f"state/{ASIDE}now/key"] == b"canary-key"
    assert there[f"state/{ASIDE}now/spool.generation"] == b"7"
    assert there[f"state/{ASIDE}now/tokens/of-another-key"] == b"old"
    assert "state/tokens/of-another-key" not in there  # the restored key does not open it
    assert "state/spool.generation" not in there  # or the queue would pass for the one that was here
    assert there["state/drop/mail"] == b"on its way"
    assert there["config/other-program.toml"] == b"not ours\n"


async def test_a_relay_that_has_the_queue_open_is_not_restored_over(spool: Spool, tmp_path: Path) -> None:
    archive = back_up(places_in(tmp_path), tmp_path / "backup.tar")
    before = tree(tmp_path / "state")
    with pytest.raises(StoreError, match="in use by another process"):
        put_back(archive, places_in(tmp_path), aside=f"{ASIDE}now")
    assert tree(tmp_path / "state") == before


def test_a_queue_of_a_newer_version_is_refused_before_anything_changes(tmp_path: Path) -> None:
    with closing(apsw.Connection(str(tmp_path / "newer.db"))) as connection:
        connection.pragma("application_id", APPLICATION)
        connection.pragma("user_version", 999)
    content = forged(member("queue/spool.db", (tmp_path / "newer.db").read_bytes()))
    assert "newer postbearer" in refused(content, tmp_path)


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    places = made(tmp_path)
    (tmp_path / "backup.tar").write_text("mine")
    with pytest.raises(FileExistsError):
        back_up(places, tmp_path / "backup.tar")
    assert (tmp_path / "backup.tar").read_text() == "mine"


# A file that is not as it was written ------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without a queue, so that every octet can be tried."""
    folder = tmp_path_factory.mktemp("small")
    return back_up(made(folder), folder / "backup.tar")


def refused(content: bytes, folder: Path) -> str:
    """How a file is refused. Nothing may be left behind."""
    (folder / "given.tar").write_bytes(content)
    with pytest.raises(PostbearerError) as caught:
        put_back(folder / "given.tar", places_in(folder / "other"))
    assert tree(folder / "other").keys() <= {"state/spool.lock"}
    return str(caught.value)


@given(st.data())
def test_one_that_is_cut_short_is_refused_wherever_it_ends(
    small: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = small.read_bytes()
    end = whole.rindex(b"}") + 1  # what follows is padding
    cut = data.draw(st.one_of(st.integers(0, end - 1), st.sampled_from(range(0, end, 512))))
    assert "short" in refused(whole[:cut], tmp_path_factory.mktemp("cut"))


@given(st.data())
def test_one_that_was_altered_is_refused_or_the_same(
    small: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(small.read_bytes())
    at = data.draw(st.integers(0, whole.rindex(b"}")))
    whole[at] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.mktemp("altered")
    (folder / "given.tar").write_bytes(whole)
    try:
        put_back(folder / "given.tar", places_in(folder / "other"))
    except PostbearerError:
        assert tree(folder / "other") == {}
    else:  # padding, or a field of the tar that nothing depends on
        restored = tree(folder / "other")
        assert restored.pop("config/postbearer.toml") == b"[accounts.alerts]\n"
        assert restored.pop("state/key") == b"canary-key"


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, "/etc/passwd"
    found.size = len(content) if kind == tarfile.REGTYPE else 0
    return found, content


def forged(*members: tuple[tarfile.TarInfo, bytes], listed: bool = True, **fields: object) -> bytes:
    """A backup by somebody who knows its form."""
    from hashlib import sha256

    names = {
        each.name: {"size": len(content), "sha256": sha256(content).hexdigest()} for each, content in members
    }
    about = {"format": 1, "postbearer": "0.1.0", "made": 0.0, "queue": "spool.db", "members": names, **fields}
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for each, content in [*members, *([member(LIST, msgspec.json.encode(about))] if listed else [])]:
            tar.addfile(each, io.BytesIO(content))
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: b"", "no backup"),
        (lambda: b"SQLite format 3\0" * 100, "no backup"),
        (lambda: forged(member("state/../../evil")), "belongs to no part"),
        (lambda: forged(member("/etc/evil")), "belongs to no part"),
        (lambda: forged(member("state//evil")), "belongs to no part"),
        (lambda: forged(member("state")), "belongs to no part"),
        (lambda: forged(member("elsewhere/evil")), "belongs to no part"),
        (lambda: forged(member("state/link", kind=tarfile.SYMTYPE)), "is no file"),
        (lambda: forged(member("state/link", kind=tarfile.LNKTYPE)), "is no file"),
        (lambda: forged(member("state/pipe", kind=tarfile.FIFOTYPE)), "is no file"),
        (lambda: forged(member("state/device", kind=tarfile.CHRTYPE)), "is no file"),
        (lambda: forged(member("state/a"), member("state/a", b"y")), "in it twice"),
        (lambda: forged(member("state/a"), listed=False), "cut short"),
        (lambda: forged(member("state/a"), members={}), "not as it was written"),
        (lambda: forged(member(LIST, b"{}")), "list of files"),
        (lambda: forged(member("state/a"), format=2), "in form 2"),
        (lambda: forged(member("state/a"), members=7), "list of files"),
        (lambda: forged(member("queue/spool.db", b"x" * 4096)), "damaged"),
    ],
)
def test_what_no_backup_holds_is_refused(content: Callable[[], bytes], says: str, tmp_path: Path) -> None:
    assert says in refused(content(), tmp_path)


def test_the_list_tells_each_part(small: Path) -> None:
    with Archive.open(str(small)) as archive:
        contents: Contents = archive.contents
        assert sorted(contents.of(BackupPart.CONFIGURATION)) == ["postbearer.toml", "providers/own.toml"]
        assert sorted(contents.of(BackupPart.STATE)) == ["budgets/alerts@example.org", "key", "tokens/alerts"]
        assert contents.of(BackupPart.QUEUE) == {}
        assert contents.made == START
