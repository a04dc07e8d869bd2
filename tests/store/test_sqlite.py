"""The SQLite file: durable, for its owner alone, opened by one, and refused rather than guessed at."""

import asyncio
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from postbearer.errors import LeaseLost, OutcomeUnknown, SchemaMismatch, StoreError, StoreFull
from postbearer.store import Query, SqliteSpool, Status, readable, writes
from postbearer.store.location import file_system
from postbearer.store.queries import queries
from postbearer.testing import ManualClock
from support.spooling import START, TEXT, accept, claim, delivery, ending, message, sqlite, statuses


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def spool(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteSpool]:
    made = sqlite(tmp_path, clock)
    await made.open()
    yield made
    await made.close()


async def used(folder: Path, clock: ManualClock) -> Path:
    """A spool with a message in it, properly closed."""
    spool = sqlite(folder, clock)
    await spool.open()
    await accept(spool, "m1", text=TEXT + b"x" * 300_000)
    await spool.close()
    return folder / "spool.db"


def abandon(folder: Path) -> Path:
    """What a killed process leaves: its files as they are at this moment."""
    copy = folder / "after"
    copy.mkdir()
    for file in (*folder.glob("spool.db*"), folder / "spool.generation"):
        (copy / file.name).write_bytes(file.read_bytes())
        (copy / file.name).chmod(0o600)
    return copy


async def test_it_is_all_there_after_a_proper_end(tmp_path: Path, clock: ManualClock) -> None:
    await used(tmp_path, clock)
    again = sqlite(tmp_path, clock)
    found = await again.open()
    assert (found.clean, found.unknown, found.orphans) == (True, 0, 0)
    [claimed] = await claim(again)
    assert sum(map(len, (await again.content(claimed.message)).blocks())) == len(TEXT) + 300_000
    await again.close()


async def test_only_the_owner_can_read_it(spool: SqliteSpool, tmp_path: Path) -> None:
    await accept(spool, "m1")
    names = ["spool.db", "spool.db-shm", "spool.db-wal", "spool.generation", "spool.lock"]
    assert sorted(os.listdir(tmp_path)) == names
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
    assert modes == {0o600}


async def test_a_second_relay_is_told_who_has_it(
    spool: SqliteSpool, tmp_path: Path, clock: ManualClock
) -> None:
    with pytest.raises(StoreError, match=rf"in use by another process \({os.getpid()}\).*spool.lock"):
        await sqlite(tmp_path, clock).open()


async def test_the_lock_is_free_after_a_failed_start(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "spool.db").write_bytes(b"")
    with pytest.raises(StoreError):
        await sqlite(tmp_path, clock).open()
    (tmp_path / "spool.db").unlink()
    spool = sqlite(tmp_path, clock)
    await spool.open()
    await spool.close()


async def test_work_that_was_under_way_may_have_arrived(
    spool: SqliteSpool, tmp_path: Path, clock: ManualClock
) -> None:
    await accept(spool, "sent?", recipients=("a@example.org", "b@example.org"))
    await accept(spool, "waiting")
    [claimed] = await claim(spool)
    assert claimed.message.id == "sent?"
    half = spool.stage("half")
    await half.write(b"x" * 600_000)
    copy = abandon(tmp_path)
    clock.advance(30)

    again = sqlite(copy, clock)
    found = await again.open()
    assert not found.clean
    assert (found.unknown, found.doubtful, found.orphans) == (1, ("sent?",), 1)
    entry = await again.show("sent?")
    assert entry
    assert [(row.status, row.unknown, row.attempts) for row in entry.rows] == [(Status.DEFERRED, True, 1)] * 2
    assert [(each.ended, each.unknown) for each in entry.attempts] == [(START + 30, True)]
    assert await statuses(again, "waiting") == [Status.READY]
    with pytest.raises(StoreError):
        await again.settle(claimed, ending(claimed, Status.DELIVERED))
    await again.close()


