"""The whole way out: spool, worker, token, TLS, XOAUTH2, to a provider that behaves like Exchange Online.

The clock is the test's; the sockets are real.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

from postbearer.account import Account
from postbearer.engine import Route, Router, RouteRule
from postbearer.events import AccountPaused, AccountResumed, DeliveryEnded, TokenFetched
from postbearer.message import SenderRule
from postbearer.testing import Faults, Sandbox, SmtpFault, TokenFault
from support.relay import APP, Relay, WaitingClock, most_in_any, relaying


@asynccontextmanager
async def exchange(*more: Account, **options: Any) -> AsyncIterator[tuple[Relay, Sandbox]]:
    """A relay with the account ``alerts`` at a sandbox that is like Exchange Online."""
    clock = WaitingClock()
    changes = options.pop("account", {})
    async with Sandbox(options.pop("like", "microsoft"), clock=clock, lifetime=4000) as sandbox:
        alerts = replace(sandbox.account("alerts"), **changes)
        async with relaying(alerts, *more, clock=clock, sockets=True, **options) as relay:
            yield relay, sandbox


async def test_a_message_all_the_way() -> None:
    async with exchange() as (relay, sandbox):
        message = await relay.submit("anna@example.net")
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]
        (received,) = sandbox.inbox.messages
        assert (received.reverse_path, received.recipients) == ("alerts@example.org", ("anna@example.net",))
        assert b"From: alerts@example.org\r\n" in received.content
        assert f" id {message}; ".encode() in received.content.replace(b"\r\n ", b" ")
        assert received.id in (await relay.entry(message)).attempts[0].queue_id
        assert sandbox.token_requests == 1


async def test_an_hour_at_thirty_a_minute(long: bool) -> None:
    minutes = 60 if long else 10
    async with exchange() as (relay, sandbox):
        for number in range(30 * minutes + 100):
            await relay.submit(f"user{number}@example.net")
        await relay.pass_time(60 * minutes)
        times = [each.at for each in sandbox.inbox.messages]
        assert most_in_any(60.0, times) <= 30
        assert len(times) >= 0.99 * 30 * minutes
        assert len(relay.said(TokenFetched)) <= 2


async def test_send_as_denied_fails_that_message_alone_and_its_sender_hears_why() -> None:
    allow = {"sender": SenderRule("alerts@example.org", "allow")}
    async with exchange(account=allow) as (relay, sandbox):
        denied = await relay.submit(sender="boss@example.org")
        going = await relay.submit(sender="alerts@example.org")
        await relay.settle()
        assert await relay.statuses(denied) == ["failed"]
        assert await relay.statuses(going) == ["delivered"]
        assert not relay.said(AccountPaused)
        report = next(each for each in sandbox.inbox.messages if each.recipients == ("boss@example.org",))
        assert b"5.2.252" in report.content
        assert b"SendAsDenied" in report.content


async def test_432_is_tried_again_on_fewer_connections() -> None:
    async with exchange() as (relay, sandbox):
        reply = "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"
        sandbox.set_faults(Faults(smtp=[SmtpFault(at="content", reply=reply, times=1)]))
        messages = [await relay.submit() for _ in range(5)]
        await relay.settle()
        assert relay.dispatcher.account_states["alerts"].connections == 1
        await relay.pass_time(120)
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * 5


async def test_while_the_token_endpoint_is_down_mail_waits_and_nothing_bounces() -> None:
    async with exchange() as (relay, sandbox):
        sandbox.set_faults(Faults(token=[TokenFault(kind="down")]))
        messages = [await relay.submit() for _ in range(10)]
        await relay.pass_time(1800)
        assert sandbox.inbox.messages == []
        assert {each for message in messages for each in await relay.statuses(message)} <= {
            "ready",
            "deferred",
        }
        assert sandbox.token_requests < 30
        sandbox.set_faults(Faults())
        await relay.pass_time(600)
        assert [await relay.statuses(each) for each in messages] == [["delivered"]] * 10
        assert await relay.reports() == []


async def test_a_client_that_is_not_trusted_any_more_pauses_its_account_and_nobody_elses() -> None:
    clock = WaitingClock()
    async with Sandbox("microsoft", clock=clock) as first, Sandbox("google", clock=clock) as second:
        alerts, shop = first.account("alerts"), second.account("shop")
        router = Router((RouteRule(client="shop", route=Route(account="shop")),), "alerts")
        async with relaying(alerts, shop, router=router, clock=clock, sockets=True) as relay:
            second.set_faults(Faults(revoked=True))
            shop_client = replace(APP, name="shop")
            waiting = [await relay.submit(client=shop_client) for _ in range(3)]
            going = await relay.submit()
            await relay.pass_time(60)
            assert await relay.statuses(going) == ["delivered"]
            (paused,) = relay.said(AccountPaused)
            assert (paused.account, paused.person) == ("shop", True)
            assert second.inbox.messages == []
            second.set_faults(Faults())
            await relay.dispatcher.resume("shop")
            await relay.pass_time(1)
            assert [await relay.statuses(each) for each in waiting] == [["delivered"]] * 3
            assert [event.account for event in relay.said(AccountResumed)] == ["shop"]
            assert await relay.reports() == []


async def test_a_connection_lost_behind_the_content_is_tried_again_with_the_same_message_id() -> None:
    async with exchange() as (relay, sandbox):
        sandbox.set_faults(Faults(smtp=[SmtpFault(at="content", after_commit=True, times=1)]))
        message = await relay.submit()
        await relay.pass_time(120)
        assert await relay.statuses(message) == ["delivered"]
        one, two = sandbox.inbox.messages
        assert one.content == two.content
        assert [event.attempt for event in relay.said(DeliveryEnded)] == [1, 2]


async def test_a_message_that_the_provider_does_not_take_as_it_is_leaves_as_it_does() -> None:
    text = "Grüße, " * 200
    head = "Subject: Größe\r\nTo: Jörg <anna@example.net>\r\nMessage-ID: <1@example.org>\r\n"
    async with exchange(like="google") as (relay, sandbox):
        message = await relay.submit("anna@example.net", content=f"{head}\r\n{text}\r\n".encode())
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]
        (received,) = sandbox.inbox.messages
        assert max(map(len, received.content.split(b"\r\n"))) <= 998
        assert received.body != "BINARYMIME"
        parsed = message_from_bytes(received.content, policy=policy.default)
        assert (parsed["Subject"], parsed["To"]) == ("Größe", "Jörg <anna@example.net>")
        assert parsed.get_content().strip() == text.strip()
        assert received.content.partition(b"\r\n\r\n")[0].isascii()
