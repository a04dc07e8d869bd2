"""One source of cures: made for the grant at hand, with ids filled in, the same wherever it is told."""

from __future__ import annotations

import re

import pytest

from engine.test_disposition import NOW, claimed
from postbearer.account import Account
from postbearer.diagnosis.failures import Explainer
from postbearer.diagnosis.finding import Step
from postbearer.engine import RetryPolicy
from postbearer.engine.disposition import Policy
from postbearer.errors import CredentialRefused, GrantRefused, PostbearerError
from postbearer.oauth import (
    AuthorizationCode,
    ClientCredentials,
    DeviceCode,
    Grant,
    JwtBearer,
    ManagedIdentity,
    Password,
    RefreshToken,
    StaticToken,
)
from postbearer.providers import Disposition, Phase, names, preset
from postbearer.secret import Secret
from postbearer.testing.replies import parse_reply
from postbearer.verdict import advise, judge

CLIENT, SECRET = "11111111-2222-3333-4444-555555555555", Secret("canary-secret")
CHECK = "postbearer check alerts"
BARE = parse_reply("535 5.7.8 Authentication failed")
GRANTS: dict[str, Grant] = {
    "authorization-code": AuthorizationCode(CLIENT, authorize_url="https://login.example.org/authorize"),
    "device-code": DeviceCode(CLIENT, device_url="https://login.example.org/device"),
    "refresh-token": RefreshToken(CLIENT, SECRET),
    "client-credentials": ClientCredentials(CLIENT, SECRET),
    "password": Password(CLIENT, "alerts@example.org", SECRET),
    "jwt-bearer": JwtBearer(SECRET, "alerts@example.org"),
    "managed-identity": ManagedIdentity(),
    "static": StaticToken(SECRET),
}
ERRORS = {
    "a refused token": CredentialRefused("mail.example.org refused alerts.", reply=BARE),
    "a wrong secret": GrantRefused("AADSTS7000215: Invalid client secret.", code="invalid_client"),
    "a wrong password": GrantRefused("AADSTS50126: Error validating credentials.", code="invalid_grant"),
    "a second factor": GrantRefused("AADSTS50076: You must use it.", code="interaction_required"),
    "no consent": GrantRefused("AADSTS65001: The user has not consented.", code="invalid_grant"),
    "nobody knows": GrantRefused("login.example.org refused: odd.", code="odd", hint="Check token-url."),
}


def an_account(grant: Grant, provider: str = "microsoft") -> Account:
    made = Account.of(
        preset(provider).in_cloud(),
        "alerts@example.org",
        grant,
        name="alerts",
        tenant="contoso.com",
        servers=["mail.example.org:587"],
        **({} if provider == "microsoft" else {"token_url": "https://login.example.org/token"}),
    )
    return made.examined_by(CHECK)


def fresh(error: PostbearerError) -> PostbearerError:
    """The same once more: hints are written into errors."""
    if isinstance(error, CredentialRefused):
        return CredentialRefused(error.message, reply=error.reply)
    assert isinstance(error, GrantRefused)
    return GrantRefused(error.message, code=error.code, hint=error.hint)


@pytest.mark.parametrize("what", list(ERRORS))
@pytest.mark.parametrize("grant", list(GRANTS))
def test_everybody_tells_the_same_cure(grant: str, what: str) -> None:
    account = an_account(GRANTS[grant])
    rules = account.smarthost.rules
    sent = fresh(ERRORS[what])
    advise(sent, rules)  # as `send` shows it
    ending = Policy(account, RetryPolicy(), lambda: 0.5).error(claimed(), sent, NOW)
    assert ending.stop is not None
    cures = {
        sent.hint,
        ending.stop.remedy,
        ending.fates[0].remedy,
        judge(fresh(ERRORS[what]), "any", rules).remedy,
    }
    assert len(cures) == 1, cures
    (cure,) = cures
    assert cure.endswith(CHECK)
    step = Step.AUTH if isinstance(sent, CredentialRefused) else Step.TOKEN
    found = Explainer(account, preset("microsoft").in_cloud(), account.ids).failed(step, fresh(ERRORS[what]))
    assert found.fix.removesuffix(f" Then: {CHECK}") == re.sub(rf"(; then| Then): {CHECK}$", "", cure)


@pytest.mark.parametrize("grant", list(GRANTS))
def test_only_who_signed_in_is_asked_to_sign_in_again(grant: str) -> None:
    remedy = judge(
        ERRORS["a refused token"], Phase.AUTH, an_account(GRANTS[grant], "smtp").smarthost.rules
    ).remedy
    person = grant in ("authorization-code", "device-code")
    assert ("ign in again: postbearer login alerts" in remedy) is person
    assert "<" not in remedy
    assert ("choose another grant" in remedy) is (grant == "static")


def test_no_blank_stays_where_the_reply_tells_what_stands_there() -> None:
    said = parse_reply(
        "554 5.2.252 SendAsDenied; alerts@example.org not allowed to send as ceo@example.org; "
        "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied"
    )
    rules = an_account(GRANTS["authorization-code"]).smarthost.rules
    remedy = judge(said, Phase.EOD, rules).remedy
    assert "Add-RecipientPermission -Identity ceo@example.org -Trustee alerts@example.org" in remedy


def test_what_a_server_says_is_no_part_of_a_command_unless_it_is_an_address() -> None:
    said = parse_reply("554 5.2.252 SendAsDenied; a not allowed to send as x@y;Remove-Mailbox -Identity z")
    remedy = judge(said, Phase.EOD, an_account(GRANTS["authorization-code"]).smarthost.rules).remedy
    assert "Remove-Mailbox" not in remedy


UNKNOWN = {"service principal", "mailbox limit", "size", "group"}  # what no configuration holds


def test_blanks_of_remedies_are_filled_in_for_every_rule() -> None:
    ids = an_account(GRANTS["client-credentials"]).ids
    for name in names():
        for rule in preset(name).rules:
            left = set(re.findall(r"<([A-Za-z ]+)>", ids.fill(rule.remedy)))
            assert left <= UNKNOWN, (rule.name, left)
            if rule.disposition is Disposition.HOLD:
                assert "<new credential>" not in ids.fill(rule.remedy)


def test_a_program_is_not_told_of_a_command_that_knows_nothing_of_it() -> None:
    account = Account.microsoft(
        "alerts@example.org", tenant="contoso.com", grant=GRANTS["client-credentials"]
    )
    remedy = judge(ERRORS["a wrong secret"], Phase.TOKEN, account.smarthost.rules).remedy
    assert remedy
    assert "postbearer check" not in remedy