async def test_a_first_attempt_that_a_crash_cut_short_is_not_taken_for_none(
    tmp_path: Path, clock: ManualClock
) -> None:
    killed = sqlite(tmp_path, clock)
    await killed.open()
    content = killed.stage("m1")
    await content.write(TEXT)
    made = message("m1", content)
    assert await killed.accept(made, content, [delivery(made, at_once=True)])
    again = sqlite(abandon(tmp_path), clock)
    await killed.close()
    assert (await again.open()).doubtful == ("m1",)
    assert await statuses(again, "m1") == [Status.DEFERRED]
    [claimed] = await claim(again)
    assert claimed.attempt == 2
    assert b"".join((await again.content(made)).blocks()) == TEXT
    await again.close()


async def test_a_mark_shares_the_commit_of_the_next_claim(spool: SqliteSpool) -> None:
    await accept(spool, "m1")
    await accept(spool, "m2")
    [first] = await claim(spool)
    settling = asyncio.create_task(spool.settle(first, ending(first, Status.DELIVERED)))
    await asyncio.sleep(0)
    [second] = await claim(spool)
    await asyncio.sleep(0)
    assert settling.done()
    await spool.settle(second, ending(second, Status.DELIVERED))  # alone: after a moment


async def test_no_mark_is_lost_at_a_proper_end(tmp_path: Path, clock: ManualClock) -> None:
    spool = sqlite(tmp_path, clock)
    await spool.open()
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    settling = asyncio.create_task(spool.settle(claimed, ending(claimed, Status.DELIVERED)))
    await asyncio.sleep(0)
    await spool.close()
    await settling
    again = sqlite(tmp_path, clock)
    await again.open()
    assert await statuses(again, "m1") == [Status.DELIVERED]
    await again.close()


async def test_leases_never_come_twice(tmp_path: Path, clock: ManualClock) -> None:
    leases = []
    for _ in range(3):
        spool = sqlite(tmp_path, clock)
        await spool.open()
        await accept(spool, f"m{len(leases)}")
        leases += [each.lease for each in await claim(spool, most=9)]
        await spool.close()
    assert leases == sorted(set(leases))


def flip(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        "UPDATE content SET data = CAST(replace(data, 'hello', 'hullo') AS BLOB) WHERE place & 1 = 0"
    )
    connection.close()


async def test_content_that_changed_is_not_sent(tmp_path: Path, clock: ManualClock) -> None:
    spool = sqlite(tmp_path, clock)
    await spool.open()
    small = await accept(spool, "small")
    large = await accept(spool, "large", text=TEXT + b"x" * 600_000)
    await spool.close()
    flip(tmp_path / "spool.db")
    await spool.open()
    with pytest.raises(StoreError, match="small is not what was accepted"):
        next(iter((await spool.content(small)).blocks()))
    got = []
    with pytest.raises(StoreError, match="large is not what was accepted"):
        got.extend((await spool.content(large)).blocks())
    assert sum(map(len, got)) < large.size
    await spool.close()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda file: file.write_bytes(b""), "does not begin like"),
    "another kind of file": (lambda file: file.write_bytes(b"\x7fELF" * 1000), "does not begin like"),
    "cut off": (lambda file: os.truncate(file, file.stat().st_size - 5000), "octets are missing"),
    "another database": (lambda file: (file.unlink(), alien(file)), "not a spool"),
    "readable by all": (lambda file: file.chmod(0o644), "chmod 600"),
}


def alien(file: Path) -> None:
    connection = apsw.Connection(str(file))
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    file.chmod(0o600)


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_file_that_cannot_be_trusted_is_refused(
    tmp_path: Path, clock: ManualClock, damage: str
) -> None:
    path = await used(tmp_path, clock)
    do, says = DAMAGE[damage]
    do(path)
    with pytest.raises(StoreError, match=says):
        await sqlite(tmp_path, clock).open()


