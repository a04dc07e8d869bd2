"""What an answer means for recipients and account: the table of scopes and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.account import Account
from postbearer.engine import RetryPolicy
from postbearer.engine.disposition import FIRST_PROBE, AttemptResult, Policy
from postbearer.envelope import Envelope
from postbearer.errors import (
    ConnectFailed,
    CredentialRefused,
    Disconnected,
    GrantRefused,
    MechanismMissing,
    PostbearerError,
    RemoteProtocolError,
    SecretError,
    SecretUnavailable,
    TimedOut,
    TlsFailed,
    TokenUnavailable,
)
from postbearer.oauth import Password
from postbearer.outcome import Outcome, Receipt
from postbearer.providers import Phase
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.store import Claimed, Message, Priority, Status, Target
from postbearer.testing.replies import parse_reply
from postbearer.verdict import judged
from support.relay import account

NOW = 1_800_000_000.0
DAY = 86_400.0
ALERTS = account()


def claimed(
    attempt: int = 1, *, lives: float = 5 * DAY, accepted: float = NOW, recipients: int = 1
) -> Claimed:
    envelope = Envelope.of("app@example.org", [f"user{number}@example.net" for number in range(recipients)])
    message = Message(
        id="m1",
        accepted=accepted,
        client="app",
        envelope=envelope,
        received="",
        size=10,
        sha256="",
        expires=accepted + lives,
    )
    return Claimed(
        delivery=1,
        lease=1,
        attempt=attempt,
        account="alerts",
        priority=Priority.NORMAL,
        client="app",
        message=message,
        targets=tuple(Target(row=row, recipient=each) for row, each in enumerate(envelope.recipients)),
    )


def judging(of: Account = ALERTS, **strikes: int) -> Policy:
    return Policy(of, RetryPolicy(), lambda: 0.5, strikes)


def met(address: str, text: str, phase: Phase) -> Outcome:
    return judged(address, parse_reply(text), phase, ALERTS.smarthost.rules)


def answered(
    text: str,
    phase: Phase,
    *,
    attempt: int = 1,
    of: Account = ALERTS,
    strikes: Mapping[str, int] | None = None,
) -> AttemptResult:
    reply = parse_reply(text)
    outcome = judged("user0@example.net", reply, phase, of.smarthost.rules)
    judging_ = judging(of, **(strikes or {}))
    return judging_.receipt(claimed(attempt), Receipt((outcome,), server="mail:587"), NOW)


@pytest.mark.parametrize(
    ("text", "phase", "status", "pauses"),
    [
        ("250 2.0.0 Ok", Phase.EOD, Status.DELIVERED, False),
        ("550 5.1.1 unknown", Phase.RCPT, Status.FAILED, False),
        ("451 4.7.1 later", Phase.RCPT, Status.DEFERRED, False),
        ("452 4.2.2 full", Phase.RCPT, Status.DEFERRED, False),
        ("499 what", Phase.EOD, Status.DEFERRED, False),
        ("599 what", Phase.EOD, Status.FAILED, False),
        ("599 what", Phase.RCPT, Status.FAILED, False),
        ("554 5.2.252 SendAsDenied; x", Phase.EOD, Status.FAILED, False),
        ("554 5.2.0 STOREDRV; SubmissionQuotaExceededException", Phase.EOD, Status.DEFERRED, True),
        (
            "550 5.1.90 Your message can't be sent: you've reached your daily limit",
            Phase.EOD,
            Status.DEFERRED,
            True,
        ),
        ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Phase.EOD, Status.DEFERRED, False),
        ("530 5.7.57 Client not authenticated to send mail", Phase.MAIL, Status.DEFERRED, True),
        ("421 4.3.2 Service not active", Phase.EOD, Status.DEFERRED, False),
    ],
)
def test_replies(text: str, phase: Phase, status: Status, pauses: bool) -> None:
    ending = answered(text, phase)
    assert ending.fates[0].status is status
    assert (ending.stop is not None) is pauses


@pytest.mark.parametrize(
    ("error", "rests", "pauses"),
    [
        (TokenUnavailable("503"), True, False),
        (TokenUnavailable("429", retry_after=120), False, True),
        (ConnectFailed("no route", stage="conn"), True, False),
        (TimedOut("silence", stage="ehlo"), True, False),
        (Disconnected("gone", stage="conn"), True, False),
        (RemoteProtocolError("garbage"), True, False),
        (TlsFailed("The certificate has expired.", stage="tls"), True, False),
        (GrantRefused("no", code="invalid_grant"), False, True),
        (CredentialRefused("no", reply=Reply(535, (b"5.7.3 no",))), False, True),
        (MechanismMissing("none"), False, True),
        (SecretError("cannot be read", reference="env:X"), False, True),
        (SecretUnavailable("no answer", reference="safe:x"), True, False),
        (PostbearerError("whatever"), True, False),
    ],
)
def test_errors_leave_every_recipient_open_and_are_no_attempt(
    error: PostbearerError, rests: bool, pauses: bool
) -> None:
    ending = judging().error(claimed(recipients=3), error, NOW)
    assert [fate.status for fate in ending.fates] == [Status.DEFERRED] * 3
    assert not ending.counted
    assert (ending.rest is not None, ending.stop is not None) == (rests, pauses)


def test_a_retry_after_of_the_token_endpoint_is_obeyed() -> None:
    ending = judging().error(claimed(), TokenUnavailable("429", retry_after=120), NOW)
    assert ending.stop is not None
    assert (ending.stop.seconds, ending.stop.person) == (120, False)


def by_password() -> Account:
    grant = Password(client_id="app", username="alerts@example.org", password=Secret("x"))
    return replace(ALERTS, grant=grant)


@pytest.mark.parametrize(
    ("of", "error", "probe"),
    [
        (ALERTS, GrantRefused("no", code="invalid_grant"), FIRST_PROBE),
        (ALERTS, GrantRefused("no", code="invalid_client", configuration=True), FIRST_PROBE),
        (ALERTS, GrantRefused("AADSTS700016: no such app", code="unauthorized_client"), FIRST_PROBE),
        (by_password(), GrantRefused("AADSTS50126: wrong", code="invalid_grant"), None),
        (
            by_password(),
            GrantRefused("AADSTS7000215: x", code="invalid_client", configuration=True),
            FIRST_PROBE,
        ),
        (by_password(), CredentialRefused("no", reply=Reply(535, (b"5.7.3 no",))), FIRST_PROBE),
        (
            account(provider="smtp", authentication="password", password="env:X"),
            CredentialRefused("no", reply=Reply(535, (b"5.7.8 no",))),
            None,
        ),
    ],
)
def test_when_a_paused_account_is_tried_again(
    of: Account, error: PostbearerError, probe: float | None
) -> None:
    stop = judging(of).error(claimed(), error, NOW).stop
    assert stop is not None
    assert (stop.seconds, stop.person) == (probe, True)


def test_some_temporary_failures_are_permanent_when_the_account_meets_them_again_and_again() -> None:
    text, rule = "430 4.2.0 STOREDRV; mailbox logon failure", "microsoft/mailbox-logon"
    fourth = answered(text, Phase.EOD, attempt=9, strikes={rule: 3})
    assert (fourth.stop, fourth.strikes, fourth.counted) == (None, {rule}, False)
    stop = answered(text, Phase.EOD, strikes={rule: 4}).stop
    assert stop is not None
    assert stop.person


def test_the_account_is_judged_apart_from_the_recipients_that_were_settled() -> None:
    full = "554 5.2.2 mailbox full; STOREDRV; QuotaExceededException.MapiExceptionQuotaExceeded"
    outcomes = (
        met("user0@example.net", "550 5.1.1 no", Phase.RCPT),
        met("user1@example.net", full, Phase.EOD),
    )
    ending = judging().receipt(claimed(recipients=2), Receipt(outcomes), NOW)
    assert [fate.status for fate in ending.fates] == [Status.FAILED, Status.DEFERRED]
    assert ending.stop is not None
    assert ending.counted  # something became of it


def test_each_recipient_has_its_own_fate() -> None:
    outcomes = (
        met("user0@example.net", "250 ok", Phase.EOD),
        met("user1@example.net", "550 5.1.1 no", Phase.RCPT),
        met("user2@example.net", "450 4.2.1 later", Phase.RCPT),
    )
    ending = judging().receipt(claimed(recipients=3), Receipt(outcomes, works=True), NOW)
    assert [fate.status for fate in ending.fates] == [Status.DELIVERED, Status.FAILED, Status.DEFERRED]
    assert [fate.code for fate in ending.fates] == ["2.0.0", "5.1.1", "4.2.1"]
    assert ending.due == NOW + 60
    assert ending.works


@pytest.mark.parametrize(("policy", "status"), [("retry", Status.DEFERRED), ("hold", Status.HELD)])
def test_unknown_fates(policy: str, status: Status) -> None:
    lost = judged("user0@example.net", Disconnected("gone", stage="eod"), Phase.EOD)
    ending = judging(account(on_unknown=policy)).receipt(claimed(), Receipt((lost,)), NOW)
    assert ending.unknown
    assert ending.fates[0].status is status


def test_there_is_one_last_try_before_time_is_over() -> None:
    later = met("user0@example.net", "451 later", Phase.EOD)
    early = claimed(attempt=3, lives=600.0, accepted=NOW - 400)
    assert judging().receipt(early, Receipt((later,)), NOW).due == NOW + 170
    late = claimed(attempt=4, lives=600.0, accepted=NOW - 580)
    ending = judging().receipt(late, Receipt((later,)), NOW)
    assert (ending.fates[0].status, ending.fates[0].reply) == (Status.EXPIRED, "451 later")


@pytest.mark.parametrize(
    ("lives", "attempt", "age", "paused", "status"),
    [
        (600.0, 1, 599.0, False, None),
        (600.0, 1, 600.0, False, Status.EXPIRED),  # a login code: it was wished so
        (600.0, 1, 600.0, True, Status.EXPIRED),
        (5 * DAY, 7, 6 * DAY, False, Status.EXPIRED),
        (5 * DAY, 7, 6 * DAY, True, Status.HELD),  # it had its tries, and the account not all of its time
        (5 * DAY, 1, 6 * DAY, False, Status.HELD),  # never tried in all this time: not its own fault
    ],
)
def test_stale_mail(lives: float, attempt: int, age: float, paused: bool, status: Status | None) -> None:
    ending = judging().stale(claimed(attempt, lives=lives, accepted=NOW - age), NOW, paused=paused)
    assert (ending.fates[0].status if ending else None) is status


@given(
    code=st.integers(200, 599),
    phase=st.sampled_from([Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.EOD, Phase.ANY]),
    attempt=st.integers(1, 50),
)
def test_whatever_the_answer_nobody_is_forgotten(code: int, phase: Phase, attempt: int) -> None:
    ending = answered(f"{code} x", phase, attempt=attempt)
    (fate,) = ending.fates
    assert fate.status in (Status.DELIVERED, Status.DEFERRED, Status.FAILED, Status.HELD)
    if fate.status is Status.DEFERRED:
        assert ending.due is not None
        assert NOW <= ending.due < claimed().message.expires
    if code < 500 and phase is not Phase.ANY:
        assert fate.status is not Status.FAILED or code < 400
    if fate.status is Status.FAILED:
        assert fate.code.startswith("5")
        assert ending.stop is None
