"""Secrets and tokens: what keeps a grant from working, and what a token that came tells."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from postbearer.diagnosis import Failure, Step
from postbearer.oauth import ClientCredentials, CommandToken, Password, RefreshToken, StaticToken
from postbearer.secret import Secret
from postbearer.secrets import source
from postbearer.state import StateFolder
from postbearer.testing import Faults, Sandbox, TokenFault
from support.canary import assert_absent
from support.examining import CLIENT, SECRET, Report, an_account, examine, jwt
from support.tokenserver import Answer, TokenServer, said

EXCHANGE = "https://outlook.office365.com"
GRAPH = "00000003-0000-0000-c000-000000000000"
DELEGATED = ("https://outlook.office.com/SMTP.Send", "offline_access")
SERVICE = "99999999-8888-7777-6666-555555555555"


def answer(token: str, **fields: object) -> Answer:
    return said(access_token=token, token_type="Bearer", **{"expires_in": 3600, **fields})


async def examine_token(
    tokens: TokenServer, token: str, *, provider: str = "microsoft", grant: Any = None, **options: Any
) -> Report:
    """The account's servers are closed; the token step does not mind."""
    tokens.script.append(answer(token))
    return await examine(an_account(provider=provider, grant=grant, token_url=tokens.url, **options))


# Secrets --------------------------------------------------------------------------------------


async def test_a_secret_that_cannot_be_read(tmp_path: Path) -> None:
    grant = ClientCredentials(CLIENT, source(f"file:{tmp_path}/secret"))
    report = await examine(an_account(grant=grant))
    failed = report["secret"]
    assert (failed.ok, failed.failure) == (False, Failure.CONFIGURATION)
    assert failed.text == f"client-secret: {tmp_path}/secret cannot be read: No such file or directory."
    assert failed.cause == ""  # the text says it all
    assert failed.fix == "It must exist and be readable by the user that sends mail."
    assert report["token"].text == "not done: a secret cannot be read"
    assert report["AUTH"].ok is None


async def test_each_secret_is_named_and_none_is_shown(generic: Sandbox) -> None:
    password = generic.users["alerts@example.org"]
    grant = Password(
        "sandbox-app", "alerts@example.org", Secret(password), client_secret=Secret(generic.client_secret)
    )
    report = await examine(an_account(grant=grant, token_url=generic.token_url))
    assert [finding.details["key"] for finding in report.all("secret")] == ["password", "client-secret"]
    assert report["token"].ok is True
    assert "hands the mailbox password to the application" in report["configuration"].notes[0]
    assert_absent(password, str(report))
    assert_absent(generic.client_secret, str(report))


async def test_the_arguments_of_a_command_and_a_sealed_value_are_not_shown(tokens: TokenServer) -> None:
    grant = ClientCredentials(CLIENT, source("command:echo canary-argument-0123"))
    report = await examine(an_account(grant=grant, token_url=tokens.url))
    assert report["secret"].text == "client-secret: command:echo … can be read"
    assert_absent("canary-argument-0123", str(report))


async def test_a_secret_with_a_blank_at_its_end_and_one_that_is_an_id(tokens: TokenServer) -> None:
    grant = ClientCredentials(CLIENT, Secret("5f3c1a52-6a43-4d0b-9d7d-0123456789ab "))
    report = await examine(an_account(provider="microsoft", grant=grant, token_url=tokens.url))
    assert report["secret"].notes == (
        "client-secret begins or ends with white space, which is sent as a part of it.",
        "client-secret looks like the Secret ID; what is needed is the secret's Value.",
    )


async def test_a_public_client_needs_none(tokens: TokenServer) -> None:
    grant = ClientCredentials(CLIENT, authentication="none")
    report = await examine(an_account(grant=grant, token_url=tokens.url))
    assert report["secret"].text == "none is needed"


