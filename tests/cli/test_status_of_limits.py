"""``postbearer status`` about limits: what passes by itself is no fault, and hides none."""

from __future__ import annotations

from postbearer.cli.status import CheckResult, Severity, judge
from postbearer.control import Operations
from postbearer.engine import Route, Router, RouteRule
from postbearer.errors import GrantRefused
from postbearer.settings import Limits
from postbearer.store import Status
from support.relay import Relay, account, relaying

QUOTA = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"
TO_OTHER = Router((RouteRule(from_="b@example.org", route=Route(account="other")),), "alerts")


async def look(relay: Relay, **after: float) -> CheckResult:
    on = Operations(relay.spool, relay.clock, relay.dispatcher)
    stats, waiting = await on.messages.stats(), await on.messages.waiting()
    return judge(await on.accounts.list(), stats, waiting, **after)


async def test_a_quota_that_is_spent_is_a_warning_that_says_when_it_goes_on() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = QUOTA
        await relay.submit()
        await relay.pass_time(3 * 3600.0)
        found = await look(relay, warning=600.0, critical=3600.0)
        assert found.level is Severity.WARNING
        assert "alerts is paused: The mailbox has " in found.text
        assert "It goes on by itself; tried again at 20" in found.text
        assert "has waited for" not in found.text
        assert (found.paused, found.waiting) == (1, 1)


async def test_an_account_that_is_refused_is_critical() -> None:
    async with relaying() as relay:
        relay.providers["alerts"].always = GrantRefused("No.", code="invalid_grant")
        await relay.submit()
        await relay.pass_time(3 * 3600.0)
        found = await look(relay)
        assert found.level is Severity.CRITICAL
        assert "by itself" not in found.text
        assert "has waited for 3 h" in found.text


async def test_mail_that_the_limits_keep_back_is_no_fault() -> None:
    async with relaying(account(limits=Limits(messages_per_day=2))) as relay:
        for _ in range(5):
            await relay.submit()
        await relay.pass_time(5 * 3600.0)
        found = await look(relay, critical=2 * 3600.0)
        assert (found.level, found.oldest) == (Severity.OK, 5 * 3600.0)
        assert "the mail of alerts waits because of its limits, and goes on by itself at 20" in found.text


async def test_mail_that_leaves_at_the_allowed_pace_is_no_fault() -> None:
    async with relaying(account(limits=Limits(messages_per_minute=1))) as relay:
        relay.providers["alerts"].delay = 0.0
        for _ in range(100):
            await relay.submit()
        await relay.pass_time(3600.0)
        found = await look(relay, critical=600.0)
        assert found.level is Severity.OK
        assert "alerts leaves as fast as its limits let it" in found.text


async def test_mail_that_a_server_puts_off_is_none_that_a_limit_keeps_back() -> None:
    async with relaying(account(limits=Limits(messages_per_minute=30))) as relay:
        relay.providers["alerts"].always = "451 4.3.0 Try later"
        await relay.submit()
        await relay.pass_time(2 * 3600.0)
        assert (await look(relay)).level is Severity.WARNING
        assert (await look(relay, critical=3600.0)).level is Severity.CRITICAL


async def test_a_backlog_by_a_limit_hides_no_fault_of_another_account() -> None:
    accounts = account(limits=Limits(messages_per_day=2)), account("other")
    async with relaying(*accounts, router=TO_OTHER) as relay:
        relay.providers["other"].always = "451 4.3.0 Try later"
        for _ in range(5):
            await relay.submit(sender="a@example.org")
        await relay.pass_time(3600.0)
        await relay.submit(sender="b@example.org")
        await relay.pass_time(600.0)
        assert (await look(relay, warning=700.0)).level is Severity.OK
        await relay.pass_time(600.0)
        found = await look(relay, warning=700.0)
        assert found.level is Severity.WARNING
        assert "the oldest message has waited for 20 min; the mail of alerts waits" in found.text


async def test_mail_that_is_held_is_told_beside_a_backlog_by_a_limit() -> None:
    async with relaying(account(limits=Limits(messages_per_day=2))) as relay:
        messages = [await relay.submit() for _ in range(5)]
        await relay.settle()
        assert await relay.spool.change(messages[-1], Status.HELD, relay.clock.now()) == 1
        await relay.pass_time(2 * 3600.0)
        found = await look(relay)
        assert found.level is Severity.WARNING
        assert found.text.startswith("1 recipient is held: postbearer queue list --state held; ")
