"""A queue that an older version left is taken up as it is, whichever version that was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import apsw
import pytest

from postbearer.store import Status
from postbearer.store.database import APPLICATION
from postbearer.store.memory_staging import MemoryStaging
from postbearer.store.queries import migrations, queries
from postbearer.store.rows import message_row, recipient_row
from postbearer.testing import ManualClock
from support.spooling import START, TEXT, claim, message, sqlite

SQL = queries("queue")
ADD_DELIVERY = "INSERT INTO delivery (message, account, priority, client, due) VALUES (?, ?, ?, ?, ?)"


def left_behind(path: Path, version: int) -> None:
    """A queue of schema `version` with one message in it."""
    made = message("m1", MemoryStaging())
    connection = apsw.Connection(str(path))
    path.chmod(0o600)
    connection.pragma("auto_vacuum", 2)
    connection.pragma("application_id", APPLICATION)
    connection.pragma("journal_mode", "wal")
    for script in migrations()[:version]:
        connection.execute(script)
    connection.pragma("user_version", version)
    row = list(message_row(made))
    row[5:7] = len(TEXT), hashlib.sha256(TEXT).hexdigest()
    connection.execute(SQL["add-message"], (1, *row))
    connection.execute(SQL["add-chunk"], (1 << 20, TEXT))
    connection.execute(ADD_DELIVERY, (1, "work", 1, "app", START))
    for recipient in made.envelope.recipients:
        connection.execute(SQL["add-recipient"], (1, "r", *recipient_row(recipient)))
    connection.close()


@pytest.mark.parametrize("version", range(1, len(migrations()) + 1))
async def test_what_was_waiting_waits_and_can_be_sent(tmp_path: Path, version: int) -> None:
    left_behind(tmp_path / "spool.db", version)
    spool = sqlite(tmp_path, ManualClock(START))
    found = await spool.open()
    assert (found.clean, found.restored) == (True, False)
    assert (await spool.statistics()).counts == {Status.READY: 1}
    [claimed] = await claim(spool)
    assert b"".join((await spool.content(claimed.message)).blocks()) == TEXT
    await spool.close()
