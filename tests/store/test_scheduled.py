"""What waits for a time, in every spool: it is found, counted and let go as what it is; and tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from postbearer.store import (
    AuditRecord,
    Job,
    JobAction,
    Message,
    Query,
    Spool,
    Status,
    Waiting,
)
from postbearer.store.queries import queries
from postbearer.tags import Tags
from postbearer.testing import ManualClock
from store.conftest import Make
from support.spooling import START, TEXT, accept, claim, delivery, ending, message, sqlite, statuses

DAY = 86_400.0


async def scheduled(
    spool: Spool,
    name: str,
    send_at: float = START + DAY,
    *,
    tags: Tags = (),
    recipients: Sequence[str] = ("you@example.org",),
) -> Message:
    content = spool.stage(name)
    await content.write(TEXT)
    made = replace(message(name, content, recipients), send_at=send_at, expires=send_at + 5 * DAY, tags=tags)
    await spool.accept(made, content, [delivery(made, due=send_at)])
    return made


async def test_it_comes_back_with_its_time_and_its_tags(spool: Spool) -> None:
    made = await scheduled(spool, "m1", tags=(("customer", "42"), ("kind", "a"), ("kind", "ä b")))
    entry = await spool.show("m1")
    assert entry is not None
    assert entry.message == made
    (found,) = await claim(spool, START + DAY)
    assert found.message == made


async def test_until_its_time_it_is_scheduled_and_then_it_waits(spool: Spool, clock: ManualClock) -> None:
    await scheduled(spool, "m1")
    await accept(spool, "m2")
    assert await statuses(spool, "m1") == [Status.SCHEDULED]
    assert [lane.due for lane in await spool.lanes(START)] == [START]
    assert [each.message.id for each in await claim(spool, START, most=5)] == ["m2"]
    clock.advance(DAY - 1)
    assert await claim(spool, clock.now(), most=5) == []
    clock.advance(1)
    assert await statuses(spool, "m1") == [Status.READY]
    assert [each.message.id for each in await claim(spool, clock.now(), most=5)] == ["m1"]
    assert await statuses(spool, "m1") == [Status.LEASED]


async def test_a_lane_tells_whether_its_first_has_a_time(spool: Spool) -> None:
    await scheduled(spool, "m1", START + 10 * DAY)
    assert [(lane.due, lane.timed) for lane in await spool.lanes(START)] == [(START + 10 * DAY, True)]
    await accept(spool, "m2", due=START + 5 * DAY)
    assert [(lane.due, lane.timed) for lane in await spool.lanes(START)] == [(START + 5 * DAY, False)]


async def test_it_is_no_backlog_before_its_time(spool: Spool, clock: ManualClock) -> None:
    await scheduled(spool, "m1")
    assert await spool.waiting() == []
    counted = await spool.statistics()
    assert (counted.counts, counted.oldest) == ({Status.SCHEDULED: 1}, None)
    await accept(spool, "m2")
    counted = await spool.statistics()
    assert counted.by_account == {"work": {Status.SCHEDULED: 1, Status.READY: 1}}
    assert counted.oldest == START
    clock.advance(2 * DAY)
    assert (await spool.statistics()).counts == {Status.READY: 2}
    assert list(await spool.waiting()) == [Waiting(account="work", messages=2, oldest=START)]


async def test_how_long_it_waits_counts_from_its_time(spool: Spool, clock: ManualClock) -> None:
    await scheduled(spool, "m1")
    clock.advance(DAY + 60)
    assert list(await spool.waiting()) == [Waiting(account="work", messages=1, oldest=START + DAY)]
    assert (await spool.statistics()).oldest == START + DAY
    assert await spool.late("work", START + DAY, 0, 10) == []
    assert [each.message.id for each in await spool.late("work", START + DAY + 1, 0, 10)] == ["m1"]


async def test_what_is_held_before_its_time_is_held(spool: Spool) -> None:
    await scheduled(spool, "m1")
    assert await spool.change("m1", Status.HELD, START) == 1
    assert await statuses(spool, "m1") == [Status.HELD]
    assert (await spool.statistics()).counts == {Status.HELD: 1}


async def test_what_is_let_go_before_its_time_leaves_and_lives_as_long(
    spool: Spool, clock: ManualClock
) -> None:
    await scheduled(spool, "m1", recipients=("a@example.org", "b@example.org"))
    assert await spool.change("m1", Status.READY, START + 60) == 2
    entry = await spool.show("m1")
    assert entry is not None
    assert entry.message.send_at is None
    assert entry.message.expires == START + 60 + 5 * DAY
    (claimed,) = await claim(spool, START + 60)
    assert claimed.message.expires == START + 60 + 5 * DAY
    assert len(claimed.targets) == 2


async def test_what_is_released_can_go_on_waiting_for_its_time(spool: Spool) -> None:
    made = await scheduled(spool, "m1")
    await spool.change("m1", Status.HELD, START)
    assert await spool.change("m1", Status.READY, START + DAY) == 1
    assert await statuses(spool, "m1") == [Status.SCHEDULED]
    assert await claim(spool, START + DAY - 1) == []
    (claimed,) = await claim(spool, START + DAY)
    assert claimed.message == made


async def test_what_is_cancelled_before_its_time_never_leaves(spool: Spool) -> None:
    await scheduled(spool, "m1")
    assert await spool.change("m1", Status.CANCELLED, START) == 1
    assert await claim(spool, START + 2 * DAY) == []
    assert (await spool.statistics()).counts == {Status.CANCELLED: 1}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ((Status.SCHEDULED,), ["m1"]),
        ((Status.READY,), ["m2"]),
        ((Status.SCHEDULED, Status.READY), ["m1", "m2"]),
        ((Status.HELD,), []),
    ],
)
async def test_search_by_state(spool: Spool, wanted: tuple[Status, ...], found: list[str]) -> None:
    await scheduled(spool, "m1")
    await accept(spool, "m2")
    assert [each.message.id for each in await spool.search(Query(statuses=wanted))] == found


async def test_search_by_tags(spool: Spool) -> None:
    await scheduled(spool, "m1", tags=(("customer", "42"), ("kind", "a")))
    await scheduled(spool, "m2", tags=(("customer", "42"), ("kind", "b")))
    await scheduled(spool, "m3", tags=(("customer", "4"),))

    async def found(*tags: tuple[str, str], **more: int) -> list[str]:
        return [each.message.id for each in await spool.search(Query(tags=tags, **more))]

    assert await found(("customer", "42")) == ["m1", "m2"]
    assert await found(("customer", "42"), ("kind", "b")) == ["m2"]
    assert await found(("customer", "42"), limit=1) == ["m1"]
    assert await found(("customer", "4"), ("kind", "b")) == []
    assert await found(("kind", "A")) == []


async def test_what_is_gone_takes_its_time_and_its_tags_along(spool: Spool, tmp_path: Path) -> None:
    await scheduled(spool, "m1", START, tags=(("a", "b"),))
    (claimed,) = await claim(spool)
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    await spool.retire(START + 1)
    assert list(await spool.search(Query(tags=(("a", "b"),)))) == []
    await scheduled(spool, "m2")
    assert list(await spool.search(Query(tags=(("a", "b"),)))) == []
    if (tmp_path / "spool.db").exists():
        connection = apsw.Connection(str(tmp_path / "spool.db"), apsw.SQLITE_OPEN_READONLY)
        assert connection.execute("SELECT count(*) FROM tag").get == 0
        assert connection.execute("SELECT count(*) FROM scheduled").get == 1
        connection.close()


async def test_tags_are_found_by_an_index(tmp_path: Path) -> None:
    spool = sqlite(tmp_path, ManualClock(START))
    await spool.open()
    await scheduled(spool, "m1", tags=(("a", "b"),))
    await spool.close()
    sql = queries("look")
    asked = "\n".join((sql["search"], "AND", sql["where-tags"], sql["search-order"]))
    connection = apsw.Connection(str(tmp_path / "spool.db"))
    values = {"after_accepted": 0.0, "after_number": 0, "tags": '[["a","b"]]', "limit": 5}
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked}", values)]
    connection.close()
    assert "SEARCH tag USING COVERING INDEX tag_value (name=? AND value=?)" in plan
    assert not [step for step in plan if step.startswith("SCAN") and "wanted" not in step]
    assert "SEARCH message USING INTEGER PRIMARY KEY (rowid=?)" in plan


async def test_changes_tell_of_the_time_and_of_tags(make: Make, clock: ManualClock) -> None:
    spool = make(True)
    await spool.open()
    await scheduled(spool, "m1", tags=(("a", "b"), ("c", "d")))
    await accept(spool, "m2")
    clock.advance(DAY)
    (claimed, *_) = [each for each in await claim(spool, clock.now(), most=5) if each.message.id == "m1"]
    await spool.settle(claimed, ending(claimed, Status.DELIVERED))
    told = [(each.message, each.status, each.tags) for each in await spool.history(0, 10)]
    tags = (("a", "b"), ("c", "d"))
    assert told == [
        ("m1", Status.SCHEDULED, tags),
        ("m2", Status.READY, ()),
        ("m1", Status.DELIVERED, tags),
    ]
    await spool.close()


async def test_it_waits_over_a_restart_and_leaves_at_once_if_that_came_too_late(tmp_path: Path) -> None:
    clock = ManualClock(START)
    spool = sqlite(tmp_path, clock)
    await spool.open()
    await scheduled(spool, "m1")
    await scheduled(spool, "m2", START + 10 * DAY)
    await spool.close()
    clock.advance(3 * DAY)
    spool = sqlite(tmp_path, clock)
    await spool.open()
    assert await statuses(spool, "m1") == [Status.READY]
    assert [each.message.id for each in await claim(spool, clock.now(), most=5)] == ["m1"]
    assert await statuses(spool, "m2") == [Status.SCHEDULED]
    await spool.close()


def job(action: JobAction, **matching: Any) -> Job:
    query = Query(**{"statuses": action.works_unasked_on} | matching)
    return Job(
        id="j1", action=action, matching=query, account="other", by="me", known_by="test", created=START
    )


async def worked(spool: Spool, wanted: Job) -> Job:
    """A job, to its end."""
    audit = AuditRecord(at=START, by="me", known_by="test", action=wanted.action)
    begun = await spool.jobs.begin(wanted, audit)
    step = await spool.jobs.step(begun, 100)
    return await spool.jobs.advance(begun, [each.id for each in step.messages], step.place, START)


@pytest.mark.parametrize(
    ("action", "matching", "found"),
    [
        (JobAction.RETRY, {}, [Status.SCHEDULED, Status.READY]),
        (JobAction.RETRY, {"statuses": (Status.SCHEDULED,)}, [Status.READY, Status.READY]),
        (JobAction.HOLD, {}, [Status.HELD, Status.HELD]),
        (JobAction.HOLD, {"statuses": (Status.READY,)}, [Status.SCHEDULED, Status.HELD]),
        (JobAction.CANCEL, {}, [Status.CANCELLED, Status.CANCELLED]),
        (JobAction.CANCEL, {"tags": (("a", "b"),)}, [Status.CANCELLED, Status.READY]),
        (JobAction.MOVE, {}, [Status.SCHEDULED, Status.READY]),
        (JobAction.MOVE, {"statuses": (Status.SCHEDULED,)}, [Status.SCHEDULED, Status.READY]),
    ],
)
async def test_jobs_know_what_waits_for_its_time(
    spool: Spool, action: JobAction, matching: dict[str, Any], found: list[Status]
) -> None:
    await scheduled(spool, "m1", tags=(("a", "b"),))
    await accept(spool, "m2")
    done = await worked(spool, job(action, **matching))
    assert done.changed > 0
    assert [*await statuses(spool, "m1"), *await statuses(spool, "m2")] == found
    if action is JobAction.MOVE:
        entry = await spool.show("m1")
        assert entry is not None
        assert (entry.rows[0].account, entry.rows[0].due) == ("other", START + DAY)


async def test_a_job_that_releases_lets_them_wait_for_their_time(spool: Spool) -> None:
    await scheduled(spool, "m1")
    await spool.change("m1", Status.HELD, START)
    assert (await worked(spool, job(JobAction.RELEASE))).changed == 1
    assert await statuses(spool, "m1") == [Status.SCHEDULED]
    assert await claim(spool, START + DAY - 1) == []
    assert len(await claim(spool, START + DAY)) == 1


async def test_what_is_moved_before_its_time_keeps_it(spool: Spool) -> None:
    await scheduled(spool, "m1")
    assert await spool.move("m1", "other", START) == 1
    assert [(lane.account, lane.due) for lane in await spool.lanes(START)] == [("other", START + DAY)]
    assert await statuses(spool, "m1") == [Status.SCHEDULED]
