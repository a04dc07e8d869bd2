"""`check()`: the examination of ``postbearer check``, for programs."""

from __future__ import annotations

import pytest

from postbearer.blocking import Mailer
from postbearer.errors import UsageError
from postbearer.mailer import AsyncMailer
from postbearer.testing import Faults, Sandbox


def test_a_healthy_account_has_no_failures_and_a_message_goes_there(sandbox: Sandbox) -> None:
    with Mailer(sandbox.account(), state="memory") as mailer:
        report = mailer.check(send_to="you@example.org")
        assert report.ok, str(report)
        assert "AUTH" in str(report)
        assert sandbox.inbox.messages[0].recipients == ("you@example.org",)
        assert mailer.send(to="you@example.org", text="and goes on").delivered


async def test_what_is_wrong_is_told_with_its_cure(sandbox: Sandbox) -> None:
    sandbox.set_faults(Faults(refuse_tokens=9))
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        report = await mailer.check()
    assert not report.ok
    assert [str(finding.step) for finding in report.failures] == ["AUTH"]
    assert "FAILED" in str(report)
    assert "fix:" in str(report)


def test_another_kind_of_event_loop_is_told_what_to_do(sandbox: Sandbox) -> None:
    mailer = AsyncMailer(sandbox.account(), state="memory")
    for work in (mailer.send(to="you@example.org", text="x"), mailer.send_many([]), mailer.check()):
        with pytest.raises(UsageError, match=r"under asyncio.*trio\.to_thread\.run_sync"):
            work.send(None)