async def test_pages_full_of_zeros_are_found_after_an_unclean_end(
    spool: SqliteSpool, tmp_path: Path, clock: ManualClock
) -> None:
    for number in range(200):
        await accept(spool, f"m{number}")
    copy = abandon(tmp_path)
    connection = apsw.Connection(str(copy / "spool.db"))
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.pragma("journal_mode", "wal")
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'recipient'").get
    connection.close()
    (copy / "spool.db-wal").touch(0o600)
    with (copy / "spool.db").open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(bytes(4096))
    with pytest.raises(StoreError, match="is damaged"):
        await sqlite(copy, clock).open()


async def test_a_log_that_is_gone_is_missed(spool: SqliteSpool, tmp_path: Path, clock: ManualClock) -> None:
    await accept(spool, "m1")
    copy = abandon(tmp_path)
    (copy / "spool.db-wal").unlink()
    with pytest.raises(StoreError, match=r"-wal is missing.*may be lost"):
        await sqlite(copy, clock).open()
    (copy / "spool.generation").unlink()
    again = sqlite(copy, clock)
    await again.open()
    await again.close()


async def test_a_log_without_its_file_is_no_empty_queue(
    spool: SqliteSpool, tmp_path: Path, clock: ManualClock
) -> None:
    await accept(spool, "m1")
    copy = abandon(tmp_path)
    (copy / "spool.db").unlink()
    with pytest.raises(StoreError, match="is missing"):
        await sqlite(copy, clock).open()


async def test_a_newer_schema_is_left_alone(tmp_path: Path, clock: ManualClock) -> None:
    path = await used(tmp_path, clock)
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match=r"schema 99.*newer version"):
        await sqlite(tmp_path, clock).open()
    assert path.read_bytes() == before


async def test_a_file_that_is_not_durable_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    path = await used(tmp_path, clock)
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.close()
    with pytest.raises(StoreError, match="not be durable: journal_mode=delete"):
        await sqlite(tmp_path, clock).open()


async def test_where_there_is_no_room_nothing_changes_and_marks_still_fit(spool: SqliteSpool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    await do(spool, lambda connection: connection.execute("PRAGMA incremental_vacuum").fetchall())
    pages = await spool._writer.submit(lambda connection: connection.pragma("page_count"))
    await do(spool, lambda connection: connection.pragma("max_page_count", pages))
    results = await in_one_commit(
        spool,
        accept(spool, "big", text=b"x" * 200_000),
        spool.settle(claimed, ending(claimed, Status.DELIVERED, reply="250 ok " + 20_000 * "x")),
    )
    assert isinstance(results[0], StoreFull)
    assert results[1] is None
    assert await spool.show("big") is None
    assert await statuses(spool, "m1") == [Status.DELIVERED]
    await spool._writer.submit(lambda connection: connection.pragma("max_page_count", 1_000_000))
    await accept(spool, "big", text=b"x" * 200_000)


async def test_the_reserve_is_kept_free(tmp_path: Path, clock: ManualClock) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    spool = SqliteSpool(tmp_path / "spool.db", clock=clock, reserve=free // 2, allow_ephemeral=True)
    await spool.open()
    assert await spool.room(1_000_000)
    assert not await spool.room(free)
    await spool.close()


async def test_an_unwell_disk_closes_the_queue_until_it_is_well_again(
    spool: SqliteSpool, tmp_path: Path
) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)

    def break_down(connection: apsw.Connection) -> None:
        raise apsw.IOError("disk I/O error")

    (tmp_path / "spool.db").rename(tmp_path / "away")  # the disk is gone for a while
    together = await in_one_commit(spool, accept(spool, "m2"), do(spool, break_down))
    assert [type(each) for each in together] == [OutcomeUnknown] * 2
    assert "disk I/O error" in spool.trouble
    assert not await spool.room(1)
    with pytest.raises(StoreError, match="closed after a failed write"):
        await accept(spool, "m3")
    (tmp_path / "away").rename(tmp_path / "spool.db")
    assert await spool.room(1)
    assert spool.trouble == ""
    await accept(spool, "m4")
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))  # its lease is still good
    assert [each.message.id for each in await spool.search(Query())] == ["m1", "m4"]


