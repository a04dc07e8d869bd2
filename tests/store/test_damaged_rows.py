"""A row that a disk damaged: it holds up no other, can be looked at, and can be cancelled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from postbearer.store import Pause, Query, SqliteSpool, Status, readable
from postbearer.store.queries import migrations
from postbearer.testing import ManualClock
from support.spooling import START, TEXT, accept, delivery, ending, message, sqlite

TABLES = ("message", "delivery", "recipient", "answer", "attempt", "pause", "scheduled", "tag")
VALUES = {
    "no UTF-8": "CAST(x'61ff62' AS TEXT)",
    "half a character": "CAST(x'c3' AS TEXT)",
    "another text": "'?'",
    "octets": "x'ff00'",
    "a number": "-7",
}


def columns() -> list[tuple[str, str]]:
    """All columns a row of ours has, but for the keys by which rows are found."""
    connection = apsw.Connection(":memory:")
    for script in migrations():
        connection.execute(script)
    return [
        (table, column)
        for table in TABLES
        for column, kind in connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,))
        if (table, column) not in {(table, "id"), ("message", "number")}
        and not (table in ("delivery", "scheduled", "tag") and column == "message")
        and not (kind == "INTEGER" and column in ("recipient", "delivery", "number"))
    ] + [("message", "id")]


async def all_claimed(spool: SqliteSpool) -> dict[str, bool]:
    """What the lanes hold, by the content it was accepted with, and whether it can be sent."""
    found = {}
    for _ in range(10):
        claimed = [
            each
            for lane in await spool.lanes(START)
            for each in await spool.claim({lane: 5}, max(lane.due, START))
        ]
        if not claimed:
            break
        for each in claimed:
            found[each.message.id] = readable(each)
            status = Status.DELIVERED if readable(each) else Status.HELD
            await spool.settle(each, ending(each, status))
    return found


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("table", "column"), columns())
async def test_a_damaged_row_holds_up_nobody(tmp_path: Path, table: str, column: str, value: str) -> None:
    spool = sqlite(tmp_path, ManualClock(START))
    await spool.open()
    content = spool.stage("m1")
    await content.write(TEXT)
    made = replace(message("m1", content), send_at=START, tags=(("a", "b"),))
    await spool.accept(made, content, [delivery(made)])
    (lane,) = await spool.lanes(START)
    (claimed,) = await spool.claim({lane: 1}, START)
    await spool.settle(claimed, ending(claimed, Status.DEFERRED, reply="451 later", due=START))
    await spool.pause(Pause(account="other", since=START, reason="why", remedy="what", probe=START, probes=1))
    await spool.close()

    connection = apsw.Connection(str(tmp_path / "spool.db"))
    connection.execute(f"UPDATE {table} SET {column} = {VALUES[value]}")
    connection.close()

    await spool.open()
    await accept(spool, "m2")
    assert (await all_claimed(spool))["m2"] is True

    for read in (spool.pauses, spool.statistics, spool.waiting):
        await read()
    async for entry, _ in spool.export():
        assert entry.message.id
    assert len(await spool.search(Query())) == 2
    for query in (
        Query(address="é@x"),
        Query(address="you"),
        Query(message_id="é"),
        Query(statuses=(Status.HELD,)),
        Query(statuses=(Status.SCHEDULED,)),
        Query(tags=(("a", "b"),)),
    ):
        await spool.search(query)
    if (table, column) != ("message", "id"):
        assert await spool.show("m1") is not None
        await spool.change("m1", Status.CANCELLED, START, "nobody@example.org")
        await spool.change("m1", Status.CANCELLED, START)
        shown = await spool.show("m1")
        assert shown is not None
        assert {row.status.final for row in shown.rows} <= {True}
    await spool.retire(START + 1)
    await spool.close()
    await spool.open()
    await spool.close()
