"""What people do to a queue: moves, jobs over what matches, and the audit of it; in every spool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from postbearer.store import (
    AuditRecord,
    Job,
    JobAction,
    JobState,
    Pause,
    Query,
    Settlement,
    Spool,
    SqliteSpool,
    Status,
)
from postbearer.store import jobs as stored_jobs
from postbearer.testing import ManualClock
from support.spooling import START, accept, claim, sqlite, statuses

NOBODY_ASKED = AuditRecord(at=START, by="anna", known_by="uid 1000", action="hold")


def job(action: JobAction, *, account: str = "", name: str = "j1", **matching: object) -> Job:
    wanted = Query(statuses=action.works_on, **matching)  # type: ignore[arg-type]
    return Job(
        id=name,
        action=action,
        matching=wanted,
        account=account,
        by="anna",
        known_by="uid 1000",
        created=START,
    )


async def to_the_end(spool: Spool, begun: Job, most: int = 2) -> Job:
    while begun.place < begun.last:
        step = await spool.jobs.step(begun, most)
        assert len(step.messages) <= most
        begun = await spool.jobs.advance(begun, [each.id for each in step.messages], step.place, START)
    ended = await spool.jobs.end(begun.id, JobState.DONE, START)
    assert ended is not None
    return ended


async def begin(spool: Spool, wanted: Job) -> Job:
    return await spool.jobs.begin(wanted, NOBODY_ASKED)


async def test_what_waits_leaves_by_another_account_from_now_on(spool: Spool) -> None:
    await accept(spool, "m1", recipients=("a@example.org", "b@example.org"), due=START + 600)
    assert await spool.move("m1", "spare", START) == 2
    [lane] = await spool.lanes(START)
    assert (lane.account, lane.due) == ("spare", START)
    assert (await spool.statistics()).by_account["spare"] == {Status.READY: 2}
    [claimed] = await claim(spool, START, account="spare")
    assert claimed.message.id == "m1"
    assert await spool.move("m1", "spare", START) == 0  # it does already


async def test_what_is_attempted_now_is_not_moved_and_what_is_done_neither(spool: Spool) -> None:
    await accept(spool, "m1")
    [claimed] = await claim(spool)
    assert await spool.move("m1", "spare", START) == 0
    await spool.settle(claimed, Settlement(results=(), ended=START, due=START))
    await spool.change("m1", Status.CANCELLED, START)
    assert await spool.move("m1", "spare", START) == 0
    assert await spool.move("none", "spare", START) == 0


async def test_what_is_held_is_moved_and_stays_held(spool: Spool) -> None:
    await accept(spool, "m1")
    await spool.change("m1", Status.HELD, START)
    assert await spool.move("m1", "spare", START) == 1
    assert await statuses(spool, "m1") == [Status.HELD]
    assert await spool.lanes(START) == []
    await spool.change("m1", Status.READY, START)
    assert [lane.account for lane in await spool.lanes(START)] == ["spare"]


async def test_moves_are_told_in_the_history(tmp_path: Path, clock: ManualClock) -> None:
    spool = SqliteSpool(tmp_path / "spool.db", clock=clock, reserve=0, allow_ephemeral=True, events=True)
    await spool.open()
    try:
        await accept(spool, "m1")
        await spool.move("m1", "spare", START)
        *_, last = await spool.history(0, 10)
        assert (last.account, last.status, last.said) == (
            "spare",
            Status.READY,
            "Moved from the account work.",
        )
    finally:
        await spool.close()


@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_a_job_does_to_all_that_matches_what_it_is_for(spool: Spool, most: int) -> None:
    for number in range(7):
        await accept(spool, f"m{number}", account="work" if number % 2 else "alerts")
    wanted = job(JobAction.HOLD, account="", client="app")
    wanted = replace(wanted, matching=replace(wanted.matching, account="work"))
    assert await spool.jobs.count(wanted.matching) == 3
    ended = await to_the_end(spool, await begin(spool, wanted), most)
    assert (ended.done, ended.changed, ended.state, ended.ended) == (3, 3, JobState.DONE, START)
    held = [(await statuses(spool, f"m{number}"))[0] is Status.HELD for number in range(7)]
    assert held == [False, True] * 3 + [False]
    assert await spool.jobs.count(wanted.matching) == 0


async def test_a_job_touches_only_recipients_that_match(spool: Spool) -> None:
    """A message may leave by two accounts, and have recipients in several states."""
    from postbearer.store import NewDelivery
    from support.spooling import message

    content = spool.stage("m1")
    await content.write(b"x\r\n")
    made = message("m1", content, ("a@example.org", "b@example.org"))
    first, second = made.envelope.recipients
    news = [
        NewDelivery(account="work", recipients=(first,)),
        NewDelivery(account="news", recipients=(second,)),
    ]
    await spool.accept(made, content, news)
    wanted = job(JobAction.CANCEL)
    wanted = replace(wanted, matching=replace(wanted.matching, account="news"))
    ended = await to_the_end(spool, await begin(spool, wanted))
    assert (ended.done, ended.changed) == (1, 1)
    assert await statuses(spool, "m1") == [Status.READY, Status.CANCELLED]


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        (JobAction.HOLD, Status.READY, Status.HELD),
        (JobAction.RELEASE, Status.HELD, Status.READY),
        (JobAction.RETRY, Status.READY, Status.READY),
        (JobAction.CANCEL, Status.HELD, Status.CANCELLED),
    ],
)
async def test_each_action_leads_where_it_says(
    spool: Spool, action: JobAction, before: Status, after: Status
) -> None:
    await accept(spool, "m1", due=START + 600)
    if before is Status.HELD:
        await spool.change("m1", Status.HELD, START)
    await to_the_end(spool, await begin(spool, job(action)))
    assert await statuses(spool, "m1") == [after]
    due = [lane.due for lane in await spool.lanes(START)]
    assert due == ([START] if action.lets_go else [])


async def test_a_job_moves_and_what_comes_later_is_not_its_matter(spool: Spool) -> None:
    await accept(spool, "m1")
    begun = await begin(spool, job(JobAction.MOVE, account="spare"))
    await accept(spool, "m2")
    ended = await to_the_end(spool, begun)
    assert (ended.done, ended.changed) == (1, 1)
    assert [lane.account for lane in await spool.lanes(START)] == ["spare", "work"]


async def test_what_is_attempted_now_is_no_matter_of_a_job(spool: Spool) -> None:
    await accept(spool, "m1")
    await claim(spool)
    wanted = job(JobAction.CANCEL)
    assert await spool.jobs.count(wanted.matching) == 0
    ended = await to_the_end(spool, await begin(spool, wanted))
    assert (ended.done, ended.changed) == (0, 0)
    assert await statuses(spool, "m1") == [Status.LEASED]


async def test_a_step_that_was_made_already_is_not_made_again(spool: Spool) -> None:
    """Two nodes may have read the same job, and a commit may stand that was not answered."""
    for number in range(3):
        await accept(spool, f"m{number}")
    begun = await begin(spool, job(JobAction.HOLD))
    step = await spool.jobs.step(begun, 2)
    ids = [each.id for each in step.messages]
    once = await spool.jobs.advance(begun, ids, step.place, START)
    again = await spool.jobs.advance(begun, ids, step.place, START)
    assert (
        (again.done, again.changed, again.place)
        == (once.done, once.changed, once.place)
        == (2, 2, step.place)
    )


async def test_a_job_that_was_cancelled_does_nothing_more(spool: Spool) -> None:
    for number in range(3):
        await accept(spool, f"m{number}")
    begun = await begin(spool, job(JobAction.HOLD))
    step = await spool.jobs.step(begun, 1)
    begun = await spool.jobs.advance(begun, [each.id for each in step.messages], step.place, START)
    assert (await spool.jobs.running()) == begun
    await spool.jobs.end("j1", JobState.CANCELLED, START + 1)
    late = await spool.jobs.advance(begun, ["m1", "m2"], begun.last, START)
    assert (late.state, late.done, late.ended) == (JobState.CANCELLED, 1, START + 1)
    assert await spool.jobs.end("j1", JobState.DONE, START + 2) == late  # it has ended, and once
    assert await spool.jobs.running() is None
    assert await spool.jobs.end("j9", JobState.DONE, START) is None
    *_, last = reversed(await spool.audit.read(None, 10))
    assert (last.record.action, last.record.count, last.record.result) == ("hold", 1, "cancelled")


async def test_a_job_goes_on_after_a_restart_where_it_was(tmp_path: Path, clock: ManualClock) -> None:
    spool = sqlite(tmp_path, clock)
    await spool.open()
    for number in range(5):
        await accept(spool, f"m{number}")
    begun = await begin(spool, job(JobAction.CANCEL, address="APP@"))
    step = await spool.jobs.step(begun, 2)
    await spool.jobs.advance(begun, [each.id for each in step.messages], step.place, START)
    await spool.close()
    spool = sqlite(tmp_path, clock)
    await spool.open()
    try:
        found = await spool.jobs.running()
        assert found is not None
        assert (found.done, found.matching) == (2, begun.matching)
        ended = await to_the_end(spool, found)
        assert (ended.done, ended.changed) == (5, 5)
    finally:
        await spool.close()


async def test_numbers_with_gaps_are_walked_in_stretches(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_jobs, "STRETCH", 2)
    for number in range(9):
        await accept(spool, f"m{number}", accepted=START - 100 if number in (0, 8) else START)
    wanted = job(JobAction.HOLD, older_than=START - 50)
    ended = await to_the_end(spool, await begin(spool, wanted), 100)
    assert (ended.done, ended.changed) == (2, 2)


async def test_what_was_done_is_recorded_in_its_order_with_who_did_it(spool: Spool) -> None:
    await accept(spool, "m1", recipients=("a@example.org", "b@example.org"))
    await spool.change("m1", Status.HELD, START, audit=replace(NOBODY_ASKED, message="m1"))
    await spool.change("m1", Status.HELD, START, audit=NOBODY_ASKED)  # nothing to change
    await spool.pause(
        Pause(account="work", since=START, reason="x"), audit=replace(NOBODY_ASKED, action="pause")
    )
    await spool.resume("work", audit=replace(NOBODY_ASKED, action="resume"))
    await spool.resume("work", audit=replace(NOBODY_ASKED, action="resume"))  # it was not paused
    await spool.move("m1", "spare", START, audit=replace(NOBODY_ASKED, action="move"))
    await spool.audit.add(replace(NOBODY_ASKED, action="reload", result="refused \x1b[31m"))
    found = await spool.audit.read(None, 100)
    assert [(each.number, each.record.action, each.record.count) for each in found] == [
        (5, "reload", 0),
        (4, "move", 2),
        (3, "resume", 0),
        (2, "pause", 0),
        (1, "hold", 2),
    ]
    assert (found[-1].record.by, found[-1].record.message) == ("anna", "m1")
    assert [each.number for each in await spool.audit.read(4, 2)] == [3, 2]
    assert await spool.audit.verify() == (5, None)


async def test_a_record_is_not_longer_than_what_people_read(spool: Spool) -> None:
    await spool.audit.add(replace(NOBODY_ASKED, by="x" * 100_000, detail="\ud800"))
    [entry] = await spool.audit.read(None, 1)
    assert len(entry.record.by) <= 2_000
    assert await spool.audit.verify() == (1, None)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("UPDATE audit SET by = 'somebody else' WHERE number = 2", 2),
        ("UPDATE audit SET count = 99 WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 2", 3),
        ("UPDATE audit SET number = 9 WHERE number = 3", 4),
        ("UPDATE audit SET at = 'x' WHERE number = 1", 1),
    ],
)
async def test_what_was_changed_in_the_audit_is_found(
    tmp_path: Path, clock: ManualClock, change: str, first: int
) -> None:
    spool = sqlite(tmp_path, clock)
    await spool.open()
    for number in range(4):
        await spool.audit.add(replace(NOBODY_ASKED, count=number))
    await spool.close()
    connection = apsw.Connection(str(tmp_path / "spool.db"))
    connection.execute(change)
    connection.close()
    await spool.open()
    try:
        assert (await spool.audit.verify())[1] == first
    finally:
        await spool.close()


async def test_the_oldest_records_go_and_the_rest_still_holds_together(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbearer.store.auditing.AUDIT_KEPT", 3)
    spool = sqlite(tmp_path, clock)
    await spool.open()
    try:
        for _ in range(5):
            await spool.audit.add(NOBODY_ASKED)
        assert [each.number for each in await spool.audit.read(None, 100)] == [5, 4, 3]
        assert await spool.audit.verify() == (3, None)
    finally:
        await spool.close()


async def test_only_so_many_jobs_are_kept(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_jobs, "JOBS_KEPT", 2)
    spool = sqlite(tmp_path, clock)
    await spool.open()
    try:
        for number in range(4):
            begun = await begin(spool, job(JobAction.HOLD, name=f"j{number}"))
            await spool.jobs.end(begun.id, JobState.DONE, START)
        assert [each.id for each in await spool.jobs.list(10)] == ["j3", "j2"]
        assert await spool.jobs.show("j0") is None
    finally:
        await spool.close()