async def in_one_commit(spool: SqliteSpool, *works: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results, or the errors, of works the writer finds waiting together."""
    begun, gate = threading.Event(), threading.Event()
    busy = spool._writer.submit(lambda connection: (begun.set(), gate.wait(5)))
    await asyncio.to_thread(begun.wait)
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0)  # each has handed in its job
    gate.set()
    await busy
    return await asyncio.gather(*tasks, return_exceptions=True)


async def do(spool: SqliteSpool, work: Callable[[apsw.Connection], object]) -> None:
    await spool._writer.submit(work)


def commit_and_break_down(connection: apsw.Connection) -> None:
    connection.execute("COMMIT")
    raise apsw.IOError("disk I/O error")


async def test_a_claim_that_stands_though_it_failed_is_taken_back(spool: SqliteSpool) -> None:
    await accept(spool, "m1")

    together = await in_one_commit(spool, claim(spool), do(spool, commit_and_break_down))
    assert [type(each) for each in together] == [OutcomeUnknown] * 2
    assert await statuses(spool, "m1") == [Status.LEASED]
    assert await spool.room(1)
    [again] = await claim(spool)
    assert again.attempt == 2
    entry = await spool.show("m1")
    assert entry
    assert not entry.rows[0].unknown  # nobody had been told to send it


async def test_a_mark_that_stands_though_it_failed_is_made_once(spool: SqliteSpool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)

    done = ending(claimed, Status.DELIVERED)
    together = await in_one_commit(spool, spool.settle(claimed, done), do(spool, commit_and_break_down))
    assert [type(each) for each in together] == [OutcomeUnknown] * 2
    with pytest.raises(LeaseLost):
        await spool.settle(claimed, done)
    assert await statuses(spool, "m1") == [Status.DELIVERED]


async def test_a_claim_nobody_waits_for_is_given_back(spool: SqliteSpool) -> None:
    await accept(spool, "m1")
    waiting = asyncio.create_task(claim(spool))
    await asyncio.sleep(0)  # it is on its way to the writer
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(3):  # the claim is made, and given back
        await spool._writer.submit(lambda connection: None)
    [claimed] = await claim(spool)
    assert claimed.attempt == 1


async def test_a_claim_is_given_back_also_when_that_cannot_be_written_at_first(
    spool: SqliteSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbearer.store.unclaimed.AGAIN", 0.0)
    failing = [StoreFull("No room."), OutcomeUnknown("Nobody knows.")]
    settle = writes.settle

    def full(*given: Any, **more: Any) -> None:
        if failing:
            raise failing.pop()
        settle(*given, **more)

    monkeypatch.setattr(writes, "settle", full)
    await accept(spool, "m1")
    waiting = asyncio.create_task(claim(spool))
    await asyncio.sleep(0)  # it is on its way to the writer
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(200):
        if not failing and await statuses(spool, "m1") == [Status.READY]:
            break
        await asyncio.sleep(0.005)
    [claimed] = await claim(spool)
    assert (claimed.attempt, failing) == (1, [])


async def test_nor_is_one_lost_that_came_in_the_moment_in_which_nobody_waited_any_more(
    spool: SqliteSpool,
) -> None:
    await accept(spool, "m1")
    before = spool._writer.submit(lambda connection: None)  # in the same commit, and heard of first
    waiting = asyncio.create_task(claim(spool))
    before.add_done_callback(lambda _: waiting.cancel())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(2):
        await spool._writer.submit(lambda connection: None)
    [claimed] = await claim(spool)
    assert claimed.attempt == 1


async def test_space_of_removed_messages_is_used_again(spool: SqliteSpool, tmp_path: Path) -> None:
    sizes = []
    for number in range(6):
        await accept(spool, f"m{number}", text=b"x" * 500_000)
        [claimed] = await claim(spool)
        await spool.settle(claimed, ending(claimed, Status.DELIVERED))
        assert await spool.retire(START + 1) == 1
        sizes.append(await spool._writer.submit(lambda connection: connection.pragma("page_count")))
    assert sizes[-1] == sizes[1]


async def test_large_contents_are_removed_in_small_steps(
    spool: SqliteSpool, tmp_path: Path, clock: ManualClock
) -> None:
    await accept(spool, "large", text=b"x" * 80_000_000)
    await accept(spool, "small")
    for claimed in await claim(spool, most=2):
        await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    unfinished = spool.stage("unfinished")
    for _ in range(80):
        await unfinished.write(b"x" * 1_000_000)
    await unfinished.discard()
    assert await spool.retire(START + 1) == 2
    used = "SELECT (SELECT count(*) FROM content) + (SELECT count(*) FROM staged)"
    assert await spool._writer.submit(lambda connection: connection.execute(used).get) == 0
    assert os.stat(tmp_path / "spool.db-wal").st_size < 64 * 1024 * 1024


async def test_removed_content_does_not_linger(tmp_path: Path, clock: ManualClock) -> None:
    spool = sqlite(tmp_path, clock)
    await spool.open()
    await accept(spool, "m1", text=b"canary-of-the-body" * 1000)
    [claimed] = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    await spool.retire(START + 1)
    await spool.close()
    assert b"canary-of-the-body" not in (tmp_path / "spool.db").read_bytes()


async def test_a_missing_folder_is_named(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(StoreError, match="install -d"):
        await sqlite(tmp_path / "nowhere", clock).open()


def test_the_file_system_is_known() -> None:
    assert file_system(Path("/proc")) == "proc"


async def test_a_disk_that_forgets_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(StoreError, match=r"tmpfs.*allow-ephemeral"):
        await SqliteSpool(Path("/dev/shm/spool.db"), clock=clock).open()


@pytest.mark.parametrize("quick", [True, False])
async def test_after_an_error_of_the_disk_nothing_is_added_before_the_file_is_opened_anew(
    spool: SqliteSpool, quick: bool
) -> None:
    def fails(connection: apsw.Connection) -> None:
        raise apsw.IOError("disk I/O error")

    before = spool._writer._connection
    together = asyncio.create_task(accept(spool, "m1"))
    await asyncio.sleep(0)
    failing = spool._writer.submit(fails, quick=quick)
    with pytest.raises(OutcomeUnknown):
        await failing
    with pytest.raises(OutcomeUnknown):
        await together
    await accept(spool, "m2")
    assert spool._writer._connection is not before
    assert await statuses(spool, "m1") == []


@pytest.mark.parametrize("recipients", [1, 100])
async def test_a_lock_of_another_program_is_waited_for_and_stops_nobody_else(
    spool: SqliteSpool, tmp_path: Path, recipients: int
) -> None:
    other = apsw.Connection(str(tmp_path / "spool.db"))
    other.execute("BEGIN IMMEDIATE")
    to = [f"you{number}@example.org" for number in range(recipients)]
    accepting = asyncio.create_task(accept(spool, "m1", recipients=to))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not accepting.done()
    other.execute("ROLLBACK")
    other.close()
    await accepting
    assert len(await statuses(spool, "m1")) == recipients


@pytest.mark.parametrize("recipients", [1, 100])
async def test_while_the_spool_stays_locked_nothing_is_taken_and_afterwards_all_is(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, recipients: int
) -> None:
    for module in ("database", "writer"):
        monkeypatch.setattr(f"postbearer.store.{module}.BUSY", 20)
    spool = sqlite(tmp_path, clock)
    await spool.open()
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    other = apsw.Connection(str(tmp_path / "spool.db"))
    other.execute("BEGIN IMMEDIATE")
    to = [f"you{number}@example.org" for number in range(recipients)]
    with pytest.raises(StoreError, match="locked by another program") as caught:
        await accept(spool, "m2", recipients=to)
    assert not isinstance(caught.value, OutcomeUnknown)  # it is certain that nothing was written
    with pytest.raises(StoreError, match="locked by another program"):
        await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    assert await spool.show("m2") is None
    other.execute("ROLLBACK")
    other.close()
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    await accept(spool, "m2", recipients=to)
    assert await statuses(spool, "m1") == [Status.DELIVERED]
    assert len(await statuses(spool, "m2")) == recipients
    await spool.close()


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("message", "envelope", "no JSON"),
        ("message", "envelope", '{"reverse_path":"app@example.org","recipients":[{"address":"x y@"}]}'),
        ("recipient", "address", "x y@"),
        ("recipient", "notify", "NEVER,FAILURE"),
    ],
)
async def test_a_row_that_cannot_be_read_holds_up_nobody_and_can_be_looked_at(
    spool: SqliteSpool, table: str, column: str, value: str
) -> None:
    await accept(spool, "m1")
    await do(spool, lambda connection: connection.execute(f"UPDATE {table} SET {column} = ?", (value,)))
    await spool.close()
    await spool.open()  # what is known in memory need not be read
    await accept(spool, "m2")
    claimed = await claim(spool, most=2)
    assert {each.message.id: readable(each) for each in claimed} == {"m1": False, "m2": True}
    assert [each.message.id for each in await spool.search(Query())] == ["m1", "m2"]
    assert await spool.show("m1") is not None


async def test_what_several_lanes_hold_is_claimed_by_one_commit(spool: SqliteSpool) -> None:
    for number in range(10):
        await accept(spool, f"m{number}", client=f"c{number}")
    commits = []
    await spool._writer.submit(lambda connection: connection.set_commit_hook(lambda: bool(commits.append(1))))
    before = len(commits)
    claimed = await spool.claim(dict.fromkeys(await spool.lanes(START), 1), START)
    assert (len(claimed), len(commits) - before) == (10, 1)


async def test_one_commit_serves_all_who_wait(spool: SqliteSpool) -> None:
    commits = []
    await spool._writer.submit(lambda connection: connection.set_commit_hook(lambda: bool(commits.append(1))))
    await asyncio.gather(*(accept(spool, f"m{number}") for number in range(200)))
    assert len(commits) < 20


async def plan_of(folder: Path, query: str, values: object) -> list[str]:
    """How SQLite goes about a query of the queue, step by step."""
    spool = sqlite(folder, ManualClock(START))
    await spool.open()
    await spool.close()
    with closing(apsw.Connection(str(folder / "spool.db"))) as connection:
        connection.create_scalar_function("fold", lambda text: text, 1, deterministic=True)
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]


async def plan_of_search(folder: Path, condition: str, name: str) -> list[str]:
    look = queries("look")
    values = {"after_accepted": 0.0, "after_number": 0, name: "x", "limit": 1}
    return await plan_of(folder, f"{look['search']} AND {look[condition]} {look['search-order']}", values)


async def test_the_last_times_are_found_by_an_index(tmp_path: Path) -> None:
    """With which a search for a subject begins, whose messages are then those behind a place in it."""
    latest = await plan_of(tmp_path, queries("look")["latest"], (1.0, 2))
    assert latest == ["SEARCH message USING COVERING INDEX message_accepted (accepted<?)"]
    search = await plan_of_search(tmp_path, "where-subject", "subject")
    assert search == ["SEARCH message USING INDEX message_accepted (accepted>?)"]


@pytest.mark.parametrize(
    ("name", "walked"),
    [
        ("address", ["message USING COVERING INDEX message_senders", "recipient"]),
        ("sender", ["message USING COVERING INDEX message_senders"]),
        ("recipient", ["recipient"]),
        ("reply", ["answer"]),
    ],
)
async def test_a_search_walks_through_no_more_than_what_it_is_for(
    tmp_path: Path, name: str, walked: list[str]
) -> None:
    plan = await plan_of_search(tmp_path, f"where-{name}-anywhere", name)
    walks = [step for step in plan if step.startswith("SCAN")]
    assert walks == [f"SCAN {each}" for each in walked]
