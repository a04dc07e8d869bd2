"""What became of a message: one outcome for each recipient, and errors that hold them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postbearer.blocking import Mailer
from postbearer.envelope import Envelope
from postbearer.errors import BudgetSpent, NetworkError, Rejected
from postbearer.mailer import AsyncMailer
from postbearer.outcome import State
from postbearer.settings import Limits
from postbearer.testing import Faults, ManualClock, Sandbox, SmtpFault
from support.sandboxed import RAW, TO_YOU, message

UNKNOWN = SmtpFault(at="rcpt", reply="550 5.1.1 no such user", match="nobody")
LATER = SmtpFault(at="rcpt", reply="451 4.2.1 mailbox is busy", match="busy")


async def test_a_receipt_tells_what_the_provider_said(sandbox: Sandbox) -> None:
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        receipt = await mailer.send(message(Message_ID="<mine@example.org>"))
    (outcome,) = receipt.outcomes
    (received,) = sandbox.inbox.messages
    assert outcome.state is State.DELIVERED
    assert outcome.reply is not None
    assert outcome.reply.code == 250
    assert receipt.queue_id == received.id
    assert receipt.server == f"localhost:{sandbox.starttls_port}"
    assert receipt.message_id == "<mine@example.org>"
    assert receipt.raise_for_refused() is receipt


def test_the_same_without_an_event_loop(sandbox: Sandbox) -> None:
    with Mailer(sandbox.account(), state="memory") as mailer:
        assert mailer.send(message()).queue_id == sandbox.inbox.messages[0].id


async def test_each_recipient_has_an_outcome_in_the_order_of_the_envelope(sandbox: Sandbox) -> None:
    sandbox.set_faults(Faults(smtp=[UNKNOWN, LATER]))
    people = ["you@example.org", "nobody@example.org", "busy@example.org", "me@example.org"]
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        receipt = await mailer.send(RAW, Envelope.of("alerts@example.org", people))
    assert [outcome.recipient for outcome in receipt.outcomes] == people
    assert [outcome.state for outcome in receipt.outcomes] == [
        State.DELIVERED,
        State.FAILED,
        State.DEFERRED,
        State.DELIVERED,
    ]
    (received,) = sandbox.inbox.messages
    assert received.recipients == ("you@example.org", "me@example.org")
    with pytest.raises(Rejected, match=r"nobody@example\.org: failed .* and 1 more") as refused:
        receipt.raise_for_refused()
    assert refused.value.receipt is receipt
    assert refused.value.hint


async def test_a_message_that_nobody_got_raises_with_all_outcomes(sandbox: Sandbox) -> None:
    sandbox.set_faults(Faults(smtp=[UNKNOWN, LATER]))
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        with pytest.raises(Rejected) as refused:
            await mailer.send(RAW, Envelope.of("", ["nobody@example.org", "busy@example.org"]))
        states = [outcome.state for outcome in refused.value.receipt.outcomes]
        assert states == [State.FAILED, State.DEFERRED]
        assert await mailer.send(RAW, TO_YOU)  # and the connection is as good as before
    assert sandbox.mail.submitting == 0
    assert len(sandbox.inbox.messages) == 1


async def test_a_connection_lost_over_the_content_leaves_doubt_and_sends_nothing_again(
    sandbox: Sandbox,
) -> None:
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="content", after_commit=True, times=1)]))
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        with pytest.raises(Rejected) as doubt:
            await mailer.send(RAW, TO_YOU)
    (outcome,) = doubt.value.receipt.outcomes
    assert outcome.state is State.UNKNOWN
    assert len(sandbox.inbox.messages) == 1


async def test_what_was_delivered_is_told_though_the_rest_has_to_wait(sandbox: Sandbox) -> None:
    """A large envelope goes in several messages; the budget may end between two of them."""
    account = replace(sandbox.account(), limits=Limits(recipients_per_day=3, recipients_per_message=2))
    people = [f"person{number}@example.org" for number in range(5)]
    async with AsyncMailer(account, state="memory", clock=ManualClock()) as mailer:
        receipt = await mailer.send(RAW, Envelope.of("alerts@example.org", people), wait=False)
    assert [outcome.recipient for outcome in receipt.outcomes] == people
    assert [str(outcome.state) for outcome in receipt.outcomes] == ["delivered"] * 2 + ["deferred"] * 3
    assert isinstance(receipt.refused[0].error, BudgetSpent)
    assert receipt.server
    assert [received.recipients for received in sandbox.inbox.messages] == [tuple(people[:2])]


async def test_what_was_delivered_is_told_though_the_server_went_away(sandbox: Sandbox) -> None:
    account = replace(sandbox.account(), limits=Limits(recipients_per_message=1))
    people = ["first@example.org", "second@example.org", "third@example.org"]
    closing = "421 4.3.2 closing"
    shutdown = [
        SmtpFault(at="mail", delay=0.001, times=1),  # the first one passes
        SmtpFault(at="mail", reply=closing),
        SmtpFault(at="greeting", reply=closing),
    ]
    async with AsyncMailer(account, state="memory") as mailer:
        await mailer.send(RAW, TO_YOU)
        sandbox.set_faults(Faults(smtp=shutdown))
        receipt = await mailer.send(RAW, Envelope.of("alerts@example.org", people))
    assert [str(outcome.state) for outcome in receipt.outcomes] == ["delivered", "deferred", "deferred"]
    assert isinstance(receipt.refused[0].error, NetworkError)
    assert receipt.refused[0].cause