# A grant that does not work -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (TokenFault(kind="down"), "127.0.0.1 answered HTTP 503: Service Unavailable."),
        (TokenFault(kind="throttled"), "127.0.0.1 answered HTTP 429: Too Many Requests."),
        (TokenFault(kind="not-json"), "a proxy or captive portal may stand in between"),
    ],
)
async def test_an_endpoint_that_is_not_well(microsoft: Sandbox, fault: TokenFault, text: str) -> None:
    microsoft.set_faults(Faults(token=[fault]))
    report = await examine(microsoft.account())
    failed = report.failed()
    assert (failed.step, failed.failure) == (Step.TOKEN, Failure.TRANSIENT)
    assert text in failed.text
    assert failed.cause
    assert report["AUTH"].text == "not done: there is no token for it"


async def test_an_endpoint_that_is_not_there() -> None:
    failed = (await examine(an_account())).all("token")[0]
    assert failed.failure is Failure.TRANSIENT
    assert "No token for alerts: 127.0.0.1:1" in failed.text
    assert failed.cause.startswith("The token endpoint cannot be reached")
    assert failed.fix.startswith("Check token-url, and whether a proxy")


async def test_an_endpoint_that_speaks_no_tls(microsoft: Sandbox) -> None:
    url = microsoft.token_url.replace("http:", "https:")
    failed = (await examine(an_account(token_url=url))).all("token")[0]
    assert failed.cause.startswith("The token endpoint cannot be reached")
    assert failed.fix.startswith("Nobody speaks TLS there")
    assert failed.who == "host operator"


async def test_a_wrong_client_secret(microsoft: Sandbox) -> None:
    grant = ClientCredentials("sandbox-app", Secret(SECRET))
    report = await examine(an_account(provider="microsoft", grant=grant, token_url=microsoft.token_url))
    failed = report["token"]
    assert failed.failure is Failure.CONFIGURATION
    assert "AADSTS7000215" in failed.text
    assert failed.cause == "The client secret is wrong; often its id was taken for its value."
    assert failed.fix.startswith("Paste the secret's Value, not its Secret ID")
    assert failed.who == "app owner"
    assert failed.details["code"] == "invalid_client"


async def test_a_sign_in_that_was_revoked(microsoft: Sandbox) -> None:
    grant = RefreshToken("sandbox-app", Secret(microsoft.sign_in()))
    microsoft.set_faults(Faults(revoked=True))
    report = await examine(an_account(provider="microsoft", grant=grant, token_url=microsoft.token_url))
    failed = report["token"]
    assert failed.failure is Failure.REFUSED
    assert "AADSTS700082" in failed.text
    assert "Sign in again" in failed.fix
    assert failed.who == "mailbox user"


async def test_a_kept_token_does_not_hide_a_secret_that_is_wrong_now(
    generic: Sandbox, tmp_path: Path
) -> None:
    state = StateFolder(tmp_path)
    assert (await examine(generic.account(), state=state))["token"].ok is True
    kept = await asyncio.to_thread(Path(state.token("sandbox")).read_bytes)
    generic.authorization._clients["sandbox-app"] = "another secret since"
    assert (await examine(generic.account(), state=state))["token"].ok is False
    assert (
        await asyncio.to_thread(Path(state.token("sandbox")).read_bytes) == kept
    )  # mail goes on while it lives


