"""A sender hears that mail is late, also when nothing was attempted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbearer.account import Account
from postbearer.engine import Route, Router, RouteRule
from postbearer.envelope import Recipient
from postbearer.settings import Limits
from postbearer.store import Priority
from support.relay import Relay, account, relaying

HOURS = 3600.0


async def late(relay: Relay, hours: float = 5) -> int:
    await relay.pass_time(hours * HOURS)
    told = await relay.dispatcher.warn_late()
    await relay.settle()
    return told


async def content(relay: Relay) -> str:
    (report,) = await relay.reports()
    return b"".join((await relay.spool.content(report.message)).blocks()).decode()


def kin(name: str, domain: str) -> Account:
    return replace(account(name), address=f"{name}@{domain}", organisations=frozenset())


async def test_mail_behind_a_pause_is_told_of_once_by_another_account_of_the_house() -> None:
    async with relaying(kin("alerts", "example.org"), kin("other", "example.org")) as relay:
        await relay.dispatcher.pause("alerts")
        message = await relay.submit()
        assert await late(relay, 3.9) == 0
        assert await late(relay, 0.2) == 1
        (sent,) = relay.providers["other"].sent
        assert sent.to == ("app@example.org",)
        text = await content(relay)
        assert "Action: delayed" in text
        assert "The account that it leaves by does not send now. Paused by hand." in " ".join(text.split())
        assert await late(relay) == 0  # once
        await relay.dispatcher.resume("alerts")
        await relay.settle()
        assert await relay.statuses(message) == ["delivered"]
        assert len(await relay.reports()) == 1


async def test_not_in_the_name_of_somebody_else() -> None:
    async with relaying(kin("alerts", "example.org"), kin("other", "example.net")) as relay:
        await relay.dispatcher.pause("alerts")
        await relay.submit()
        assert await late(relay) == 0
        assert await relay.reports() == []


async def test_mail_without_budget_is_told_of_out_of_what_is_kept_for_urgent_mail() -> None:
    async with relaying(account(limits=Limits(messages_per_day=10))) as relay:
        for number in range(12):
            await relay.submit(f"user{number}@example.net")
        await relay.pass_time(60)
        before = len(relay.providers["alerts"].sent)
        assert await late(relay) == 3
        reports = await relay.reports()
        assert {row.priority for report in reports for row in report.rows} == {Priority.URGENT}
        assert len(relay.providers["alerts"].sent) == before + 1
        assert (
            "has sent all it may for now"
            in b"".join((await relay.spool.content(reports[0].message)).blocks()).decode()
        )


@pytest.mark.parametrize("notify", [("NEVER",), ("FAILURE",)])
async def test_whoever_does_not_wish_to_hear_does_not(notify: tuple[str, ...]) -> None:
    async with relaying(kin("alerts", "example.org"), kin("other", "example.org")) as relay:
        await relay.dispatcher.pause("alerts")
        await relay.submit(Recipient("anna@example.net", notify=notify))  # type: ignore[arg-type]
        assert await late(relay) == 0
        assert await relay.reports() == []


async def test_what_is_tried_again_and_again_is_told_of_by_its_attempts() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = "451 4.7.1 later"
        await relay.submit()
        await relay.pass_time(3.5 * HOURS)
        for _ in range(30):
            await relay.pass_time(300)
            assert await relay.dispatcher.warn_late() == 0
        assert len(await relay.reports()) == 1


async def test_many_are_told_and_nobody_twice() -> None:
    router = Router((RouteRule(to=("x@example.net",), route=Route(account="other")),), "alerts")
    async with relaying(kin("alerts", "example.org"), kin("other", "example.org"), router=router) as relay:
        await relay.dispatcher.pause("alerts")
        for number in range(250):
            await relay.submit(f"user{number}@example.net")
        assert await late(relay) == 250
        assert await late(relay) == 0
