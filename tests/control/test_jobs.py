"""Actions on all that matches, as jobs: counted first, done in steps, moved only where the account may."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from postbearer.control import JobInfo, JobRunner, Operations, of_this_process
from postbearer.errors import Conflict, UsageError
from postbearer.message import SenderRule
from postbearer.store import JobAction, Query, Status
from support.relay import Ears, Relay, account, relaying

ME = of_this_process()


def operations(relay: Relay) -> Operations:
    return Operations(relay.spool, relay.clock, relay.dispatcher)


async def waiting(relay: Relay, count: int, **given: str) -> list[str]:
    """So many messages, of an account that is paused."""
    await operations(relay).accounts.pause("alerts", by=ME)
    return [await relay.submit(**given) for _ in range(count)]


async def start(on: Operations, action: JobAction, count: int | None = None, **given: str) -> JobInfo:
    target = given.pop("to", "")
    return await on.jobs.start(action, Query(**given), target, count, by=ME)  # type: ignore[arg-type]


async def to_the_end(on: Operations, job: JobInfo) -> JobInfo:
    assert isinstance(job.id, str)
    return await on.jobs.wait(job.id, 10)


async def test_a_dry_run_counts_and_does_nothing() -> None:
    async with relaying() as relay:
        on, ids = operations(relay), await waiting(relay, 3)
        told = await on.jobs.start(JobAction.CANCEL, Query(), dry_run=True, by=ME)
        assert (told.state, told.matched, told.done) == ("dry-run", 3, 0)
        assert told.matching.states == JobAction.CANCEL.works_unasked_on
        assert Status.SCHEDULED in told.matching.states
        assert (await on.jobs.list()).jobs == ()
        assert [await relay.statuses(each) for each in ids] == [["ready"]] * 3


async def test_what_was_counted_has_to_be_what_there_is() -> None:
    async with relaying() as relay:
        on = operations(relay)
        await waiting(relay, 2)
        with pytest.raises(UsageError, match="not said how many") as missing:
            await start(on, JobAction.CANCEL)
        assert "now it would be 2" in missing.value.hint
        await relay.submit()
        with pytest.raises(Conflict, match="3 messages match now, not 2"):
            await start(on, JobAction.CANCEL, 2)
        assert (await on.jobs.list()).jobs == ()


async def test_what_matches_is_held_and_released_by_jobs() -> None:
    async with relaying() as relay:
        on, ids = operations(relay), await waiting(relay, 250)
        ended = await to_the_end(on, await start(on, JobAction.HOLD, 250, account="alerts"))
        assert (ended.state, ended.done, ended.changed, ended.error) == ("done", 250, 250, "")
        assert {(await relay.statuses(each))[0] for each in ids} == {"held"}
        with pytest.raises(UsageError, match="delivered cannot be changed by hold"):
            await on.jobs.start(JobAction.HOLD, Query(statuses=(Status.DELIVERED,)), by=ME)
        await to_the_end(on, await start(on, JobAction.RELEASE, 250))
        await on.accounts.resume("alerts", by=ME)
        for _ in range(20):
            await relay.settle()
        assert {(await relay.statuses(each))[0] for each in ids} == {"delivered"}


async def test_jobs_are_done_one_after_the_other_in_the_background() -> None:
    async with relaying() as relay:
        ids = await waiting(relay, 120)
        ears = Ears()
        runner = JobRunner(relay.spool, relay.clock, ears, lambda name: relay.accounts[name])
        on = Operations(relay.spool, relay.clock, relay.dispatcher, observer=ears, runner=runner)
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(0)
        try:
            first = await start(on, JobAction.HOLD, 120)
            await to_the_end(on, first)
            await to_the_end(on, await start(on, JobAction.CANCEL, 120))
        finally:
            running.cancel()
        assert [each.state for each in (await on.jobs.list()).jobs] == ["done", "done"]
        assert {(await relay.statuses(each))[0] for each in ids} == {"cancelled"}
        assert [(each.action, each.count) for each in ears.events] == [("hold", 120), ("cancel", 120)]


async def test_a_cancelled_job_leaves_the_rest_as_it_is() -> None:
    async with relaying() as relay:
        ids = await waiting(relay, 150)
        on = operations(relay)
        begun = await start(on, JobAction.HOLD, 150)
        assert isinstance(begun.id, str)
        await on.jobs._runner.step()
        told = await on.jobs.cancel(begun.id, by=ME)
        assert (told.state, told.done, told.error) == ("cancelled", 100, f"Cancelled by {ME.name}.")
        assert not await on.jobs._runner.step()
        assert sum([(await relay.statuses(each)) == ["held"] for each in ids]) == 100
        with pytest.raises(Conflict, match="has ended: cancelled"):
            await on.jobs.cancel(begun.id, by=ME)


async def test_who_sees_one_clients_messages_sees_its_jobs() -> None:
    async with relaying() as relay:
        on = operations(relay)
        await waiting(relay, 1)
        mine, all_ = [await start(on, JobAction.HOLD, 1, client=each) for each in ("app", "")]
        assert isinstance(mine.id, str)
        assert isinstance(all_.id, str)
        assert [each.id for each in (await on.jobs.list("app")).jobs] == [mine.id]
        assert (await on.jobs.show(mine.id, "app")).id == mine.id
        for job in (all_.id, "none", "\x1b[31m"):
            with pytest.raises(UsageError, match="no job"):
                await on.jobs.show(job, "app")
            with pytest.raises(UsageError, match="no job"):
                await on.jobs.cancel(job, "app", by=ME)


SPARE = account("spare")


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (SenderRule("spare@example.org", "force"), True),
        (SenderRule("spare@example.org", "check"), False),
        (SenderRule("spare@example.org", "allow"), True),
        (SenderRule("spare@example.org", "allow", ("app@example.org",)), True),
        (SenderRule("spare@example.org", "allow", ("news@example.org",)), False),
    ],
)
async def test_mail_is_moved_where_the_new_account_may_send_as_its_author(
    rule: SenderRule, fits: bool
) -> None:
    spare = replace(SPARE, sender=rule)
    async with relaying(account(), spare) as relay:
        on, ids = operations(relay), await waiting(relay, 3)
        if fits:
            moved = await on.messages.move(ids[0], "spare", by=ME)
            assert (moved.changed, moved.paused) == (1, ())
        else:
            with pytest.raises(
                UsageError, match="may not leave by spare: Mail may not leave this account as"
            ):
                await on.messages.move(ids[0], "spare", by=ME)
        rest = 2 if fits else 3
        ended = await to_the_end(on, await start(on, JobAction.MOVE, rest, to="spare", account="alerts"))
        assert (ended.state, ended.done, ended.refused) == ("done", rest, 0 if fits else rest)
        assert ("may not leave" in ended.error) is not fits
        await relay.settle()
        sent = relay.providers["spare"].sent
        assert len(sent) == (3 if fits else 0)
        assert relay.providers["alerts"].sent == []


async def test_what_is_too_large_for_an_account_is_not_moved_there() -> None:
    async with relaying(account(), account("small", largest=50)) as relay:
        on, ids = operations(relay), await waiting(relay, 1, content=b"Subject: x\r\n\r\n" + b"x" * 100)
        with pytest.raises(UsageError, match="larger than 50 octets"):
            await on.messages.move(ids[0], "small", by=ME)


async def test_mail_is_moved_to_an_account_that_there_is() -> None:
    async with relaying(account(), SPARE) as relay:
        on, (message,) = operations(relay), await waiting(relay, 1)
        for job in (
            on.messages.move(message, "spar", by=ME),
            on.jobs.start(JobAction.MOVE, Query(), "spar", 1, by=ME),
        ):
            with pytest.raises(UsageError, match="no account 'spar'") as told:
                await job
            assert "spare" in told.value.hint
        with pytest.raises(UsageError, match="which account"):
            await on.jobs.start(JobAction.MOVE, Query(), "", 1, by=ME)
        with pytest.raises(UsageError, match="no account is needed"):
            await on.jobs.start(JobAction.HOLD, Query(), "spare", 1, by=ME)


async def test_a_move_to_a_paused_account_says_that_it_waits() -> None:
    async with relaying(account(), SPARE) as relay:
        on, (message,) = operations(relay), await waiting(relay, 1)
        await on.accounts.pause("spare", by=ME)
        assert [each.account for each in (await on.messages.move(message, "spare", by=ME)).paused] == [
            "spare"
        ]


async def test_a_job_whose_account_was_removed_fails_and_says_so() -> None:
    async with relaying(account(), SPARE) as relay:
        on = operations(relay)
        await waiting(relay, 1)
        begun = await start(on, JobAction.MOVE, 1, to="spare")
        del relay.dispatcher.account_states["spare"]  # type: ignore[attr-defined]
        ended = await to_the_end(on, begun)
        assert (ended.state, ended.done) == ("failed", 0)
        assert "no account 'spare'" in ended.error


async def test_two_who_act_at_the_same_moment_do_it_once() -> None:
    async with relaying() as relay:
        on, (message,) = operations(relay), await waiting(relay, 1)
        done = await asyncio.gather(*[on.messages.cancel(message, by=ME) for _ in range(5)])
        assert sorted(each.changed for each in done) == [0, 0, 0, 0, 1]
        assert len(await relay.spool.audit.read(None, 100)) == 2  # with the pause
