"""The backlog is counted along: of an older queue, too, and a message once for an account."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw

from postbearer.store import Spool, Status, Waiting, reads
from postbearer.store.database import APPLICATION, connect
from postbearer.store.queries import migrations
from postbearer.store.records import NewDelivery
from postbearer.testing import ManualClock
from support.spooling import START, TEXT, accept, claim, ending, message, sqlite

DAY = 86_400.0
BEFORE = 15  # the last schema without these counts
OLD = """
INSERT INTO message VALUES
  (1, 'm1', 1799999000.5, 'app', '{}', '', 1, '', 0, 0, 1e10, '', '', '', ''),
  (2, 'm2', 1799999100.5, 'app', '{}', '', 1, '', 0, 0, 1e10, '', '', '', ''),
  (3, 'm3', 1799999200.5, 'app', '{}', '', 1, '', 0, 0, 1e10, '', '', '', ''),
  (4, 'm4', 1799999300.5, 'app', '{}', '', 1, '', 0, 0, 1e10, '', '', '', ''),
  (5, 'm5', 1799999400.5, 'app', '{}', '', 1, '', 0, 0, 1e10, '', '', '', '');
INSERT INTO scheduled VALUES (3, 1800003600.0), (4, 1799999500.0);
INSERT INTO delivery (id, message, account, priority, client, due, state, lease) VALUES
  (1, 1, 'work', 1, 'app', 0, 'x', 0),
  (2, 2, 'work', 1, 'app', 0, 'w', 0), (3, 2, 'work', 1, 'app', 0, 'w', 0),
  (4, 3, 'work', 1, 'app', 0, 'w', 0),
  (5, 4, 'work', 1, 'app', 0, 'w', 0),
  (6, 5, 'other', 1, 'app', 0, 'h', 0);
INSERT INTO recipient (delivery, state, address, notify, orcpt) VALUES
  (1, 'o', 'a@example.org', '', ''),
  (2, 'r', 'a@example.org', '', ''), (2, 'd', 'b@example.org', '', ''), (3, 'r', 'c@example.org', '', ''),
  (4, 'r', 'a@example.org', '', ''), (4, 'r', 'b@example.org', '', ''),
  (5, 'r', 'a@example.org', '', ''),
  (6, 'h', 'a@example.org', '', '');
"""


async def test_what_an_older_queue_holds_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    connection = apsw.Connection(str(path))
    path.chmod(0o600)
    connection.pragma("auto_vacuum", 2)
    connection.pragma("application_id", APPLICATION)
    connection.pragma("journal_mode", "wal")
    for script in migrations()[:BEFORE]:
        connection.execute(script)
    connection.pragma("user_version", BEFORE)
    connection.execute(OLD)
    connection.close()
    clock = ManualClock(START)
    spool = sqlite(tmp_path, clock)
    await spool.open()
    found = await spool.statistics()
    assert found.by_account == {
        "work": {Status.DELIVERED: 1, Status.READY: 3, Status.DEFERRED: 1, Status.SCHEDULED: 2},
        "other": {Status.HELD: 1},
    }
    assert found.oldest == 1799999100.0
    assert list(await spool.waiting()) == [Waiting(account="work", messages=2, oldest=1799999100.0)]
    await spool.change("m2", Status.CANCELLED, START)
    await spool.change("m4", Status.HELD, START)
    assert list(await spool.waiting()) == []
    assert (await spool.statistics()).oldest == 1799999400.0  # m5, which is held
    clock.advance(3600)
    assert list(await spool.waiting()) == [Waiting(account="work", messages=1, oldest=1800003600.0)]
    await spool.close()


async def test_a_message_counts_once_for_an_account(spool: Spool) -> None:
    """However many deliveries it has there, and until the last of them has left."""
    content = spool.stage("m1")
    await content.write(TEXT)
    made = message("m1", content, [f"{name}@example.org" for name in "abc"])
    deliveries = [
        NewDelivery(account="work", recipients=(one,), client="app", due=START)
        for one in made.envelope.recipients
    ]
    await spool.accept(made, content, deliveries)
    expected = [Waiting(account="work", messages=1, oldest=START)]
    assert list(await spool.waiting()) == expected
    for _ in range(3):
        assert list(await spool.waiting()) == expected
        [claimed] = await claim(spool)
        assert list(await spool.waiting()) == expected
        await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    assert list(await spool.waiting()) == []
    assert (await spool.statistics()).oldest is None


async def test_a_message_that_leaves_by_two_accounts_counts_for_both(spool: Spool) -> None:
    await accept(spool, "m1", recipients=("a@example.org", "b@example.org"))
    [claimed] = await claim(spool)
    await spool.settle(claimed, replace(ending(claimed, Status.DEFERRED, due=START), account="spare"))
    assert list(await spool.waiting()) == [Waiting(account="spare", messages=1, oldest=START)]
    assert await spool.move("m1", "work", START) == 2
    assert list(await spool.waiting()) == [Waiting(account="work", messages=1, oldest=START)]


async def test_counts_that_are_nothing_go_with_what_is_removed(tmp_path: Path) -> None:
    """Else they would be as many as there ever were seconds with mail in them."""
    clock = ManualClock(START)
    spool = sqlite(tmp_path, clock)
    await spool.open()
    for number in range(50):
        await accept(spool, f"m{number}", accepted=START + number)
        [claimed] = await claim(spool, START + number)
        await spool.settle(claimed, ending(claimed, Status.DELIVERED, at=START + number))
    await spool.retire(START)
    await spool.close()
    connection = apsw.Connection(str(tmp_path / "spool.db"), apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("SELECT count(*) FROM backlog").get == 0
    connection.close()


async def test_a_clock_that_was_set_back_hides_nothing_that_waits(spool: Spool) -> None:
    await accept(spool, "m1", accepted=START + DAY)
    assert list(await spool.waiting()) == [Waiting(account="work", messages=1, oldest=START + DAY)]


async def test_the_backlog_is_told_in_as_many_steps_however_long_it_grew(tmp_path: Path) -> None:
    """Something waits in each second of a minute, or of an hour; steps are counted by SQLite itself."""
    steps = []
    for seconds in (60, 3600):
        clock, folder = ManualClock(START), tmp_path / str(seconds)
        folder.mkdir()
        spool = sqlite(folder, clock)
        await spool.open()
        with spool._opening.readers.reading() as connection:
            path = connection.filename
        connection = apsw.Connection(path)
        connection.execute(
            "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?1) "
            "INSERT INTO delivery (message, account, priority, client, due, since) "
            "SELECT n, iif(n % 2, 'work', 'other'), 1, 'app', ?2 - n, ?2 - n FROM up",
            (seconds, START),
        )
        connection.close()
        told: list[int] = []

        def traced(event: dict[str, Any], told: list[int] = told) -> None:
            told.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

        connection = connect(Path(path))
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, traced)
        waits = {each.account: (each.messages, each.oldest) for each in reads.waiting(connection, START)}
        connection.close()
        assert waits == {
            "work": (seconds // 2, START - seconds + 1),
            "other": (seconds // 2, START - seconds),
        }
        steps.append(sum(told))
        await spool.close()
    assert steps[0] == steps[1]
