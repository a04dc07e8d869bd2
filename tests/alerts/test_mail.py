"""A notice as a message: through the queue, by an account that can send."""

from __future__ import annotations

import pytest

from postbearer.alerts import Alert, AlertMail
from postbearer.alerts.channels import AlertFailed
from postbearer.engine import IntakeSettings
from support.relay import HOST, Relay, account, relaying

NOTICE = Alert(
    id="msg_1",
    kind="account.paused",
    account="alerts",
    at=1_800_000_000.0,
    title="The account alerts is paused",
    text="It does not send. What helps:",
    commands=("postbearer login alerts",),
)


def letters(relay: Relay, preferred: str = "other", wrote: list[str] | None = None) -> AlertMail:
    async def can_send(name: str) -> bool:
        return not relay.dispatcher.account_states[name].paused

    return AlertMail(
        ["ops@example.net"],
        preferred,
        relay.accounts,
        spool=relay.spool,
        clock=relay.clock,
        observer=relay.dispatcher._observer,
        settings=IntakeSettings(hostname=HOST),
        can_send=can_send,
        wrote=(wrote if wrote is not None else []).append,
        wake=relay.dispatcher.wake,
    )


async def test_it_leaves_by_the_account_that_is_named_and_says_what_to_type() -> None:
    wrote: list[str] = []
    async with relaying(account("alerts"), account("other")) as relay:
        await letters(relay, wrote=wrote).send(NOTICE)
        await relay.settle()
        (sent,) = relay.providers["other"].sent
        assert relay.providers["alerts"].sent == []
        assert await relay.statuses(wrote[0]) == ["delivered"]
    assert sent.to == ("ops@example.net",)
    text = sent.content.decode()
    assert "Subject: postbearer: The account alerts is paused\r\n" in text
    assert "Auto-Submitted: auto-generated\r\n" in text
    assert "\r\n  postbearer login alerts\r\n" in text
    assert "From: other@example.org\r\n" in text


@pytest.mark.parametrize(
    ("preferred", "paused", "by"),
    [
        ("", (), "other"),
        ("alerts", (), "other"),  # it is about this one
        ("third", ("third",), "other"),
        ("", ("other", "third"), "alerts"),  # which still works
        ("gone", (), "other"),
    ],
)
async def test_which_account_it_leaves_by(preferred: str, paused: tuple[str, ...], by: str) -> None:
    async with relaying(account("alerts"), account("other"), account("third")) as relay:
        for name in paused:
            await relay.dispatcher.pause(name)
        await letters(relay, preferred).send(NOTICE)
        await relay.settle()
        assert [name for name, provider in relay.providers.items() if provider.sent] == [by]


async def test_when_no_account_can_send_it_waits() -> None:
    async with relaying(account("alerts")) as relay:
        await relay.dispatcher.pause("alerts")
        with pytest.raises(AlertFailed, match="No other account can send now"):
            await letters(relay).send(NOTICE)


async def test_nobody_gets_a_report_about_a_notice_that_failed() -> None:
    async with relaying(account("alerts"), account("other")) as relay:
        relay.providers["other"].rcpt = {"ops@example.net": "550 5.1.1 No such user"}
        await letters(relay).send(NOTICE)
        await relay.pass_time(7200)
        assert await relay.reports() == []