async def test_a_rotated_refresh_token_is_kept(generic: Sandbox, tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    grant = RefreshToken("sandbox-app", Secret(generic.sign_in()), scopes=("smtp.send",))
    account = an_account(grant=grant, token_url=generic.token_url)
    for _ in range(3):  # reuse of an old one would revoke them all
        assert (await examine(account, state=state))["token"].ok is True


async def test_a_state_folder_of_somebody_else(generic: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    report = await examine(generic.account(), state=StateFolder(tmp_path / "state"))
    assert (report.failed().step, report.failed().failure) == (Step.TOKEN, Failure.CONFIGURATION)
    assert "may be written by others" in report.failed().text
    assert report.failed().fix.startswith("Run: chmod go-w")


# A token that came ----------------------------------------------------------------------------


async def test_claims_are_told(tokens: TokenServer) -> None:
    token = jwt(aud=EXCHANGE, roles=["SMTP.SendAsApp"], tid="t-1", appid=CLIENT, oid=SERVICE)
    found = (await examine_token(tokens, token))["token"]
    assert found.text == (
        "got by client-credentials, good for 3600 s; for https://outlook.office365.com; "
        f"roles SMTP.SendAsApp; app {CLIENT}; tenant t-1"
    )
    assert found.notes == ()
    assert found.details["claims"] == {
        "audience": [EXCHANGE],
        "roles": ["SMTP.SendAsApp"],
        "tenant": "t-1",
        "app": CLIENT,
        "object_id": SERVICE,
    }


@pytest.mark.parametrize("audience", [GRAPH, "https://graph.microsoft.com", "https://graph.microsoft.com/"])
async def test_a_token_for_graph(tokens: TokenServer, audience: str) -> None:
    failed = (await examine_token(tokens, jwt(aud=audience, roles=["Mail.Send"])))["token"]
    assert (failed.ok, failed.failure) == (False, Failure.CONFIGURATION)
    assert failed.text == f"the token is for Microsoft Graph ({audience})"
    assert failed.cause.startswith("The token is for another resource")
    assert failed.fix.endswith(f'Set scopes = ["{EXCHANGE}/.default"], or leave the key out.')
    assert failed.who == "app owner"


async def test_a_token_for_graph_is_shown_to_no_mail_server(microsoft: Sandbox, tokens: TokenServer) -> None:
    tokens.script.append(answer(jwt(aud=GRAPH)))
    account = an_account(
        str(microsoft.account().smarthost.servers[0]),
        provider="microsoft",
        token_url=tokens.url,
        ca_file=str(microsoft.folder / "ca.pem"),
    )
    report = await examine(account)
    assert report["EHLO"].ok is True
    assert report["AUTH"].text == "not done: there is no token for it"


async def test_an_audience_nobody_knows_is_noted(tokens: TokenServer) -> None:
    found = (await examine_token(tokens, jwt(aud="api://else", roles=["SMTP.SendAsApp"])))["token"]
    assert found.ok is True
    assert found.notes[0].startswith("Its audience is api://else; Microsoft 365 takes tokens for ")
    plain = (await examine_token(tokens, jwt(aud=GRAPH), provider="smtp"))["token"]
    assert plain.notes == (f"Its audience is Microsoft Graph ({GRAPH}), which is no mail server.",)


async def test_exchange_under_its_id(tokens: TokenServer) -> None:
    token = jwt(aud="00000002-0000-0ff1-ce00-000000000000", roles=["SMTP.SendAsApp"])
    found = (await examine_token(tokens, token))["token"]
    assert "for Exchange Online (00000002-" in found.text
    assert found.notes == ()


async def test_a_narrower_scope_than_asked(tokens: TokenServer) -> None:
    grant = RefreshToken(CLIENT, Secret("canary-refresh-token-0123456789"), scopes=DELEGATED)
    token = jwt(aud="https://outlook.office.com", scp="User.Read", upn="alerts@example.org")
    failed = (await examine_token(tokens, token, grant=grant))["token"]
    assert (failed.ok, failed.failure) == (False, Failure.REFUSED)
    assert failed.text == f"the token was given without the scope {DELEGATED[0]}"
    assert failed.fix.startswith("Sign in again")
    good = jwt(aud="https://outlook.office.com", scp="SMTP.Send", upn="alerts@example.org")
    assert (await examine_token(tokens, good, grant=grant))["token"].ok is True


async def test_a_narrower_scope_at_a_server_without_preset(tokens: TokenServer) -> None:
    grant = ClientCredentials(CLIENT, Secret(SECRET), scopes=("smtp.send", "mail"))
    tokens.script.append(answer("opaque", scope="mail"))
    found = (await examine(an_account(grant=grant, token_url=tokens.url)))["token"]
    assert found.ok is True
    assert found.text.endswith("; opaque: what it allows, only the servers know")


async def test_a_scope_that_a_jwt_does_not_have(tokens: TokenServer) -> None:
    grant = ClientCredentials(CLIENT, Secret(SECRET), scopes=("smtp.send", "mail"))
    found = (await examine_token(tokens, jwt(scope="mail"), provider="smtp", grant=grant))["token"]
    assert found.notes == ("It was given without the scope smtp.send that was asked for.",)


async def test_somebody_elses_token(tokens: TokenServer) -> None:
    grant = RefreshToken(CLIENT, Secret("canary-refresh-token-0123456789"), scopes=DELEGATED)
    token = jwt(aud="https://outlook.office.com", scp="SMTP.Send", upn="bob@example.org", appid="other")
    found = (await examine_token(tokens, token, grant=grant))["token"]
    assert found.notes == (
        "It is bob@example.org's, and the login is alerts@example.org: that works only if "
        "alerts@example.org is a mailbox that bob@example.org may open.",
        f"It was given to the app other, not to {CLIENT}.",
    )


async def test_a_role_that_is_missing(tokens: TokenServer) -> None:
    tokens.script.append(answer(jwt(aud=EXCHANGE)))
    account = an_account(provider="microsoft", token_url=tokens.url)
    found = (await examine(account, tenant="contoso.example.org"))["token"]
    assert found.notes[0].startswith("It does not have the role SMTP.SendAsApp.")
    assert found.notes[0].endswith(
        "grant admin consent. https://login.microsoftonline.com/contoso.example.org/adminconsent"
        f"?client_id={CLIENT}"
    )


async def test_a_tenant_and_an_app_that_are_others(tokens: TokenServer) -> None:
    tokens.script.append(answer(jwt(aud=EXCHANGE, roles=["SMTP.SendAsApp"], tid=SERVICE)))
    account = an_account(provider="microsoft", token_url=tokens.url)
    found = (await examine(account, tenant=CLIENT))["token"]
    assert found.notes == (f"It comes from the tenant {SERVICE}, not from {CLIENT}.",)


async def test_consent_that_is_missing(tokens: TokenServer) -> None:
    said_so = "AADSTS65001: The user or administrator has not consented to use the application."
    tokens.script.append(said(400, error="invalid_grant", error_description=said_so))
    account = an_account(provider="microsoft", token_url=tokens.url)
    failed = (await examine(account, tenant="example.org"))["token"]
    assert failed.failure is Failure.REFUSED
    assert failed.fix == "Grant consent for the app in Entra, under API permissions."
    assert [command.line for command in failed.commands] == [
        f"https://login.microsoftonline.com/example.org/adminconsent?client_id={CLIENT}"
    ]


async def test_a_clock_that_is_behind_and_a_token_bound_to_a_key(tokens: TokenServer) -> None:
    token = jwt(iat=time.time() + 600, cnf={"jkt": "x"})
    notes = (await examine_token(tokens, token, provider="smtp"))["token"].notes
    assert "the clock of this machine may be behind" in notes[0]
    assert notes[1].startswith("The token is bound to a key or certificate")


async def test_lifetimes(tokens: TokenServer) -> None:
    report = await examine_token(tokens, "opaque", provider="smtp", maximum_token_lifetime=1.0)
    assert "setting for tests" in report["configuration"].notes[0]
    assert report["token"].text.startswith("got by client-credentials, good for 1 s")
    assert report["token"].notes == ()
    tokens.script.append(answer("opaque", expires_in=30))
    report = await examine(an_account(token_url=tokens.url))
    assert report["token"].notes == (
        "It lives no longer than the refresh margin of 60 s, so it is renewed after half of its life.",
    )


async def test_static_and_command() -> None:
    report = await examine(an_account(grant=StaticToken(Secret("canary-static-token-0123"))))
    assert report["configuration"].notes == (
        "grant = static is for tests and troubleshooting only: nothing renews the token.",
    )
    assert report["token"].text.startswith("got by static")
    assert_absent("canary-static-token-0123", str(report))
    report = await examine(an_account(grant=CommandToken(source("command:echo canary-printed-token-0123"))))
    assert report["secret"].text == "none is needed"
    assert report["token"].text.startswith("got by command")
    assert_absent("canary-printed-token-0123", str(report))


async def test_claims_that_repeat_our_secret(tokens: TokenServer) -> None:
    token = jwt(aud=[SECRET, EXCHANGE], upn=f"{SECRET}@example.org", iss=SECRET)
    report = await examine_token(tokens, token, provider="smtp")
    assert "***@example.org" in report["token"].text
    assert_absent(SECRET, str(report))
    assert_absent(token, str(report))
