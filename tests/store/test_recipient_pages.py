"""A message for very many is looked at page by page: what is not shown is counted, and not read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError
from postbearer.outcome import RecipientFate
from postbearer.store import NewDelivery, Query, RecipientPage, Settlement, Spool, Status, reads
from postbearer.store.database import connect
from postbearer.store.operating import AuditRecord
from postbearer.store.postgres.recipient_page import listed, recipient_page
from postbearer.store.records import LISTED
from postbearer.testing import ManualClock
from support.spooling import START, TEXT, accept, claim, message, postgresql, sqlite


async def many(spool: Spool, name: str, count: int, *, each: int = 7, long: bool = False) -> list[str]:
    """A message for `count` recipients, so many in `each` delivery."""
    people = [Recipient(f"r{number}@example.org") for number in range(count)]
    content = spool.stage(name)
    await content.write(TEXT)
    made = replace(message(name, content), envelope=Envelope("app@example.org", tuple(people)))
    if long:  # what no page reads
        made = replace(made, envelope=replace(made.envelope, tracestate="x" * 300_000))
    parts = [tuple(people[first : first + each]) for first in range(0, count, each)]
    new = [NewDelivery(account="work", recipients=part, client="app", due=START) for part in parts]
    await spool.accept(made, content, new)
    return [person.address for person in people]


async def settle(spool: Spool, statuses: tuple[Status, ...]) -> None:
    """One delivery comes back, with these for its recipients."""
    [claimed] = await claim(spool)
    results = tuple(
        RecipientFate(recipient=target.recipient.address, status=status, reply=f"said of {status}")
        for target, status in zip(claimed.targets, statuses, strict=True)
    )
    await spool.settle(claimed, Settlement(results=results, ended=START + 1, due=START + 60, queue_id="q1"))


async def walk(spool: Spool, name: str, most: int, status: Status | None = None) -> list[str]:
    """All pages, one after the other."""
    found: list[str] = []
    after = ""
    while True:
        entry = await spool.show(name, RecipientPage(most=most, after=after, status=status))
        assert entry
        assert len(entry.rows) <= most
        assert status is None or {row.status for row in entry.rows} <= {status}
        found += [row.address for row in entry.rows]
        after = entry.cursor
        if not after:
            return found


@pytest.mark.parametrize("most", [1, 5, 7, 8, 50, 1000])
async def test_pages_follow_each_other_and_leave_nobody_out(spool: Spool, most: int) -> None:
    people = await many(spool, "m1", 50)
    await many(spool, "m2", 3)  # whose rows lie behind
    assert await walk(spool, "m1", most) == people


async def test_what_is_not_shown_is_counted_by_state(spool: Spool) -> None:
    people = await many(spool, "m1", 21)
    fates = (Status.DELIVERED, Status.FAILED, Status.DEFERRED, *[Status.DELIVERED] * 4)
    await settle(spool, fates)
    await claim(spool)  # the next one is under way
    assert await spool.change("m1", Status.HELD, START, people[20]) == 1
    whole = await spool.show("m1")
    assert whole
    for most in (0, 3, 100):
        part = await spool.show("m1", RecipientPage(most=most))
        assert part
        expected = {"delivered": 5, "failed": 1, "deferred": 1, "leased": 7, "ready": 6, "held": 1}
        assert {str(status): count for status, count in part.counts.items()} == expected
        assert part.counts == whole.counts
        assert part.rows == whole.rows[:most]
    assert await walk(spool, "m1", 2, Status.FAILED) == people[1:2]
    assert await walk(spool, "m1", 2, Status.DEFERRED) == people[2:3]
    assert await walk(spool, "m1", 2, Status.DELIVERED) == [people[0], *people[3:7]]
    assert await walk(spool, "m1", 4, Status.LEASED) == people[7:14]
    assert await walk(spool, "m1", 4, Status.READY) == people[14:20]
    assert await walk(spool, "m1", 4, Status.HELD) == people[20:]
    assert await walk(spool, "m1", 4, Status.SCHEDULED) == []


async def test_of_very_many_it_is_counted_what_changes(spool: Spool) -> None:
    """As exactly as if they were counted one by one, whatever is done to them."""
    people = await many(spool, "m1", 1_200, each=100)
    await many(spool, "m2", 2)

    async def told() -> dict[str, int]:
        part, whole = await spool.show("m1", RecipientPage(most=1)), await spool.show("m1")
        assert part
        assert whole
        assert part.counts == whole.counts
        return {str(status): count for status, count in part.counts.items()}

    assert await told() == {"ready": 1_200}
    [claimed] = await claim(spool)
    assert await told() == {"leased": 100, "ready": 1_100}
    fates = [Status.DELIVERED] * 97 + [Status.FAILED, Status.DEFERRED, Status.DEFERRED]
    results = tuple(
        RecipientFate(recipient=target.recipient.address, status=status)
        for target, status in zip(claimed.targets, fates, strict=True)
    )
    await spool.settle(claimed, Settlement(results=results, ended=START + 1, due=START + 60))
    assert await told() == {"delivered": 97, "failed": 1, "deferred": 2, "ready": 1_100}
    await spool.change("m1", Status.HELD, START, people[-1])
    assert await told() == {"delivered": 97, "failed": 1, "deferred": 2, "ready": 1_099, "held": 1}
    await spool.move("m1", "other", START)
    await spool.change("m1", Status.CANCELLED, START)
    assert await told() == {"delivered": 97, "failed": 1, "cancelled": 1_102}
    assert await spool.retire(START + 1_000) == 1
    assert await spool.show("m1", RecipientPage(most=1)) is None


async def test_attempts_are_those_of_the_recipients_that_are_shown(spool: Spool) -> None:
    await many(spool, "m1", 14)
    await settle(spool, (Status.DELIVERED,) * 7)
    first = await spool.show("m1", RecipientPage(most=7))
    assert first
    [attempt] = first.attempts
    assert {row.delivery for row in first.rows} == {attempt.delivery}
    assert (attempt.queue_id, attempt.number) == ("q1", 1)
    second = await spool.show("m1", RecipientPage(most=7, after=first.cursor))
    assert second
    assert second.attempts == ()
    assert (second.message, second.cursor) == (first.message, "")


async def test_a_place_that_is_none_is_told(spool: Spool) -> None:
    await many(spool, "m1", 10)
    for odd in ("x", "-1", "9" * 40, "\u00b2", "0-", "1; DROP TABLE recipient", "\0"):
        with pytest.raises(UsageError, match="There is no recipient"):
            await spool.show("m1", RecipientPage(most=5, after=odd))
    assert await spool.show("none", RecipientPage(most=5)) is None


async def test_an_envelope_that_is_long_is_not_read_for_a_page(spool: Spool) -> None:
    people = await many(spool, "m1", 10, long=True)
    entry = await spool.show("m1", RecipientPage(most=3))
    assert entry
    assert entry.message.envelope.reverse_path == "app@example.org"
    if entry.whole:  # one in memory is there in any case
        assert entry.message.envelope.addresses == tuple(people)
    else:
        assert entry.message.envelope.addresses == tuple(people[:3])
        assert entry.message.envelope.tracestate == ""


async def test_a_scheduled_message_is_told_so_page_by_page(spool: Spool) -> None:
    content = spool.stage("m1")
    await content.write(TEXT)
    made = replace(message("m1", content, ("a@example.org", "b@example.org")), send_at=START + 3600)
    recipients = made.envelope.recipients
    await spool.accept(made, content, [NewDelivery(account="work", recipients=recipients, due=START + 3600)])
    assert await walk(spool, "m1", 1, Status.SCHEDULED) == ["a@example.org", "b@example.org"]
    assert await walk(spool, "m1", 1, Status.READY) == []
    entry = await spool.show("m1", RecipientPage(most=1))
    assert entry
    assert entry.counts == {Status.SCHEDULED: 2}


async def test_what_people_did_to_a_message_is_found_with_reports_about_it(spool: Spool) -> None:
    await accept(spool, "m1")
    await accept(spool, "m2")
    content = spool.stage("m3")
    await content.write(TEXT)
    report = replace(message("m3", content), report_of="m1")
    await spool.accept(
        report, content, [NewDelivery(account="work", recipients=report.envelope.recipients, due=START)]
    )
    assert [each.message.id for each in await spool.search(Query(report_of="m1"))] == ["m3"]
    assert await spool.search(Query(report_of="m2")) == []
    for number, name in enumerate(("m1", "m2", "m1", "")):
        record = AuditRecord(at=START + number, by="ada", known_by="test", action="hold", message=name)
        await spool.audit.add(record)
    assert [each.record.at for each in await spool.audit.about("m1", 10)] == [START, START + 2]
    assert [each.record.at for each in await spool.audit.about("m1", 1)] == [START + 2]
    assert await spool.audit.about("m\0x", 10) == []


# Lists --------------------------------------------------------------------------------------


async def test_a_list_tells_a_few_recipients_and_counts_all(spool: Spool) -> None:
    people = await many(spool, "m1", 1_200, each=100)
    few = await many(spool, "m2", LISTED)
    first, second = await spool.search(Query())
    assert [row.address for row in first.rows] == people[:LISTED]
    assert first.counts == {Status.READY: 1_200}
    assert [row.address for row in second.rows] == few
    assert second.counts == {Status.READY: LISTED}
    assert (first.attempts, first.cursor, second.cursor) == ((), "", "")


async def test_a_list_tells_those_in_the_states_it_asks_for_before_others(spool: Spool) -> None:
    people = await many(spool, "m1", 300, each=100)
    await spool.change("m1", Status.HELD, START, people[299])
    await spool.change("m1", Status.HELD, START, people[40])
    await spool.change("m1", Status.CANCELLED, START, people[200])
    expected = {
        (): people[:LISTED],
        (Status.HELD,): [*people[: LISTED - 2], people[40], people[299]],
        (Status.HELD, Status.CANCELLED): [*people[: LISTED - 3], people[40], people[200], people[299]],
    }
    for statuses, addresses in expected.items():
        [entry] = await spool.search(Query(statuses=statuses))
        assert [row.address for row in entry.rows] == addresses
        assert entry.counts == {Status.READY: 297, Status.HELD: 2, Status.CANCELLED: 1}
    await spool.change("m1", Status.HELD, START)
    for each in people[250:262]:
        await spool.change("m1", Status.READY, START, each)
    [entry] = await spool.search(Query(statuses=(Status.READY,)))
    assert [row.address for row in entry.rows] == people[250 : 250 + LISTED]


async def test_what_was_said_last_of_a_recipient_stands_in_a_list(spool: Spool) -> None:
    await many(spool, "m1", 7)
    await settle(spool, (Status.DELIVERED, *[Status.DEFERRED] * 6))
    [entry] = await spool.search(Query())
    whole = await spool.show("m1")
    assert whole
    assert [row.reply for row in entry.rows] == ["said of delivered", *["said of deferred"] * 6]
    assert entry.rows == whole.rows


# That nothing else is read ------------------------------------------------------------------

WALK = re.compile(r"SCAN (message|delivery|recipient|answer|attempt|transcript)\b")


async def steps_of_pages(folder: Path, clock: ManualClock, count: int) -> tuple[int, list[str]]:
    """Steps of SQLite's machine for pages of a message for `count`; and what was sorted or walked through."""
    spool, steps, plans = sqlite(folder, clock), 0, []
    await spool.open()
    await many(spool, "m1", count, each=100, long=True)
    await spool.change("m1", Status.HELD, START, f"r{count - 1}@example.org")
    middle = await spool.show("m1", RecipientPage(most=count // 2))
    assert middle
    statements: dict[str, Any] = {}

    def traced(told: dict[str, Any]) -> None:
        nonlocal steps
        steps += told["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    def kept(place: object, statement: str, values: object) -> bool:
        statements[statement] = values
        return True

    for page in (
        RecipientPage(most=50),
        RecipientPage(most=50, after=middle.cursor),
        RecipientPage(most=50, status=Status.READY),
        RecipientPage(most=1, status=Status.HELD),
        Query(),
        Query(statuses=(Status.HELD,)),
        Query(statuses=(Status.READY, Status.DEFERRED)),
    ):
        connection = connect(folder / "spool.db")  # one after the other: each counts from 0
        connection.exec_trace = kept
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, traced)
        if isinstance(page, Query):
            [entry], most = reads.search(connection, page, START), LISTED
        else:
            entry, most = reads.page(connection, 1, START, page), page.most
        assert (len(entry.rows), entry.whole) == (most, False)
        connection.close()
    connection = connect(folder / "spool.db")
    for statement, values in statements.items():
        if "search-order" in statement:  # which messages those are is told by tests of searches
            continue
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values):
            sorted_ = "TEMP B-TREE FOR ORDER" in step and "JOIN attempt" not in statement  # those are few
            if sorted_ or (WALK.match(step) and "delivery_leased" not in step):
                plans.append(f"{step}: {statement}")
    connection.close()
    await spool.close()
    return steps, plans


async def test_a_page_and_a_list_take_as_many_steps_however_many_recipients_there_are(
    tmp_path: Path, clock: ManualClock
) -> None:
    folders = tmp_path / "few", tmp_path / "many"
    for folder in folders:
        folder.mkdir()
    few, plans = await steps_of_pages(folders[0], clock, 2_000)
    many_, more = await steps_of_pages(folders[1], clock, 16_000)
    assert few > 1_000
    assert many_ <= few * 1.1
    assert plans + more == []


@pytest.mark.servers
async def test_a_page_and_a_list_of_a_database_read_a_few_deliveries(schema: str, clock: ManualClock) -> None:
    """Of 5,000 recipients in 500 deliveries, the texts of those that are shown."""
    spool = postgresql(schema, clock)
    await spool.open()
    try:
        await many(spool, "m1", 5_000, each=10)
        async with spool._pool.reading() as connection:
            rows = 0

            class Counting:
                async def fetch(self, query: str, *values: object) -> list[Any]:
                    nonlocal rows
                    found: list[Any] = await connection.fetch(query, *values)
                    rows += len(found)
                    return found

                async def fetchrow(self, query: str, *values: object) -> Any:
                    return await connection.fetchrow(query, *values)

            page = RecipientPage(most=50, after="")
            entry = await recipient_page(Counting(), "m1", START, page)
            assert entry
            assert len(entry.rows) == 50
            assert entry.counts == {Status.READY: 5_000}
            assert rows < 50
            for query in (Query(), Query(statuses=(Status.READY, Status.HELD))):
                rows = 0
                [line] = await listed(Counting(), query, START)
                assert line.rows == entry.rows[:LISTED]
                assert line.counts == entry.counts
                assert rows < 20
    finally:
        await spool.close()
