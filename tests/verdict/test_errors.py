"""Errors, and refusals by token endpoints."""

from __future__ import annotations

import pytest

from postbearer import errors
from postbearer.outcome import Outcome, Receipt, State
from postbearer.providers import Disposition, ImmediateAction, Phase, Scope, Who, preset
from postbearer.reply import EnhancedStatus, Reply
from postbearer.verdict import judge, judge_token_error

BARE_535 = Reply(535, (b"5.7.3 Authentication unsuccessful",), EnhancedStatus(5, 7, 3))
HOST, ACCOUNT, MESSAGE = Scope.HOST, Scope.ACCOUNT, Scope.MESSAGE
MICROSOFT, GOOGLE = preset("microsoft").rules, preset("google").rules


@pytest.mark.parametrize(
    ("error", "phase", "scope", "disposition"),
    [
        (errors.ConnectFailed("refused"), "conn", HOST, Disposition.SOON),
        (errors.TlsFailed("certificate verify failed"), "tls", HOST, Disposition.SOON),
        (errors.TlsFailed("something else"), "tls", HOST, Disposition.SOON),
        (errors.TimedOut("no greeting"), "conn", HOST, Disposition.SOON),
        (errors.Disconnected("gone"), "mail", HOST, Disposition.SOON),
        (errors.Disconnected("gone"), "data", HOST, Disposition.SOON),
        (errors.RemoteProtocolError("mixed codes"), "rcpt", HOST, Disposition.SOON),
        (errors.RemoteProtocolError("bytes behind STARTTLS"), "tls", HOST, Disposition.HOLD),
        (errors.ServerRefused("no greeting", stage="conn"), "any", HOST, Disposition.SOON),
        (errors.ServerRefused("busy", stage="auth", reply=Reply(454, (b"",))), "any", HOST, Disposition.SOON),
        (errors.ServerRefused("no", stage="auth", reply=BARE_535), "any", ACCOUNT, Disposition.HOLD),
        (errors.MechanismMissing("none"), "auth", ACCOUNT, Disposition.HOLD),
        (errors.TokenUnavailable("down"), "token", ACCOUNT, Disposition.SOON),
        (errors.TokenUnavailable("wait", retry_after=90), "token", ACCOUNT, Disposition.WINDOW),
        (errors.GrantRefused("no", code="invalid_grant"), "token", ACCOUNT, Disposition.HOLD),
        (errors.GrantRefused("no", code="never_seen"), "token", ACCOUNT, Disposition.HOLD),
        (errors.CredentialRefused("no", reply=BARE_535), "auth", ACCOUNT, Disposition.HOLD),
        (errors.CredentialRefused("no"), "auth", ACCOUNT, Disposition.HOLD),
        (errors.PlugInFailed("a defect"), "token", ACCOUNT, Disposition.HOLD),
        (errors.SecretError("unreadable"), "token", ACCOUNT, Disposition.HOLD),
        (errors.SecretUnavailable("no answer"), "token", ACCOUNT, Disposition.SOON),
        (errors.SecretUnavailable("sealed", retry_after=60), "token", ACCOUNT, Disposition.WINDOW),
        (errors.ConfigError("wrong"), "any", ACCOUNT, Disposition.HOLD),
        (errors.LocalProtocolError("no TLS"), "auth", ACCOUNT, Disposition.HOLD),
        (errors.LocalProtocolError("newline"), "mail", MESSAGE, Disposition.PERMANENT),
        (errors.LocalProtocolError("newline"), "rcpt", Scope.RECIPIENT, Disposition.PERMANENT),
        (errors.UsageError("no recipients"), "any", MESSAGE, Disposition.PERMANENT),
        (errors.BudgetSpent("spent", retry_at=1.0), "any", ACCOUNT, Disposition.WINDOW),
        (errors.StoreFull("full"), "any", HOST, Disposition.SOON),
        (errors.SchemaMismatch("newer"), "any", HOST, Disposition.HOLD),
        (errors.LeaseLost("lost"), "any", HOST, Disposition.SOON),
        (errors.OutcomeUnknown("commit"), "any", HOST, Disposition.SOON),
        (errors.PostbearerError("anything"), "any", MESSAGE, Disposition.SOON),
    ],
)
def test_error(error: errors.PostbearerError, phase: str, scope: Scope, disposition: Disposition) -> None:
    verdict = judge(error, phase, MICROSOFT)
    assert (verdict.scope, verdict.disposition) == (scope, disposition)
    assert verdict.state is (State.FAILED if disposition is Disposition.PERMANENT else State.DEFERRED)
    assert verdict.cause


@pytest.mark.parametrize(
    "error",
    [
        errors.Disconnected("gone"),
        errors.TimedOut("no reply in 600 s"),
        errors.RemoteProtocolError("unreadable reply"),
    ],
)
def test_what_is_lost_after_the_content_is_neither_delivered_nor_failed(
    error: errors.PostbearerError,
) -> None:
    verdict = judge(error, Phase.EOD, MICROSOFT)
    assert verdict.state is State.UNKNOWN
    assert verdict.scope is MESSAGE
    assert "Sent Items" in verdict.remedy


