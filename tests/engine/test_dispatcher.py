"""The worker, with a clock that waits for the test and providers that answer from a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from postbearer.account import Account
from postbearer.engine import Channel, RetryPolicy, Route, Router, RouteRule, Submitter
from postbearer.envelope import Recipient
from postbearer.errors import (
    ConnectFailed,
    CredentialRefused,
    GrantRefused,
    LeaseLost,
    StoreError,
    StoreFull,
    TokenUnavailable,
)
from postbearer.events import AccountPaused, AccountResumed, DeliveryEnded, PossibleDuplicate
from postbearer.message import Content
from postbearer.oauth import StaticToken
from postbearer.providers import preset
from postbearer.secret import Secret
from postbearer.settings import Limits
from postbearer.state import Charge, MemoryLedger
from postbearer.store import (
    LEASE,
    AuditRecord,
    Claimed,
    Incoming,
    Lane,
    MemorySpool,
    Message,
    Pause,
    Priority,
    Settlement,
    Status,
)
from postbearer.store.rows import UNREADABLE
from postbearer.testing.replies import parse_reply
from support.relay import Provider, Relay, WaitingClock, account, most_in_any, relaying, rules

REVOKED = GrantRefused("The grant was refused (invalid_grant).", code="invalid_grant", hint="Sign in again.")
DOWN = TokenUnavailable("The token endpoint answered 503.")
URGENT = RouteRule(from_="codes@example.org", route=Route(priority=Priority.URGENT, expire_after=600.0))


async def test_what_was_accepted_is_sent_at_once() -> None:
    async with relaying() as relay:
        message = await relay.submit("anna@example.net", "ben@example.net")
        await relay.settle()
        (sent,) = relay.providers["alerts"].sent
        assert sent.to == ("anna@example.net", "ben@example.net")
        assert await relay.statuses(message) == ["delivered", "delivered"]
        (ended,) = relay.said(DeliveryEnded)
        assert (ended.id, ended.queue_id, ended.server) == (message, "Q1", "mail.example.org:587")


async def test_how_long_an_attempt_took_is_told() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.connecting, provider.delay = 1.5, 0.75
        await relay.submit()
        await relay.pass_time(10)
        (ended,) = relay.said(DeliveryEnded)
        assert ended.seconds == 2.25


async def test_how_long_the_message_waited_is_told() -> None:
    async with relaying() as relay:
        await relay.dispatcher.pause("alerts")
        await relay.submit()
        await relay.pass_time(600)
        await relay.dispatcher.resume("alerts")
        await relay.settle()
        (ended,) = relay.said(DeliveryEnded)
        assert ended.age == 600


async def test_an_account_that_is_free_need_not_be_asked_for_its_turn() -> None:
    async with relaying() as relay:
        await relay.settle()
        relay.spool.claim = refused  # type: ignore[method-assign]
        message = await relay.submit()
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]
        message = await relay.submit()
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]


async def refused(lane: Lane, most: int, now: float) -> Sequence[Claimed]:
    raise StoreError("Nobody claims here.")


async def test_nobody_overtakes_who_waits_already() -> None:
    async with relaying() as relay:  # Microsoft: 2 connections
        provider = relay.providers["alerts"]
        provider.delay = 1.0
        for name in "abcdef":
            await relay.submit(f"{name}@example.net")
            await relay.pass_time(0.3)
        await relay.pass_time(10)
        assert [each.to[0][0] for each in provider.sent] == list("abcdef")
        assert provider.most_at_once == 2


async def test_a_message_that_cannot_be_kept_keeps_no_place() -> None:
    async with relaying() as relay:
        await relay.settle()
        accept, relay.spool.accept_all = relay.spool.accept_all, full  # type: ignore[method-assign]
        for _ in range(3):  # more than it has connections
            with pytest.raises(AssertionError, match="no room"):
                await relay.submit()
            await relay.settle()
        relay.spool.accept_all = accept  # type: ignore[method-assign]
        await relay.settle()
        message = await relay.submit()
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]


async def full(batch: Sequence[Incoming]) -> Sequence[Claimed]:
    raise StoreFull("Full.")


@pytest.mark.once
async def test_thirty_a_minute_are_never_thirty_one_and_the_hour_is_used() -> None:
    limited = account(limits=Limits(messages_per_minute=30))
    async with relaying(limited) as relay:
        for number in range(2000):
            await relay.submit(f"user{number}@example.net")
        await relay.pass_time(3600)
        times = [each.at for each in relay.providers["alerts"].sent]
        assert most_in_any(60.0, times) <= 30
        assert len(times) >= 0.99 * 1800


async def test_a_backlog_far_from_its_limits_is_claimed_several_at_a_time() -> None:
    async with relaying(account(limits=Limits(connections=5, messages_per_minute=10_000))) as relay:
        await relay.dispatcher.pause("alerts")
        for number in range(40):
            await relay.submit(f"user{number}@example.net")
        claims, claim = [], relay.spool.claim

        async def counted(*asked: Any) -> Sequence[Claimed]:
            found = await claim(*asked)
            claims.append(len(found))
            return found

        relay.spool.claim = counted  # type: ignore[method-assign]
        relay.providers["alerts"].delay = 1.0
        await relay.dispatcher.resume("alerts")
        await relay.pass_time(60)
        assert sum(claims) == len(relay.providers["alerts"].sent) == 40
        assert max(claims) == 5


async def test_a_budget_that_another_process_used_is_respected() -> None:
    limited = account(limits=Limits(messages_per_minute=4))
    async with relaying(limited) as relay:
        account_state = relay.dispatcher.account_states["alerts"]
        for _ in range(2):
            assert isinstance(await account_state.budget.take(1), Charge)  # as another process would
        await relay.submit()
        await relay.settle()
        assert relay.providers["alerts"].sent == []
        await relay.pass_time(61)
        assert len(relay.providers["alerts"].sent) == 1


async def test_a_login_code_does_not_wait_behind_a_bulk_run() -> None:
    limited = account(limits=Limits(messages_per_minute=30))
    router = Router((URGENT,), "alerts")
    async with relaying(limited, router=router) as relay:
        for number in range(200):
            await relay.submit(
                f"user{number}@example.net", client=Submitter(name="shop", priority=Priority.BULK)
            )
        await relay.pass_time(30)
        began = relay.clock.now()
        await relay.submit("anna@example.net", sender="codes@example.org")
        await relay.pass_time(10)
        code = next(each for each in relay.providers["alerts"].sent if each.to == ("anna@example.net",))
        assert code.at - began <= 60.5 / 30 + 0.1


async def test_a_share_of_the_day_is_kept_for_urgent_mail() -> None:
    limited = account(limits=Limits(messages_per_day=20))
    async with relaying(limited, router=Router((URGENT,), "alerts")) as relay:
        for number in range(30):
            await relay.submit(f"user{number}@example.net")
        await relay.pass_time(60)
        assert len(relay.providers["alerts"].sent) == 18
        await relay.submit("anna@example.net", sender="codes@example.org")
        await relay.settle()
        assert len(relay.providers["alerts"].sent) == 19


async def test_a_stale_login_code_does_not_leave() -> None:
    async with relaying(router=Router((URGENT,), "alerts")) as relay:
        await relay.dispatcher.pause("alerts")
        message = await relay.submit("anna@example.net", sender="codes@example.org")
        await relay.pass_time(601)
        await relay.dispatcher.resume("alerts")
        await relay.settle()
        assert await relay.statuses(message) == ["expired"]
        assert [each.to for each in relay.providers["alerts"].sent] == [("codes@example.org",)]  # the report


async def test_clients_take_turns() -> None:
    limited = account(limits=Limits(messages_per_minute=30))
    async with relaying(limited) as relay:
        for number in range(100):
            await relay.submit(f"a{number}@example.net", client=Submitter(name="greedy"))
        for number in range(5):
            await relay.submit(f"b{number}@example.net", client=Submitter(name="modest"))
        await relay.pass_time(1)
        first = [each.to[0][0] for each in relay.providers["alerts"].sent[:10]]
        assert first.count("b") == 5


async def test_what_several_clients_wait_with_is_claimed_together() -> None:
    async with relaying() as relay:  # Microsoft: 2 connections
        await relay.dispatcher.pause("alerts")
        for number in range(4):
            await relay.submit(client=Submitter(name=f"c{number}"))
        claim, sizes = relay.spool.claim, []

        async def counted(shares: Any, now: float) -> Any:
            claimed = await claim(shares, now)
            sizes.append(len(claimed))
            return claimed

        relay.spool.claim = counted  # type: ignore[method-assign]
        relay.providers["alerts"].delay = 1.0
        await relay.dispatcher.resume("alerts")
        await relay.pass_time(10)
        assert sizes == [2, 2]


async def test_what_cannot_be_read_is_held_and_told_and_the_rest_is_sent() -> None:
    async with relaying() as relay:
        await relay.dispatcher.pause("alerts")
        damaged, sound = await relay.submit(), await relay.submit("ben@example.net")
        claim = relay.spool.claim

        async def unreadable(shares: Any, now: float) -> Any:
            return [
                replace(each, message=replace(each.message, envelope=UNREADABLE))
                if each.message.id == damaged
                else each
                for each in await claim(shares, now)
            ]

        relay.spool.claim = unreadable  # type: ignore[method-assign]
        await relay.dispatcher.resume("alerts")
        await relay.settle()
        assert await relay.statuses(sound) == ["delivered"]
        assert await relay.statuses(damaged) == ["held"]
        assert [each.to for each in relay.providers["alerts"].sent] == [("ben@example.net",)]
        (told,) = [each for each in relay.said(DeliveryEnded) if each.id == damaged]
        assert "cannot be read" in told.fates[0].cause
        assert await relay.reports() == []


async def test_no_more_connections_than_the_account_may_have() -> None:
    async with relaying() as relay:  # Microsoft: 2
        provider = relay.providers["alerts"]
        provider.delay = 1.0
        for _ in range(10):
            await relay.submit()
        await relay.pass_time(10)
        assert (provider.most_at_once, len(provider.sent)) == (2, 10)


async def test_432_means_fewer_connections_and_they_come_back_slowly() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.delay = 1.0
        provider.answers = ["432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"]
        for _ in range(16):
            await relay.submit()
        account_state = relay.dispatcher.account_states["alerts"]
        await relay.pass_time(3)
        assert account_state.connections == 1
        await relay.pass_time(300)
        assert len(provider.sent) == 16
        assert account_state.connections == 2


async def test_a_refused_recipient_fails_alone_and_its_sender_hears_of_it_once() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].rcpt = {"gone@example.net": "550 5.1.1 No such user"}
        message = await relay.submit("anna@example.net", "gone@example.net")
        await relay.pass_time(7200)
        assert await relay.statuses(message) == ["delivered", "failed"]
        (report,) = await relay.reports()
        assert report.message.report_of == message
        _, sent = relay.providers["alerts"].sent
        assert sent.to == ("app@example.org",)
        assert sent.envelope.reverse_path == "alerts@example.org"  # Microsoft refuses the null reverse-path
        assert b"Auto-Submitted: auto-replied" in sent.content
        assert b"Final-Recipient: rfc822; gone@example.net" in sent.content
        assert (
            b"anna@example.net"
            not in sent.content.partition(b"delivery-status")[2].partition(b"text/rfc822")[0]
        )


async def test_where_the_provider_takes_it_a_report_has_a_null_reverse_path() -> None:
    async with relaying(account(provider="smtp")) as relay:
        relay.providers["alerts"].answers = ["554 5.6.0 No"]
        await relay.submit()
        await relay.settle()
        assert relay.providers["alerts"].sent[0].envelope.reverse_path == ""


async def test_a_report_that_fails_makes_no_report() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = "554 5.6.0 No"
        await relay.submit()
        await relay.pass_time(7200)
        (report,) = await relay.reports()
        assert await relay.statuses(report.message.id) == ["failed"]


async def test_send_as_denied_fails_only_that_message() -> None:
    async with relaying(account(sender="allow")) as relay:
        denied = "554 5.2.252 SendAsDenied; alerts not allowed to send as stranger"
        relay.providers["alerts"].always = lambda sender: (
            denied if sender.startswith("stranger") else "250 ok"
        )
        bad = await relay.submit(sender="stranger@example.org")
        good = await relay.submit(sender="alerts@example.org")
        await relay.settle()
        assert await relay.statuses(bad) == ["failed"]
        assert await relay.statuses(good) == ["delivered"]
        assert not relay.said(AccountPaused)


async def test_a_deferred_message_is_tried_again_by_the_schedule() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].answers = ["451 4.7.1 later", "451 4.7.1 later"]
        message = await relay.submit()
        await relay.pass_time(59)
        assert relay.providers["alerts"].attempts == 1
        await relay.pass_time(2)
        assert relay.providers["alerts"].attempts == 2
        await relay.pass_time(301)
        assert await relay.statuses(message) == ["delivered"]
        assert len((await relay.entry(message)).attempts) == 3


async def test_a_delay_is_told_once_and_the_end_once() -> None:
    policy = RetryPolicy(expire_after=86_400, warn_after=4 * 3600)
    async with relaying(retry=policy) as relay:
        relay.intake.settings = replace(relay.intake.settings, expire_after=86_400)
        provider = relay.providers["alerts"]
        provider.rcpt = {"full@example.net": "452 4.2.2 Mailbox full"}
        message = await relay.submit("full@example.net")
        await relay.pass_time(5 * 3600)
        assert len(await relay.reports()) == 1
        assert b"Action: delayed" in provider.sent[0].content
        await relay.pass_time(86_400)
        assert await relay.statuses(message) == ["expired"]
        assert len(await relay.reports()) == 2
        assert b"Action: failed" in provider.sent[1].content
        assert b"452 4.2.2 Mailbox full" in provider.sent[1].content
        assert b"could not be delivered in time" in provider.sent[1].content
        assert b"Send it again" in provider.sent[1].content
        assert provider.attempts > 20


@pytest.mark.parametrize(
    ("notify", "answer", "actions"),
    [
        (("NEVER",), "554 5.6.0 No", []),
        (("SUCCESS",), "554 5.6.0 No", []),
        (("FAILURE",), "554 5.6.0 No", ["failed"]),
        ((), "250 ok", []),
        (("SUCCESS", "FAILURE"), "250 ok", ["relayed"]),
    ],
)
async def test_wishes_for_reports(notify: tuple[str, ...], answer: str, actions: list[str]) -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.dsn, provider.answers = False, [answer]
        await relay.submit(Recipient("anna@example.net", notify=notify))  # type: ignore[arg-type]
        await relay.settle()
        told = [each.content for each in provider.sent if each.to == ("app@example.org",)]
        assert [
            action
            for content in told
            for action in ("failed", "relayed")
            if f"Action: {action}".encode() in content
        ] == actions


async def test_success_is_reported_by_a_provider_that_can() -> None:
    async with relaying() as relay:
        await relay.submit(Recipient("anna@example.net", notify=("SUCCESS",)))
        await relay.settle()
        assert await relay.reports() == []


@pytest.mark.parametrize(
    ("sender", "bounces_to", "to"),
    [
        ("root@host", "admin@example.org", ["admin@example.org"]),
        ("root@host", "", ["alerts@example.org"]),
        ("app@example.org", "admin@example.org", ["app@example.org"]),
        ("victim@bank.example", "admin@example.org", ["admin@example.org"]),
        ("victim@bank.example", "", ["alerts@example.org"]),
        ("", "admin@example.org", []),
    ],
)
async def test_who_hears_of_a_failure(sender: str, bounces_to: str, to: list[str]) -> None:
    async with relaying(bounces_to=bounces_to) as relay:
        relay.providers["alerts"].answers = ["554 5.6.0 No"]
        await relay.submit(sender=sender)
        await relay.settle()
        assert [address for each in relay.providers["alerts"].sent for address in each.to] == to


async def test_a_token_endpoint_that_is_down_defers_all_and_fails_nothing() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.always = DOWN
        messages = [await relay.submit() for _ in range(20)]
        await relay.pass_time(3600)
        assert provider.attempts < 40  # the account rests, and not each message for itself
        assert {status for each in messages for status in await relay.statuses(each)} <= {"deferred", "ready"}
        assert not relay.said(AccountPaused)
        provider.always = None
        await relay.pass_time(301)
        assert len(provider.sent) == 20


async def test_a_revoked_consent_pauses_the_account_and_others_go_on() -> None:
    other = account("other")
    router = Router((RouteRule(from_="other@example.org", route=Route(account="other")),), "alerts")
    async with relaying(account(), other, router=router) as relay:
        provider = relay.providers["alerts"]
        provider.always = REVOKED
        waiting = [await relay.submit() for _ in range(5)]
        going = await relay.submit(sender="other@example.org")
        await relay.pass_time(60)
        assert await relay.statuses(going) == ["delivered"]
        (paused,) = relay.said(AccountPaused)
        assert paused.account == "alerts"
        assert paused.person
        assert paused.remedy
        assert [pause.account for pause in await relay.spool.pauses()] == ["alerts"]
        provider.always = None
        await relay.pass_time(15 * 60)  # the probe
        assert [await relay.statuses(each) for each in waiting] == [["delivered"]] * 5
        assert [event.account for event in relay.said(AccountResumed)] == ["alerts"]
        assert await relay.spool.pauses() == []
        assert await relay.reports() == []


async def test_a_paused_account_is_probed_after_a_quarter_of_an_hour_then_hourly() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.always = REVOKED
        for _ in range(5):
            await relay.submit()
        await relay.settle()
        before = provider.attempts
        assert before <= 2
        await relay.pass_time(15 * 60 + 1)
        assert provider.attempts == before + 1
        await relay.pass_time(4 * 3600)
        assert provider.attempts == before + 5


async def test_a_refused_password_is_never_tried_again_by_itself() -> None:
    login = account(provider="smtp", authentication="password", password="env:NOT_READ")
    async with relaying(login) as relay:
        provider = relay.providers["alerts"]
        provider.always = REVOKED
        await relay.submit()
        await relay.pass_time(86_400)
        assert provider.attempts == 1
        provider.always = None
        assert await relay.dispatcher.resume("alerts")
        await relay.settle()
        assert len(provider.sent) == 1


async def test_a_quota_reply_waits_for_its_window_although_it_is_5xx() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.answers = ["554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"]
        messages = [await relay.submit() for _ in range(3)]
        await relay.pass_time(86_000)
        paused = relay.said(AccountPaused)
        assert [event.person for event in paused] == [False]
        delivered_early = len(provider.sent)
        await relay.pass_time(1000)
        assert delivered_early <= 1  # the other connection was under way already
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * 3
        assert await relay.reports() == []


async def test_a_connection_lost_behind_the_content_is_tried_again_and_counted() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].answers = ["lost"]
        message = await relay.submit()
        await relay.settle()
        assert await relay.statuses(message) == ["deferred"]
        assert [event.window for event in relay.said(PossibleDuplicate)] == ["DUP-REPLY"]
        await relay.pass_time(61)
        assert await relay.statuses(message) == ["delivered"]
        one, two = relay.providers["alerts"].sent
        assert one.content == two.content  # the same Message-ID and Received: a receiver can drop the copy


async def test_or_held_where_a_second_copy_is_worse_than_none() -> None:
    async with relaying(account(on_unknown="hold")) as relay:
        relay.providers["alerts"].answers = ["lost"]
        message = await relay.submit()
        await relay.pass_time(7200)
        assert await relay.statuses(message) == ["held"]
        assert len(relay.providers["alerts"].sent) == 1


async def test_the_fallback_sends_while_an_account_is_paused() -> None:
    async with relaying(account(fallback="spare"), account("spare", "smtp")) as relay:
        relay.providers["alerts"].always = REVOKED
        messages = [await relay.submit() for _ in range(4)]
        await relay.settle()
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * 4
        assert {each.envelope.reverse_path for each in relay.providers["spare"].sent} == {"spare@example.org"}


UNREACHABLE = ConnectFailed(
    "mail.example.org:587 cannot be reached.", host="mail.example.org:587", stage="conn"
)


async def test_the_fallback_sends_at_once_while_no_server_can_be_reached() -> None:
    first = account(fallback="spare", fallback_when="unreachable")
    async with relaying(first, account("spare", "smtp")) as relay:
        relay.providers["alerts"].always = UNREACHABLE
        messages = [await relay.submit() for _ in range(4)]
        await relay.settle()
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * 4
        assert len(relay.providers["spare"].sent) == 4
        relay.providers["alerts"].always = None
        await relay.pass_time(301)
        await relay.submit()
        await relay.submit()
        await relay.settle()
        assert len(relay.providers["alerts"].sent) >= 1  # it is used again as soon as it answers
        assert len(relay.providers["spare"].sent) <= 5


async def test_otherwise_mail_waits_for_the_account_it_is_of() -> None:
    async with relaying(account(fallback="spare"), account("spare", "smtp")) as relay:
        relay.providers["alerts"].always = UNREACHABLE
        await relay.submit()
        await relay.pass_time(3600)
        assert relay.providers["spare"].sent == []


async def test_the_overflow_sends_what_the_budget_keeps_too_long() -> None:
    busy = account(limits=Limits(messages_per_day=2), overflow="spare", overflow_after=600.0)
    async with relaying(busy, account("spare", "smtp")) as relay:
        for _ in range(4):
            await relay.submit()
        await relay.pass_time(601)
        assert len(relay.providers["alerts"].sent) == 2
        assert len(relay.providers["spare"].sent) == 2


async def test_an_hour_old_backlog_overflows_though_each_step_is_short() -> None:
    busy = account(limits=Limits(messages_per_minute=2), overflow="spare", overflow_after=120.0)
    async with relaying(busy, account("spare", "smtp")) as relay:
        for _ in range(20):
            await relay.submit()
        await relay.pass_time(110)
        assert relay.providers["spare"].sent == []
        await relay.pass_time(30)
        assert len(relay.providers["spare"].sent) > 10


async def test_no_server_can_be_reached_so_the_account_rests() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.always = ConnectFailed(
            "mail.example.org:587 cannot be reached.", host="mail.example.org:587", stage="conn"
        )
        message = await relay.submit()
        await relay.pass_time(10 * 60)
        assert 3 <= provider.attempts <= 6
        provider.always = None
        await relay.pass_time(301)
        assert await relay.statuses(message) == ["delivered"]
        assert len((await relay.entry(message)).attempts) == 1  # the others were none


async def test_a_clock_that_jumps_forward_expires_nothing() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].answers = ["451 4.7.1 later"]
        message = await relay.submit()
        await relay.settle()
        relay.clock.jump(10 * 86_400)
        await relay.pass_time(400)
        assert await relay.statuses(message) == ["delivered"]


async def test_a_clock_that_jumps_back_stalls_nothing() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].answers = ["451 4.7.1 later"]
        message = await relay.submit()
        await relay.settle()
        relay.clock.jump(-10 * 86_400)
        await relay.pass_time(400)
        assert await relay.statuses(message) == ["delivered"]


async def test_draining_waits_for_what_is_under_way_and_begins_nothing() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.delay = 0.5
        messages = [await relay.submit() for _ in range(3)]
        await relay.settle()
    assert [await relay.statuses(each) for each in messages] == [["delivered"], ["delivered"], ["ready"]]
    assert provider.closed == 1


async def test_what_is_given_up_while_draining_is_of_unknown_fate() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].delay = 100.0
        message = await relay.submit()
        await relay.settle()
    (row,) = (await relay.entry(message)).rows
    assert (row.status, row.unknown) == ("deferred", True)


@pytest.mark.parametrize("careful", [False, True])
async def test_what_had_not_left_yet_when_it_was_given_up_is_sent_by_the_next_run(careful: bool) -> None:
    async with relaying(account(on_unknown="hold" if careful else "retry")) as relay:
        relay.providers["alerts"].connecting = 100.0
        message = await relay.submit()
        await relay.settle()
    entry = await relay.entry(message)
    (row,) = entry.rows
    assert (row.status, row.unknown) == ("deferred", False)
    assert "stopped before anything of it was sent" in row.cause
    assert not entry.attempts  # it was none


async def test_or_held_by_an_account_for_which_a_second_copy_is_worse_than_none() -> None:
    async with relaying(account(on_unknown="hold")) as relay:
        relay.providers["alerts"].delay = 100.0
        message = await relay.submit()
        await relay.settle()
    (row,) = (await relay.entry(message)).rows
    assert (row.status, row.unknown) == ("held", True)
    assert "may have been delivered" in row.cause


async def test_a_mark_that_meets_trouble_while_draining_is_not_given_up_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with relaying() as relay:
        troubles = marks_fail(monkeypatch, relay, [StoreError("The disk is slow to come back.")] * 2)
        message = await relay.submit()
        await relay.pass_time(1.0)
        assert troubles == []  # the third try comes later than the drain gives up
    (row,) = (await relay.entry(message)).rows
    assert (row.status, row.unknown) == ("delivered", False)


async def test_a_reload_keeps_unchanged_accounts_and_every_budget() -> None:
    limited = account(limits=Limits(messages_per_minute=2))
    async with relaying(limited, account("other")) as relay:
        await relay.submit()
        await relay.settle()
        other = relay.dispatcher.account_states["other"]
        changed = replace(limited, address="new@example.org")
        fresh = Provider(relay.clock)
        channels = {
            "alerts": Channel(changed, fresh, MemoryLedger(relay.clock)),
            "other": Channel(relay.accounts["other"], Provider(relay.clock)),
        }
        await relay.dispatcher.reload(channels, rules())
        await relay.settle()
        assert relay.dispatcher.account_states["other"] is other
        assert (relay.providers["alerts"].closed, relay.providers["other"].closed) == (1, 0)
        await relay.submit()
        await relay.settle()
        assert fresh.sent == []  # the minute is still spent
        await relay.pass_time(61)
        assert len(fresh.sent) == 1


async def test_a_reload_tries_a_paused_account_at_once() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = REVOKED
        await relay.submit()
        await relay.settle()
        relay.providers["alerts"].always = None
        await relay.dispatcher.reload(
            {"alerts": Channel(relay.accounts["alerts"], Provider(relay.clock))}, rules()
        )
        await relay.settle()
        assert len(relay.providers["alerts"].sent) == 1


async def test_what_an_account_meets_as_it_was_before_a_reload_does_not_pause_it() -> None:
    """Its secret was mended while an attempt with the old one was under way."""
    async with relaying() as relay:
        old = relay.providers["alerts"]
        old.always, old.delay = REVOKED, 10.0
        message = await relay.submit()
        await relay.settle()
        mended = replace(relay.accounts["alerts"], grant=StaticToken(Secret("canary-mended")))
        fresh = Provider(relay.clock)
        await relay.dispatcher.reload({"alerts": Channel(mended, fresh)}, rules())
        await relay.pass_time(11)
        assert (old.attempts, len(fresh.sent)) == (1, 1)
        assert await relay.statuses(message) == ["delivered"]
        assert relay.said(AccountPaused) == []
        assert await relay.spool.pauses() == []


async def test_but_not_one_that_a_person_paused() -> None:
    async with relaying() as relay:
        await relay.dispatcher.pause("alerts")
        await relay.dispatcher.reload(
            {"alerts": Channel(relay.accounts["alerts"], Provider(relay.clock))}, rules()
        )
        await relay.submit()
        await relay.pass_time(86_400)
        assert relay.providers["alerts"].sent == []


async def test_a_pause_outlives_the_process() -> None:
    pause = Pause(account="alerts", since=0.0, reason="Consent was withdrawn.")
    async with relaying(pauses=[pause]) as relay:
        await relay.submit()
        await relay.pass_time(86_400)
        assert relay.providers["alerts"].attempts == 0


async def test_finished_messages_are_removed_after_their_time() -> None:
    async with relaying() as relay:
        message = await relay.submit()
        await relay.pass_time(2 * 86_400)
        assert await relay.spool.show(message) is not None
        await relay.pass_time(2 * 86_400)
        assert await relay.spool.show(message) is None


async def test_an_idle_relay_sets_no_alarm() -> None:
    async with relaying() as relay:
        await relay.submit()
        await relay.pass_time(10 * 86_400)
        assert relay.clock.next_alarm() is None


async def test_a_message_that_breaks_every_attempt_is_held_in_the_end() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.answers = [ValueError("a defect")] * 20
        message = await relay.submit()
        await relay.pass_time(86_400)
        assert await relay.statuses(message) == ["held"]
        assert provider.attempts == 5
        assert "5 attempts" in (await relay.entry(message)).rows[0].cause


async def test_what_a_dying_process_left_open_is_held_where_a_copy_is_worse() -> None:
    async with relaying(account(on_unknown="hold")) as relay:
        provider = relay.providers["alerts"]
        provider.answers = [ValueError("as if the process had died")]
        message = await relay.submit()
        await relay.pass_time(120)
        assert await relay.statuses(message) == ["held"]
        await relay.spool.change(message, Status.READY, relay.clock.now())
        relay.dispatcher.wake()
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]


async def test_without_a_ledger_to_count_in_nothing_is_sent_and_nothing_lost() -> None:
    class Broken(MemoryLedger):
        broken = True

        async def charge(self, recipients: int, decide: Any, who: int = 0) -> Charge | float:
            if self.broken:
                raise StoreError("The budget cannot be read.")
            return await super().charge(recipients, decide, who)

    ledger = Broken(WaitingClock())
    async with relaying(account(limits=Limits(messages_per_minute=30)), ledgers={"alerts": ledger}) as relay:
        message = await relay.submit()
        await relay.pass_time(60)
        assert relay.providers["alerts"].sent == []
        ledger.broken = False
        await relay.pass_time(300)
        assert await relay.statuses(message) == ["delivered"]


async def test_a_pause_that_cannot_be_written_holds_and_no_mark_is_lost() -> None:
    async with relaying() as relay:

        async def fails(pause: Pause, *, audit: AuditRecord | None = None) -> None:
            raise StoreError("The disk is gone.")

        relay.spool.pause = fails  # type: ignore[method-assign]
        relay.providers["alerts"].answers = [REVOKED]
        message = await relay.submit()
        await relay.settle()
        assert await relay.statuses(message) == ["deferred"]
        assert relay.dispatcher.account_states["alerts"].paused


def marks_fail(
    monkeypatch: pytest.MonkeyPatch, relay: Relay, failures: Sequence[StoreError]
) -> list[StoreError]:
    """Writing the end of an attempt fails so often; returns those that have not been met yet."""
    left, settle = list(failures), relay.spool.settle

    async def fails(claimed: Claimed, settlement: Settlement) -> None:
        if left:
            raise left.pop()
        await settle(claimed, settlement)

    monkeypatch.setattr(relay.spool, "settle", fails)
    return left


async def test_a_mark_is_written_with_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    async with relaying() as relay:
        marks_fail(monkeypatch, relay, [StoreError("busy"), StoreError("busy")])
        message = await relay.submit()
        await relay.pass_time(10)
        assert await relay.statuses(message) == ["delivered"]
        assert len(relay.providers["alerts"].sent) == 1


async def test_a_lease_that_was_lost_is_told_as_a_possible_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    async with relaying() as relay:
        marks_fail(monkeypatch, relay, [LeaseLost("Not ours any more.")])
        await relay.submit()
        await relay.pass_time(10)
        assert [event.window for event in relay.said(PossibleDuplicate)] == ["DUP-LEASE"]
        assert not relay.said(DeliveryEnded)


# What reaches the organisation ------------------------------------------------------------------

OFF = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."


def of(name: str, domain: str, provider: str = "microsoft") -> Account:
    return replace(account(name, provider), organisations=frozenset({f"{provider} domain {domain}"}))


async def test_what_reaches_the_organisation_pauses_its_accounts_and_no_others() -> None:
    refused = CredentialRefused("Refused.", reply=parse_reply(OFF))
    accounts = of("a", "example.org"), of("b", "example.org"), of("c", "example.net")
    router = Router(tuple(
        RouteRule(to=(f"{name}@example.net",), route=Route(account=name)) for name in ("a", "b", "c")
    ))  # fmt: skip
    async with relaying(*accounts, router=router) as relay:
        relay.providers["a"].always = refused
        for name in ("a", "b", "c"):
            await relay.submit(f"{name}@example.net")
            await relay.settle()
        assert [paused.account for paused in relay.said(AccountPaused)] == ["a", "b"]
        assert [len(relay.providers[name].sent) for name in ("a", "b", "c")] == [0, 0, 1]
        relay.providers["a"].always = None
        await relay.pass_time(16 * 60)  # one of them is tried, and the other goes with it
        assert [len(relay.providers[name].sent) for name in ("a", "b", "c")] == [1, 1, 1]
        assert {resumed.account for resumed in relay.said(AccountResumed)} == {"a", "b"}


async def test_a_change_while_a_probe_is_under_way_is_tried_after_it() -> None:
    async with relaying() as relay:
        provider = relay.providers["alerts"]
        provider.answers = [REVOKED, REVOKED]
        provider.delay = 10.0
        message = await relay.submit()
        await relay.pass_time(11)
        await relay.pass_time(15 * 60 - 1)  # the probe has begun, and will fail
        assert relay.dispatcher.try_again("alerts")
        await relay.pass_time(30)
        assert await relay.statuses(message) == ["delivered"]
        assert len(relay.said(AccountPaused)) == 1


@pytest.mark.parametrize(
    ("provider", "tenant", "names"),
    [
        ("microsoft", "Contoso.com", {"microsoft tenant contoso.com", "microsoft domain example.org"}),
        ("microsoft", "", {"microsoft domain example.org"}),
        ("google", "", set()),  # everybody has gmail.com
        ("smtp", "", set()),
    ],
)
def test_whose_a_mailbox_is(provider: str, tenant: str, names: set[str]) -> None:
    servers = ["mail.example.org:587"]
    options = {"servers": servers, "authentication": "none"}
    made = Account.of(preset(provider), "alerts@example.org", tenant=tenant, **options)  # type: ignore[arg-type]
    assert made.organisations == names


async def test_what_stood_still_for_longer_than_its_lease_does_not_leave() -> None:
    """Another node may be sending it; it is tried anew, under another lease."""
    async with relaying(account(limits=Limits(messages_per_day=2))) as relay:
        provider = relay.providers["alerts"]
        provider.connecting = LEASE
        message = await relay.submit()
        await relay.settle()
        assert provider.attempts == 1
        provider.connecting = 0.0
        await relay.pass_time(LEASE)
        assert (provider.attempts, len(provider.sent)) == (2, 1)
        assert await relay.statuses(message) == ["delivered"]
        assert [each.number for each in (await relay.entry(message)).attempts] == [1]
        assert (await relay.dispatcher.account_states["alerts"].budget.left()).messages_today == 1
        assert relay.said(PossibleDuplicate) == []


class Distant(MemorySpool):
    """One whose contents cannot be had for a while."""

    away = True

    async def content(self, message: Message) -> Content:
        if self.away:
            raise StoreError("The database does not answer.")
        return await super().content(message)


async def test_a_message_that_cannot_be_had_for_a_while_is_sent_later() -> None:
    clock = WaitingClock()
    spool = Distant(clock)
    async with relaying(clock=clock, spool=spool) as relay:
        message = await relay.submit()
        await relay.pass_time(90)
        assert await relay.statuses(message) == ["deferred"]
        assert relay.providers["alerts"].attempts == 0
        spool.away = False
        await relay.pass_time(60)
        assert await relay.statuses(message) == ["delivered"]
        assert [each.number for each in (await relay.entry(message)).attempts] == [1]


async def test_a_report_about_a_message_that_cannot_be_had_goes_without_it() -> None:
    clock = WaitingClock()
    spool = Distant(clock)
    spool.away = False
    async with relaying(clock=clock, spool=spool) as relay:
        provider = relay.providers["alerts"]
        provider.connecting = 1.0
        provider.answers = ["550 5.1.1 No such user"]
        message = await relay.submit(ret="FULL")
        await relay.settle()
        spool.away = True
        await relay.pass_time(1)
        assert await relay.statuses(message) == ["failed"]
        spool.away = False
        await relay.pass_time(120)
        (report,) = relay.providers["alerts"].sent
        assert b"it could not be read" in report.content
