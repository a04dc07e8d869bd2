"""What people do to the queue, and see of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import UNSET

from postbearer.control import Change, EndingInfo, Operations, of_this_process
from postbearer.control.answers import encode
from postbearer.engine import BudgetRemaining, BudgetUsed
from postbearer.envelope import Recipient
from postbearer.errors import ConfigError, GrantRefused, UsageError
from postbearer.forecast import DAY, Facts
from postbearer.settings import Limits
from postbearer.store import MemorySpool, Query, Status
from support.relay import Relay, account, relaying, rules

ME = of_this_process()


def operations(relay: Relay) -> Operations:
    return Operations(relay.spool, relay.clock, relay.dispatcher)


async def test_a_message_from_accept_to_the_provider() -> None:
    async with relaying() as relay:
        message = await relay.submit(
            "anna@example.net", content=b"From: a@example.org\r\nSubject: hi\r\n\r\nx\r\n"
        )
        await relay.pass_time(10)
        shown = await operations(relay).messages.show(message)
        assert (shown.subject, shown.sender, shown.age) == ("hi", "app@example.org", 10.0)
        (recipient,) = shown.recipients
        assert (recipient.address, recipient.state) == ("anna@example.net", "delivered")
        assert recipient.meaning == "accepted by the provider"
        (attempt,) = shown.attempts
        assert (attempt.server, attempt.queue_id) == ("mail.example.org:587", "Q1")
        encode(shown)


async def test_held_mail_waits_until_it_is_released() -> None:
    async with relaying() as relay:
        queue = operations(relay)
        await queue.accounts.pause("alerts", by=ME)
        message = await relay.submit("anna@example.net", "ben@example.net")
        assert await queue.messages.hold(message, "ben@example.net", by=ME) == Change(
            id=message, changed=1, states={"ready": 1, "held": 1}
        )
        await queue.accounts.resume("alerts", by=ME)
        await relay.pass_time(7200)
        assert [each.state for each in (await queue.messages.show(message)).recipients] == [
            "delivered",
            "held",
        ]
        await queue.messages.release(message, by=ME)
        await relay.settle()
        assert await relay.statuses(message) == ["delivered", "delivered"]


async def test_mail_of_an_account_that_a_reload_removed_says_why_it_waits_and_what_to_do() -> None:
    async with relaying(account("alerts"), account("news")) as relay:
        await operations(relay).accounts.pause("alerts", by=ME)
        message = await relay.submit()
        (row,) = (await operations(relay).messages.show(message)).recipients
        assert (row.waits, row.way_out) == (
            "The account alerts is paused: Paused by hand.",
            "Let it send again: postbearer accounts resume alerts",
        )
        left = {"news": relay.dispatcher.account_states["news"].channel}
        await relay.dispatcher.reload(left, rules())
        (row,) = (await operations(relay).messages.show(message)).recipients
        assert row.waits == "The account alerts is not configured any more."
        assert "[accounts.alerts]" in row.way_out
        assert "postbearer queue cancel" in row.way_out


async def test_retry_does_not_wait_for_the_schedule() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].answers = ["451 4.7.1 later"]
        message = await relay.submit()
        await relay.settle()
        await operations(relay).messages.retry(message, by=ME)
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]


async def test_retry_says_what_a_message_waits_for() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = GrantRefused("No.", code="invalid_grant", hint="Sign in again.")
        message = await relay.submit("anna@example.net", "ben@example.net")
        await relay.settle()
        queue = operations(relay)
        await queue.messages.hold(message, "ben@example.net", by=ME)
        told = await queue.messages.retry(message, "anna@EXAMPLE.net", by=ME)
        (pause,) = told.paused
        assert (told.changed, pause.recipients) == (1, 1)
        shown = await queue.accounts.show("alerts")
        assert all(
            getattr(pause, name) == getattr(shown, name)
            for name in ("reason", "remedy", "tried_again", "since")
        )


async def test_what_a_fallback_carries_waits_for_nothing() -> None:
    async with relaying(account("alerts", fallback="spare"), account("spare")) as relay:
        queue = operations(relay)
        await queue.accounts.pause("alerts", by=ME)
        await queue.accounts.pause("spare", by=ME)
        message = await relay.submit()
        assert [each.account for each in (await queue.messages.retry(message, by=ME)).paused] == ["alerts"]
        await queue.messages.hold(message, by=ME)
        await queue.accounts.resume("spare", by=ME)
        assert (await queue.messages.release(message, by=ME)).paused == ()
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]


async def test_what_is_cancelled_does_not_leave() -> None:
    async with relaying() as relay:
        queue = operations(relay)
        await queue.accounts.pause("alerts", by=ME)
        message = await relay.submit()
        await queue.messages.cancel(message, by=ME)
        await queue.accounts.resume("alerts", by=ME)
        await relay.settle()
        assert await relay.statuses(message) == ["cancelled"]
        assert relay.providers["alerts"].sent == []


async def test_list_and_stats() -> None:
    async with relaying() as relay:
        queue = operations(relay)
        await relay.submit("anna@example.net")
        await relay.settle()
        await queue.accounts.pause("alerts", by=ME)
        waiting = await relay.submit("ben@example.net")
        await relay.pass_time(60)
        assert [
            each.id for each in (await queue.messages.list(Query(statuses=(Status.READY,)))).messages
        ] == [waiting]
        stats = await queue.messages.stats()
        assert stats.counts == {"ready": 1, "delivered": 1}
        assert (stats.age, stats.accounts) == (60.0, {"alerts": {"ready": 1, "delivered": 1}})
        encode(stats)


async def test_accounts_say_why_they_pause_what_is_left_and_when_they_are_tried_again() -> None:
    async with relaying(account(limits=Limits(messages_per_minute=30, recipients_per_day=10_000))) as relay:
        queue = operations(relay)
        await relay.submit()
        await relay.settle()
        (ready,) = await queue.accounts.list()
        assert (ready.state, ready.address, ready.connections) == ("ready", "alerts@example.org", 2)
        assert ready.budget == BudgetRemaining(29, None, 9_999)
        relay.providers["alerts"].always = GrantRefused("No.", code="invalid_grant", hint="Sign in again.")
        await relay.submit()
        await relay.settle()
        paused = await queue.accounts.show("alerts")
        assert paused.state == "paused"
        assert paused.tried_again == relay.clock.now() + 900
        assert paused.reason
        assert paused.remedy
        assert paused.last_error
        encode(paused)


async def test_accounts_tell_what_is_used_and_when_what_waits_will_be_gone() -> None:
    limits = Limits(messages_per_minute=30, messages_per_day=4)
    async with relaying(account(limits=limits)) as relay:
        queue = operations(relay)
        idle = await queue.accounts.show("alerts")
        assert (idle.budget_used, idle.backlog_gone_at) == (BudgetUsed(0, 0, None), None)
        for _ in range(15):
            await relay.submit()
        await relay.settle()
        busy = await queue.accounts.show("alerts")
        assert busy.budget == BudgetRemaining(26, 0, None)
        assert busy.budget_used == BudgetUsed(4, 4, None)
        assert busy.counts == {"ready": 11, "delivered": 4}
        assert busy.backlog_gone_at == relay.clock.now() + 3 * DAY  # 4, 4 and 3
        await queue.accounts.pause("alerts", by=ME)
        assert (await queue.accounts.show("alerts")).backlog_gone_at is None


async def test_a_backlog_goes_on_when_the_quota_of_the_provider_is_there_again() -> None:
    async with relaying(account(limits=Limits(messages_per_minute=30))) as relay:
        queue = operations(relay)
        quota = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"
        relay.providers["alerts"].always = quota
        for _ in range(15):
            await relay.submit()
        await relay.settle()
        paused = await queue.accounts.show("alerts")
        assert (paused.state, paused.paused_by) == ("paused", "limit")
        assert paused.tried_again
        assert paused.backlog_gone_at == paused.tried_again + 30.0
        relay.providers["alerts"].always = GrantRefused("No.", code="invalid_grant")
        await queue.accounts.resume("alerts", by=ME)
        await relay.settle()
        refused = await queue.accounts.show("alerts")
        assert (refused.paused_by, refused.backlog_gone_at) == ("relay", None)


async def test_what_no_limit_holds_back_has_no_end_to_tell() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = "451 4.3.0 Try later"
        await relay.submit()
        await relay.settle()
        shown = await operations(relay).accounts.show("alerts")
        assert (shown.backlog_gone_at, shown.budget_used) == (None, BudgetUsed())


async def test_without_the_relay_the_same_is_done_to_the_spool() -> None:
    async with relaying() as relay:
        queue = Operations(relay.spool, relay.clock, accounts=["alerts", "idle"])
        assert (await queue.accounts.pause("alerts", by=ME)).state == "paused"
        assert [each.name for each in await queue.accounts.list()] == ["alerts", "idle"]
        assert (await queue.accounts.resume("alerts", by=ME)).state == "ready"


async def test_what_does_not_exist() -> None:
    async with relaying() as relay:
        queue = operations(relay)
        with pytest.raises(UsageError, match="no message 'nothing'"):
            await queue.messages.show("nothing")
        for what in (
            queue.messages.hold,
            queue.messages.release,
            queue.messages.retry,
            queue.messages.cancel,
        ):
            with pytest.raises(UsageError, match="no message 'nothing'"):
                await what("nothing", by=ME)
        with pytest.raises(ConfigError, match="no account 'nothing'"):
            await queue.accounts.show("nothing")
        for what in (queue.accounts.pause, queue.accounts.resume):
            with pytest.raises(ConfigError, match="no account 'nothing'"):
                await what("nothing", by=ME)


async def lines(records: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    for record in records:
        yield json.dumps(record).encode()


async def exported(relay: Relay) -> list[dict[str, Any]]:
    return [record async for record in operations(relay).transfer.export()]


async def test_export_and_import_keep_everything_that_is_open() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].rcpt = {"slow@example.net": "451 later"}
        body = b"From: a@example.org\r\n\r\n" + b"x" * 70 + b"\r\n"
        message = await relay.submit(
            "anna@example.net",
            Recipient("slow@example.net", notify=("FAILURE",), orcpt="rfc822;s@x"),
            content=body * 2000,
        )
        await relay.settle()
        await operations(relay).messages.hold(message, "slow@example.net", by=ME)
        records = await exported(relay)
        before = await relay.entry(message)

        other = MemorySpool(relay.clock)
        queue = Operations(other, relay.clock)
        assert await queue.transfer.import_(lines(records), by=ME) == 1
        assert await queue.transfer.import_(lines(records), by=ME) == 0
        entry = await other.show(message)
        assert entry is not None
        assert entry.message == before.message
        assert [(row.address, row.status) for row in entry.rows] == [("slow@example.net", Status.HELD)]
        assert b"".join((await other.content(entry.message)).blocks()) == body * 2000


async def test_what_was_held_is_held_from_the_moment_it_is_imported() -> None:
    async with relaying() as relay:
        queue = operations(relay)
        await queue.accounts.pause("alerts", by=ME)
        message = await relay.submit("anna@example.net", "ben@example.net")
        await queue.messages.hold(message, "ben@example.net", by=ME)
        records = await exported(relay)

    async with relaying() as relay:
        accept = relay.spool.accept

        async def and_then_the_dispatcher_has_its_turn(*given: Any, **named: Any) -> Any:
            done = await accept(*given, **named)
            relay.dispatcher.wake()
            await relay.settle()
            return done

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(relay.spool, "accept", and_then_the_dispatcher_has_its_turn)
            await operations(relay).transfer.import_(lines(records), by=ME)
        await relay.settle()
        shown = await operations(relay).messages.show(message)
        assert [each.state for each in shown.recipients] == ["delivered", "held"]


@pytest.mark.parametrize("damage", ["content", "end", "start", "no id", "no rows", "not base64"])
async def test_a_damaged_export_is_refused(damage: str) -> None:
    async with relaying() as relay:
        await operations(relay).accounts.pause("alerts", by=ME)
        message = await relay.submit()
        records = await exported(relay)
    if damage == "content":
        records[1]["content"] = "AAAA"
    elif damage == "end":
        del records[-1]
    elif damage == "start":
        del records[0]
    elif damage == "no id":
        del records[0]["message"]["id"]
    elif damage == "no rows":
        del records[0]["message"]["rows"]
    else:
        records[1]["content"] = "A"
    other = MemorySpool(relay.clock)
    with pytest.raises(UsageError):
        await Operations(other, relay.clock).transfer.import_(lines(records), by=ME)
    assert await other.show(message) is None


async def test_an_account_that_nobody_has_signed_in_for_is_not_ready() -> None:
    async with relaying() as relay:

        async def foresee() -> dict[str, Facts]:
            return {"alerts": Facts(account="alerts", awaits_sign_in=True)}

        queue = Operations(relay.spool, relay.clock, relay.dispatcher, foresee=foresee)
        shown = await queue.accounts.show("alerts")
        assert shown.state == "not-signed-in"
        assert shown.remedy == "Sign in: postbearer login alerts"
        assert (await queue.accounts.pause("alerts", by=ME)).state == "paused"


async def test_accounts_say_what_runs_out_and_what_to_do() -> None:
    async with relaying() as relay:
        at = relay.clock.now() + 6 * DAY

        async def foresee() -> dict[str, Facts]:
            return {"alerts": Facts(account="alerts", dated={"client-secret": at})}

        shown = await Operations(relay.spool, relay.clock, relay.dispatcher, foresee=foresee).accounts.show(
            "alerts"
        )
        assert shown.runs_out == (
            EndingInfo(
                what="client-secret",
                title="the client secret",
                at=at,
                level=7,
                remedy="Make a new one at the provider, and put it where its reference points.",
            ),
        )
        encode(shown)


STRANGE: dict[str, Any] = {
    "a time as text": {"accepted": "x"},
    "no end": {"expires": None},
    "an end that is no time": {"expires": -1},
    "a path for an id": {"id": "../../../etc/x"},
    "two lines for an id": {"id": "a\r\nBcc: y"},
    "no id": {"id": ""},
    "a size below nothing": {"size": -5},
    "another size": {"size": 5},
    "a field in the trace": {"received": "from x\r\nBcc: y"},
    "a line break in the subject": {"subject": "a\nb"},
    "half a character": {"subject": "\ud800"},
    "a time that no calendar has": {"accepted": 1e308},
    "no digest": {"sha256": "x"},
    "an unknown key": {"surprise": 1},
    "no recipients": {"envelope": {"reverse_path": "a@example.org", "recipients": []}},
    "a recipient that is none": {
        "envelope": {"reverse_path": "", "recipients": [{"address": "a b", "notify": [], "orcpt": ""}]}
    },
    "rows that are none": {"rows": ["x"]},
    "no rows": {"rows": None},
}
ROWS: dict[str, Any] = {
    "a path for an account": {"account": "../../x"},
    "no account": {"account": ""},
    "a status that is none": {"status": "gone"},
    "a priority that is none": {"priority": 17},
    "an address that is none": {"address": "nobody at all"},
    "a time as text": {"due": "tomorrow"},
    "a time that is no number": {"due": float("nan")},
    "a time without end": {"due": float("inf")},
    "a time that no calendar has": {"due": 1e308},
    "a time below nothing": {"due": -5.0},
}


@pytest.mark.parametrize(
    ("wrong", "row"), [(each, {}) for each in STRANGE.values()] + [({}, each) for each in ROWS.values()],
    ids=[*STRANGE, *(f"row: {name}" for name in ROWS)],
)  # fmt: skip
async def test_an_export_that_says_something_strange_is_refused_and_leaves_nothing(
    wrong: dict[str, Any], row: dict[str, Any]
) -> None:
    async with relaying() as relay:
        await operations(relay).accounts.pause("alerts", by=ME)
        await relay.submit()
        records = json.loads(json.dumps(await exported(relay)))
    records[0]["message"]["rows"][0] |= row
    records[0]["message"] |= wrong
    other = MemorySpool(relay.clock)
    with pytest.raises(UsageError):
        await Operations(other, relay.clock).transfer.import_(lines(records), by=ME)
    assert await other.search(Query()) == []


@pytest.mark.parametrize(
    "strange", [{}, {"message": 5}, {"end": 1}, {"content": 5}, {"content": "", "end": ""}]
)
async def test_a_record_is_one_of_three_things(strange: dict[str, Any]) -> None:
    async with relaying() as relay:
        await operations(relay).accounts.pause("alerts", by=ME)
        await relay.submit()
        records = json.loads(json.dumps(await exported(relay)))
    for place in range(len(records)):
        changed = [*records[:place], strange, *records[place:]]
        with pytest.raises(UsageError):
            await Operations(MemorySpool(relay.clock), relay.clock).transfer.import_(lines(changed), by=ME)


async def test_subjects_are_looked_at_in_the_last_messages_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("postbearer.control.messages.SUBJECTS", 2)
    async with relaying() as relay:
        queue = operations(relay).messages
        await queue.list(Query(subject="report"))
        when, ids = [], []
        for subject in ("Report 1", "Invoice", "Report 2", "Report 3"):
            content = f"From: a@example.org\r\nSubject: {subject}\r\n\r\nx\r\n".encode()
            when.append(relay.clock.now())
            ids.append(await relay.submit("anna@example.net", content=content))
            await relay.pass_time(10)

        async def found(**more: Any) -> tuple[list[str], Any]:
            page = await queue.list(Query(subject="report", **more))
            return [each.subject for each in page.messages], page.subjects_since

        assert await found() == (["Report 2", "Report 3"], when[1])
        assert await found(older_than=when[3]) == (["Report 2"], when[0])
        assert await found(older_than=when[2]) == (["Report 1"], UNSET)  # so many there are not
        assert await found(newer_than=when[2]) == (["Report 3"], UNSET)
        assert await found(id_prefix=ids[0]) == (["Report 1"], UNSET)
        assert (await queue.list(Query(address="anna"))).subjects_since is UNSET