def test_the_stage_of_an_error_stands_in_for_an_unknown_phase() -> None:
    assert judge(errors.Disconnected("gone", stage="eod")).state is State.UNKNOWN
    assert judge(errors.Disconnected("gone", stage="mail")).state is State.DEFERRED


def test_an_errors_own_hint_is_the_better_remedy() -> None:
    assert judge(errors.ConnectFailed("refused", hint="Open port 587."), "conn").remedy == "Open port 587."


def test_a_credential_refused_twice_is_not_renewed_again() -> None:
    verdict = judge(errors.CredentialRefused("no", reply=BARE_535), Phase.AUTH, MICROSOFT)
    assert ImmediateAction.RENEW not in verdict.first
    assert "SMTP.SendAsApp" in verdict.remedy


def test_a_credential_refused_twice_is_held_whatever_the_reply_seems_to_mean() -> None:
    soon = Reply(535, (b"5.7.142 Token will expire soon",), EnhancedStatus(5, 7, 142))
    verdict = judge(errors.CredentialRefused("no", reply=soon), Phase.AUTH, preset("microsoft-hve").rules)
    assert (verdict.disposition, verdict.scope) == (Disposition.HOLD, ACCOUNT)


def test_a_refused_grant_is_explained_by_its_number() -> None:
    error = errors.GrantRefused("AADSTS7000215: Invalid client secret provided.", code="invalid_client")
    verdict = judge(error, Phase.TOKEN, MICROSOFT)
    assert verdict.rule == "entra/secret-wrong"
    assert verdict.who is Who.APP_OWNER
    assert verdict.configuration


def test_a_rejection_means_what_its_first_outcome_means() -> None:
    unknown = Reply(550, (b"5.1.1 User unknown",), EnhancedStatus(5, 1, 1))
    receipt = Receipt((Outcome("a@example.org", State.FAILED, unknown),))
    assert judge(receipt.rejection(), Phase.RCPT).rule == "generic/recipient-unknown"


@pytest.mark.parametrize(
    ("status", "error", "description", "disposition", "who"),
    [
        (400, "invalid_grant", "", Disposition.HOLD, Who.MAILBOX_USER),
        (400, "invalid_grant", "AADSTS700082: expired due to inactivity", Disposition.HOLD, Who.MAILBOX_USER),
        (401, "invalid_client", "AADSTS7000215: Invalid client secret", Disposition.HOLD, Who.APP_OWNER),
        (400, "invalid_grant", "AADSTS53003: Access has been blocked", Disposition.HOLD, Who.TENANT_ADMIN),
        (400, "invalid_grant", "AADSTS50196: loop", Disposition.WINDOW, Who.HOST_OPERATOR),
        (400, "temporarily_unavailable", "AADSTS90033", Disposition.SOON, Who.NOBODY),
        (503, "", "", Disposition.SOON, Who.NOBODY),
        (408, "", "", Disposition.SOON, Who.NOBODY),
        (None, "", "", Disposition.SOON, Who.NOBODY),
        (429, "", "Too Many Requests", Disposition.WINDOW, Who.HOST_OPERATOR),
        (200, "", "<html>", Disposition.SOON, Who.HOST_OPERATOR),
        (302, "", "", Disposition.HOLD, Who.HOST_OPERATOR),
        (400, "never_seen", "", Disposition.HOLD, Who.HOST_OPERATOR),
        (404, "", "", Disposition.HOLD, Who.HOST_OPERATOR),
    ],
)
def test_token_endpoint(
    status: int | None, error: str, description: str, disposition: Disposition, who: Who
) -> None:
    verdict = judge_token_error(status, error, description, (), MICROSOFT)
    assert (verdict.disposition, verdict.who) == (disposition, who)
    assert verdict.scope is ACCOUNT
    assert verdict.state is State.DEFERRED


def test_a_number_that_came_apart_from_the_text_counts() -> None:
    assert judge_token_error(400, "invalid_grant", "", (50126,), MICROSOFT).rule == "entra/password-wrong"


def test_googles_refusals() -> None:
    def rule(error: str, description: str) -> str:
        return judge_token_error(400, error, description, (), GOOGLE).rule

    assert rule("invalid_grant", "Token has been expired or revoked.") == "google/refresh-token-dead"
    assert rule("invalid_grant", "Invalid JWT Signature.") == "google/jwt-signature"
    assert rule("invalid_grant", "something new") == "generic/invalid-grant"


def test_retry_after_is_kept() -> None:
    assert judge_token_error(429, retry_after=17).wait == 17
    assert judge_token_error(429).wait == 60
    assert judge_token_error(503, retry_after=5).disposition is Disposition.WINDOW
    assert judge_token_error(400, "invalid_grant", retry_after=5).wait == 0
