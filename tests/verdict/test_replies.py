"""Real replies, and what they must lead to."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.outcome import State
from postbearer.providers import Disposition, ImmediateAction, Phase, Scope, preset
from postbearer.reply import EnhancedStatus, Reply
from postbearer.verdict import explain, judge, provider_queue_id

DEFERRED, FAILED = State.DEFERRED, State.FAILED
R, M, H, A = Scope.RECIPIENT, Scope.MESSAGE, Scope.HOST, Scope.ACCOUNT
SOON, WINDOW, HOLD, PERMANENT = Disposition.SOON, Disposition.WINDOW, Disposition.HOLD, Disposition.PERMANENT


def reply(text: str) -> Reply:
    """A reply as it stands in a log, one line for each line of the server."""
    lines = text.splitlines()
    code, words = int(lines[0][:3]), tuple(line[4:].encode() for line in lines)
    status = re.match(rb"(\d)\.(\d+)\.(\d+)", words[0])
    return Reply(code, words, EnhancedStatus(*map(int, status.groups())) if status else None)


TABLE = [
    ("microsoft", "auth", "535 5.7.3 Authentication unsuccessful [X]", A, HOLD),
    (
        "microsoft",
        "auth",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        A,
        HOLD,
    ),
    (
        "microsoft",
        "auth",
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        A,
        HOLD,
    ),
    ("microsoft", "auth", "535 5.7.139 Authentication unsuccessful, something new", A, HOLD),
    ("microsoft", "auth", "550 5.7.30 Basic authentication is not supported for Client Submission.", A, HOLD),
    ("microsoft", "auth", "504 5.7.4 Unrecognized authentication type", H, HOLD),
    ("microsoft", "auth", "599 5.9.9 Never seen", A, HOLD),
    ("microsoft", "mail", "530 5.7.57 Client not authenticated to send mail.", A, HOLD),
    ("microsoft", "eod", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", A, SOON),
    ("microsoft", "eod", "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/", A, SOON),
    ("microsoft", "ndr", "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", R, SOON),
    (
        "microsoft",
        "mail",
        "421 4.4.2 Message submission rate for this client has exceeded the limit",
        A,
        SOON,
    ),
    ("microsoft", "rcpt", "451 4.7.500 Server busy. Please try again later", A, SOON),
    ("microsoft", "rcpt", "451 4.7.651 The mail server has been temporarily rate limited", A, SOON),
    ("microsoft", "mail", "451 4.7.0 Temporary server error. Please try again later. PRX2", H, SOON),
    (
        "microsoft",
        "eod",
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; x",
        A,
        WINDOW,
    ),
    (
        "microsoft",
        "eod",
        "550 5.1.90 Your message can't be sent because you've reached your limit",
        A,
        WINDOW,
    ),
    ("microsoft", "eod", "550 5.2.2 Submission quota exceeded", A, WINDOW),
    (
        "microsoft",
        "eod",
        "554 5.2.2 mailbox full; QuotaExceededException.MapiExceptionQuotaExceeded",
        A,
        HOLD,
    ),
    ("microsoft", "eod", "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed", A, SOON),
    (
        "microsoft",
        "eod",
        "554 5.2.252 SendAsDenied; a@example.org not allowed to send as b@example.org",
        M,
        PERMANENT,
    ),
    ("microsoft", "eod", "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.Mapi", M, PERMANENT),
    (
        "microsoft",
        "mail",
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        M,
        PERMANENT,
    ),
    ("microsoft", "eod", "550 5.1.8 Access denied, bad outbound sender", A, HOLD),
    ("microsoft", "eod", "550 5.7.502 Access denied, banned sender", A, HOLD),
    ("microsoft", "eod", "550 5.7.705 Access denied, tenant has exceeded threshold", A, HOLD),
    ("microsoft", "eod", "550 5.7.723 Access denied, for a reason of its own", A, HOLD),
    (
        "microsoft",
        "eod",
        "550 5.7.703 blocked by your organization using Tenant Allow Block List",
        M,
        PERMANENT,
    ),
    ("microsoft", "mail", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", H, HOLD),
    ("microsoft", "rcpt", "550 5.4.1 Recipient address rejected: Access denied.", R, PERMANENT),
    ("microsoft", "rcpt", "550 5.1.10 RESOLVER.ADR.RecipientNotFound", R, PERMANENT),
    ("microsoft", "mail", "552 5.3.4 Message size exceeds fixed maximum message size", M, PERMANENT),
    ("microsoft-hve", "auth", "535 5.7.142 Token will expire soon", A, SOON),
    ("microsoft-hve", "auth", "535 5.7.3 Authentication unsuccessful", A, HOLD),
    (
        "google",
        "auth",
        "535-5.7.8 Username and Password not accepted. For more\n535 5.7.8 x - gsmtp",
        A,
        HOLD,
    ),
    ("google", "auth", "534-5.7.9 Application-specific password required.\n534 5.7.9 x", A, HOLD),
    ("google", "auth", "454 4.7.0 Too many login attempts, please try again later. x - gsmtp", A, WINDOW),
    ("google", "auth", "454 4.7.0 Cannot authenticate due to temporary system problem.", H, SOON),
    ("google", "auth", "555-5.5.2 Syntax error, command line too long\n555 5.5.2 x - gsmtp", H, SOON),
    ("google", "auth", "555 5.5.2 Syntax error, goodbye. x - gsmtp", H, SOON),
    ("google", "mail", "530-5.5.1 Authentication Required.\n530 5.5.1 x - gsmtp", A, HOLD),
    ("google", "mail", "530 5.7.0 Must issue a STARTTLS command first. x - gsmtp", H, HOLD),
    ("google", "mail", "421 4.3.0 Temporary System Problem. Try again later (1). x - gsmtp", H, SOON),
    ("google", "ehlo", "421 4.7.0 Try again later, closing connection. (EHLO) x - gsmtp", H, SOON),
    ("google", "eod", "421-4.7.28 Gmail has detected an unusual rate of email\n421 4.7.28 x", A, WINDOW),
    ("google", "rcpt", "450 4.2.1 The user is receiving mail too quickly.", R, SOON),
    ("google", "rcpt", "452 4.5.3 Your message has too many recipients.", M, SOON),
    (
        "google",
        "eod",
        "550-5.4.5 Daily user sending limit exceeded. For more\n550 5.4.5 x - gsmtp",
        A,
        WINDOW,
    ),
    ("google", "eod", "550 5.7.1 Daily SMTP relay limit exceeded for customer. x - gsmtp", A, WINDOW),
    (
        "google",
        "eod",
        "550-5.7.26 This mail has been blocked because the sender is\n550 5.7.26 x",
        M,
        PERMANENT,
    ),
    ("google", "eod", "550 5.7.30 This mail has been blocked: DKIM did not pass.", M, PERMANENT),
    (
        "google",
        "eod",
        "550-5.7.1 Our system detected that this message is likely\n550 5.7.1 unsolicited mail.",
        M,
        PERMANENT,
    ),
    (
        "google",
        "rcpt",
        "550-5.1.1 The email account that you tried to reach does not exist.\n550 5.1.1 x",
        R,
        PERMANENT,
    ),
    (
        "google",
        "eod",
        "552-5.7.0 This message was blocked because its content presents\n552 5.7.0 x",
        M,
        PERMANENT,
    ),
    ("smtp", "auth", "500 5.5.2 Line too long", H, SOON),
    ("smtp", "auth", "535 5.7.8 Error: authentication failed: Invalid user or password!", A, HOLD),
    ("smtp", "auth", "503 5.5.1 Error: already authenticated", H, SOON),
    ("smtp", "mail", "550 5.7.30 REQUIRETLS not supported", M, PERMANENT),
    ("smtp", "mail", "421 4.3.2 Shutting down", H, SOON),
    ("smtp", "rcpt", "450 4.2.1 Greylisted", R, SOON),
    ("smtp", "rcpt", "552 Too many recipients", M, SOON),
    ("smtp", "rcpt", "599 Something", R, PERMANENT),
    ("smtp", "eod", "599 Something", M, PERMANENT),
    ("smtp", "data", "554 5.5.1 Error: no valid recipients", M, PERMANENT),
    ("smtp", "conn", "554 No SMTP service here", H, HOLD),
    ("smtp", "ehlo", "550 Go away", H, HOLD),
    ("smtp", "mail", "499 Something", M, SOON),
]


@pytest.mark.parametrize(
    ("provider", "phase", "text", "scope", "disposition"), TABLE, ids=[row[2][:40] for row in TABLE]
)
def test_reply(provider: str, phase: str, text: str, scope: Scope, disposition: Disposition) -> None:
    verdict = judge(reply(text), phase, preset(provider).rules)
    assert (verdict.scope, verdict.disposition) == (scope, disposition)
    assert verdict.state is (FAILED if disposition is PERMANENT else DEFERRED)
    assert verdict.cause


def test_first_steps_are_named() -> None:
    microsoft, google = preset("microsoft").rules, preset("google").rules
    assert judge(reply("535 5.7.3 Authentication unsuccessful"), "auth", microsoft).first == (
        ImmediateAction.RENEW,
    )
    disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    assert judge(reply(disabled), "auth", microsoft).first == ()
    long = judge(reply("555 5.5.2 Syntax error, goodbye"), "auth", google)
    assert long.first == (ImmediateAction.RECONNECT, ImmediateAction.TWO_STEP)
    assert (
        ImmediateAction.CUT
        in judge(reply("432 4.3.2 Concurrent connections limit exceeded"), "eod", microsoft).first
    )
    assert ImmediateAction.SPLIT in judge(reply("452 4.5.3 Too many recipients"), "rcpt", google).first


def test_what_reaches_the_whole_organisation_says_so() -> None:
    rules = preset("microsoft").rules
    disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
    assert judge(reply(disabled + "Tenant"), "auth", rules).tenant
    assert not judge(reply(disabled + "Mailbox"), "auth", rules).tenant
    assert "Set-CASMailbox" in judge(reply(disabled + "Tenant"), "auth", rules).remedy


def test_a_missing_permission_is_tried_a_while_and_then_held() -> None:
    verdict = judge(reply("430 4.2.0 STOREDRV; mailbox logon failure"), "eod", preset("microsoft").rules)
    assert (verdict.disposition, verdict.hold_after > 0) == (SOON, True)


def test_success_is_success() -> None:
    assert judge(reply("250 2.0.0 Ok: queued as 4XyZ"), "eod").state is State.DELIVERED
    assert judge(reply("235 2.7.0 Authentication successful"), "auth").disposition is Disposition.DONE
    assert judge(reply("354 Go ahead"), "data").disposition is Disposition.DONE


def test_a_334_is_a_refusal_only_if_it_is_json() -> None:
    assert judge(reply("334 eyJzdGF0dXMiOiI0MDAifQ=="), "auth").first == (ImmediateAction.RENEW,)
    assert judge(reply("334 "), "auth").disposition is Disposition.DONE
    assert judge(reply("334 VXNlcm5hbWU6"), "auth").disposition is Disposition.DONE
    assert judge(reply("334 not base64"), "auth").disposition is Disposition.DONE


@given(
    code=st.integers(200, 599),
    line=st.binary(max_size=200),
    phase=st.sampled_from(list(Phase)),
    status=st.none() | st.builds(EnhancedStatus, st.integers(2, 5), st.integers(0, 999), st.integers(0, 999)),
    name=st.sampled_from(["microsoft", "google", "smtp"]),
)
def test_no_reply_has_no_meaning(
    code: int, line: bytes, phase: Phase, status: EnhancedStatus | None, name: str
) -> None:
    verdict = judge(Reply(code, (line,), status), phase, preset(name).rules)
    assert verdict.cause
    if phase is Phase.AUTH:
        assert verdict.disposition is not PERMANENT
    if code < 400 and code != 334:
        assert verdict.disposition is Disposition.DONE


@pytest.mark.parametrize(
    ("line", "identifier"),
    [
        ("250 2.0.0 Ok: queued as 4XyZ1Q2w3Ez", "4XyZ1Q2w3Ez"),
        ("250 2.0.0 OK  1732270000 ffacd0b85a97d-38259xyz.12 - gsmtp", "ffacd0b85a97d-38259xyz.12"),
        ("250 2.0.0 OK 1732270000 5b1f17b1804b1-432d123 - gsmtp", "5b1f17b1804b1-432d123"),
        (
            "250 2.0.0 OK <abc@AM0PR01MB1.eurprd01.prod.exchangelabs.com> [Hostname=AM0PR01MB1.example]",
            "<abc@AM0PR01MB1.eurprd01.prod.exchangelabs.com>",
        ),
        (
            "250 2.6.0 <m1@example.org> [InternalId=123, Hostname=X] 9 bytes Queued mail for delivery",
            "<m1@example.org>",
        ),
        ("250 OK id=1tEabc-0000000AbCd-1xYz", "1tEabc-0000000AbCd-1xYz"),
        ("250 2.0.0 4AM9abcd012345 Message accepted for delivery", "4AM9abcd012345"),
        ("250 2.0.0: 1a2b3c4d Message accepted for delivery", "1a2b3c4d"),
        ("250 ok 1732270000 qp 12345", "12345"),
        ("250 Ok 0100019355a1b2c3-d4e5-000000", "0100019355a1b2c3-d4e5-000000"),
        ("250 2.0.0 Ok: queued on mail-1.example.net 1732270000-abc", "1732270000-abc"),
        ("250 Ok: queued as " + "A" * 500, "A" * 200),
        ("250 2.0.0 Ok", ""),
        ("250 Ok", ""),
        ("550 5.1.1 queued as X", ""),
        ("250 2.0.0 OK: queued", ""),
    ],
)
def test_the_providers_own_id_is_found(line: str, identifier: str) -> None:
    assert provider_queue_id(reply(line)) == identifier


@given(st.binary(max_size=500))
def test_no_250_breaks_the_search_for_an_id(line: bytes) -> None:
    assert len(provider_queue_id(Reply(250, (line,)))) <= 200


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (
            "Nov 22 10:00:00 host postfix/smtp[123]: 4XyZ: to=<a@example.org>, relay=smtp.office365.com:587, "
            "dsn=5.7.3, status=deferred (SASL authentication failed; server smtp.office365.com said: "
            "535 5.7.3 Authentication unsuccessful [X 2026-11-22T10:00:00.000Z 08DE])",
            "microsoft/auth-unsuccessful",
        ),
        (
            "smtplib.SMTPAuthenticationError: (535, b'5.7.139 Authentication unsuccessful, "
            "SmtpClientAuthentication is disabled for the Tenant.')",
            "microsoft/smtp-auth-off-tenant",
        ),
        ("SmtpClientAuthentication is disabled for the Mailbox", "microsoft/smtp-auth-off-mailbox"),
        ("AADSTS7000215: Invalid client secret provided.", "entra/secret-wrong"),
        ("invalid_client (AADSTS7000222)", "entra/secret-expired"),
        (
            '{"error":"invalid_grant","error_description":"AADSTS50076: Due to","error_codes":[50076]}',
            "entra/mfa-required",
        ),
        ("oauth: invalid_scope", "generic/invalid-scope"),
        ("HTTP/1.1 429 Too Many Requests", "generic/throttled"),
        ("5.7.705 Access denied, tenant has exceeded threshold", "microsoft/tenant-threshold"),
        ("ssl.SSLCertVerificationError: certificate verify failed: Hostname mismatch", "generic/certificate"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired (_ssl.c:1)", "generic/certificate-time"),
        ("certificate verify failed: self-signed certificate in chain", "generic/certificate-issuer"),
        ("the certificate hasn't got a known issuer.", "generic/certificate-issuer"),
        (
            "tls: x509: certificate signed by unknown authority",
            "generic/certificate-issuer",
        ),
        (
            "554-5.2.252 SendAsDenied; a@example.org\n554 5.2.252 not allowed to send as b",
            "microsoft/send-as-denied",
        ),
        ("432 4.3.2 Concurrent connections limit exceeded", "microsoft/connections-exceeded"),
    ],
)
def test_a_line_from_a_log_is_explained(line: str, rule: str) -> None:
    assert explain(line, preset("microsoft").rules).rule == rule


@pytest.mark.parametrize("line", ["", "hello", "{", "[" * 100_000, "\x00", "2026-11-22 10:00:00 all is well"])
def test_a_line_that_says_nothing_is_not_explained(line: str) -> None:
    assert explain(line, preset("microsoft").rules).cause == ""


@given(st.text(max_size=300))
def test_any_line_may_be_asked_about(line: str) -> None:
    explain(line, preset("google").rules)
