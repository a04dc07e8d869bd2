"""Signing in in a browser (RFC 6749 4.1): what the page is asked, and what may come back."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from postbearer.errors import ConfigError, CredentialError, GrantRefused, TokenUnavailable, UsageError
from postbearer.http import HttpResponse
from postbearer.oauth import AuthorizationCode, CodeSignIn, Endpoint, GrantContext, loopback_port, with_port
from postbearer.secret import Secret
from postbearer.testing import ManualClock, Sandbox
from support.canary import assert_absent
from support.planted import told
from support.tokenserver import TokenServer, said

GRANT = AuthorizationCode(
    "relay",
    authentication="none",
    scopes=["mail", "offline_access"],
    user="alerts@example.org",
    authorize_url="https://login.example.org/authorize?tenant=7",
    parameters={"access_type": "offline"},
    issuer="https://login.example.org",
)
BACK = "http://127.0.0.1:8080"


def sign_in(clock: ManualClock, url: str = "https://login.example.org/token", **changes: Any) -> CodeSignIn:
    return CodeSignIn(replace(GRANT, **changes), Endpoint(url), clock, "alerts", BACK)


def asked(one: CodeSignIn) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(one.url).query).items()}


def redirect(one: CodeSignIn, **fields: str) -> Secret:
    return Secret(urlencode({"state": asked(one)["state"]} | fields))


def jwt(**claims: str) -> str:
    parts = ({"alg": "none"}, claims, {})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )


def test_the_page_is_asked_for_a_code_that_only_we_can_redeem(clock: ManualClock) -> None:
    one = sign_in(clock)
    fields = asked(one)
    assert one.url.startswith("https://login.example.org/authorize?tenant=7&")
    assert len(fields.pop("state")) >= 43
    assert len(fields.pop("code_challenge")) == 43
    assert fields == {
        "tenant": "7",
        "access_type": "offline",
        "response_type": "code",
        "client_id": "relay",
        "redirect_uri": BACK,
        "scope": "mail offline_access",
        "code_challenge_method": "S256",
        "login_hint": "alerts@example.org",
    }
    assert asked(sign_in(clock))["state"] != asked(one)["state"]


async def test_the_code_is_redeemed_with_the_verifier(server: TokenServer, clock: ManualClock) -> None:
    server.script.append(said(access_token="abc", expires_in=3600, refresh_token="r-1"))
    one = sign_in(clock, server.url)
    answer = await one.redeem(one.reader.code(redirect(one, code="c-1", iss="https://login.example.org")))
    assert (answer.access, answer.refresh) == (Secret("abc"), Secret("r-1"))
    form = dict(server.asked[0].form)
    digest = hashlib.sha256(form.pop("code_verifier").encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == asked(one)["code_challenge"]
    assert form == {
        "grant_type": "authorization_code",
        "client_id": "relay",
        "code": "c-1",
        "redirect_uri": BACK,
    }


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"state": "another", "code": "c"}, "wrong_state", "another state than this sign-in"),
        ({"state": "", "code": "c"}, "wrong_state", "no state of this sign-in"),
        ({"state": "", "error": "access_denied"}, "wrong_state", "no state"),
        ({"code": "c", "iss": "https://evil.example.org"}, "wrong_issuer", "https://evil.example.org"),
        ({"error": "access_denied"}, "access_denied", "agree to what the page asks"),
        (
            {"error": "access_denied", "error_description": "AADSTS65004: They\r\n\x1b[2Jsaid no."},
            "access_denied",
            "access_denied: AADSTS65004: They [2Jsaid no.",
        ),
        ({"error": "invalid_scope"}, "invalid_scope", "Check scopes."),
        ({}, "no_code", "brings no code"),
        ({"code": "é"}, "no_code", "brings no code"),
        ({"code": "x" * 9000}, "no_code", "brings no code"),
    ],
)
def test_what_is_wrong_with_a_redirect_is_named(
    clock: ManualClock, fields: dict[str, str], code: str, words: str
) -> None:
    one = sign_in(clock)
    with pytest.raises(GrantRefused) as caught:
        one.reader.code(redirect(one, **fields))
    assert caught.value.code == code
    assert words in str(caught.value)
    assert caught.value.hint
    assert asked(one)["state"] not in str(caught.value)


def test_a_server_that_always_says_who_it_is_must_say_it(clock: ManualClock) -> None:
    one = sign_in(clock, names_issuer=True)  # RFC 9207 2.4
    with pytest.raises(GrantRefused, match=r"does not say that it comes from https://login.example.org"):
        one.reader.code(redirect(one, code="c"))
    assert one.reader.code(redirect(one, code="c", iss="https://login.example.org")) == Secret("c")


def test_a_field_said_twice_is_refused(clock: ManualClock) -> None:
    one = sign_in(clock)
    with pytest.raises(GrantRefused, match="twice"):
        one.reader.code(Secret(redirect(one, code="a").reveal() + "&code=b"))


def test_more_fields_than_anybody_needs_are_no_redirect(clock: ManualClock) -> None:
    one = sign_in(clock)
    with pytest.raises(GrantRefused, match="no state"):
        one.reader.code(Secret(redirect(one, code="a").reveal() + "&x=y" * 100))


def test_a_page_that_is_down_may_be_tried_later(clock: ManualClock) -> None:
    one = sign_in(clock)
    with pytest.raises(TokenUnavailable, match="temporarily_unavailable"):
        one.reader.code(redirect(one, error="temporarily_unavailable"))


@pytest.mark.parametrize(
    "pasted",
    [
        f"{BACK}/?STATE&code=4%2Fabc",
        f"  {BACK}/?code=4%2Fabc&STATE#\n",
        "?code=4%2Fabc&STATE",
        "code=4/abc&STATE",
        "4/abc",
        " 4%2Fabc\n",
    ],
)
def test_a_person_may_paste_the_address_or_the_code(clock: ManualClock, pasted: str) -> None:
    one = sign_in(clock)
    text = pasted.replace("STATE", f"state={asked(one)['state']}")
    assert one.reader.pasted(Secret(text)) == Secret("4/abc")


@pytest.mark.parametrize(
    ("pasted", "code"),
    [
        (f"{BACK}/?code=abc&state=another", "wrong_state"),
        (f"{BACK}/?code=abc", "wrong_state"),
        ("https://login.example.org/", "no_code"),
        ("", "no_code"),
        ("ünïcode", "no_code"),
        ("http://[::1?code=abc", "no_code"),
    ],
)
def test_what_was_pasted_wrongly_is_named(clock: ManualClock, pasted: str, code: str) -> None:
    with pytest.raises(GrantRefused) as caught:
        sign_in(clock).reader.pasted(Secret(pasted))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({}, "no_refresh_token", "offline_access"),
        ({"refresh_token": "r", "id_token": jwt(email="me@example.org")}, "other_user", "me@example.org has"),
        ({"refresh_token": "r", "access_token": jwt(upn="me@example.org")}, "other_user", "token-user ="),
        ({"error": "invalid_grant"}, "invalid_grant", "Begin again"),
        ({"error": "invalid_client", "error_description": "c-1 is ***"}, "invalid_client", "*** is ***"),
    ],
)
async def test_a_sign_in_that_must_not_be_kept_is_named(
    server: TokenServer, clock: ManualClock, answer: dict[str, str], code: str, words: str
) -> None:
    server.script.append(said(400 if "error" in answer else 200, **{"access_token": "abc", **answer}))
    with pytest.raises(GrantRefused) as caught:
        await sign_in(clock, server.url).redeem(Secret("c-1"))
    assert caught.value.code == code
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "claims",
    [
        {"upn": "a123@example.org", "email": "Alerts@Example.org"},
        {"preferred_username": "ALERTS@EXAMPLE.ORG"},
        {"preferred_username": "alerts"},  # no address, so it says nothing
        {"sub": "42"},
    ],
)
async def test_the_right_person_is_known_by_any_name(
    server: TokenServer, clock: ManualClock, claims: dict[str, str]
) -> None:
    server.script.append(said(access_token="abc", refresh_token="r", id_token=jwt(**claims)))
    assert await sign_in(clock, server.url).redeem(Secret("c-1"))


@pytest.mark.parametrize("act", ["code", "pasted", "redeem"])
async def test_no_error_holds_the_code(server: TokenServer, clock: ManualClock, act: str) -> None:
    server.script.append(said(400, error="invalid_grant", error_description="canary-of-the-code is used"))
    one = sign_in(clock, server.url)
    query = Secret("state=another&code=canary-of-the-code")
    acts = {
        "code": lambda: one.reader.code(query),
        "pasted": lambda: one.reader.pasted(Secret(f"{BACK}/?{query.reveal()}")),
    }
    with pytest.raises(GrantRefused) as caught:
        await one.redeem(Secret("canary-of-the-code")) if act == "redeem" else acts[act]()
    shown = told(caught.value)
    assert_absent("canary-of-the-code", shown)
    assert_absent(one._verifier.reveal(), shown)


def test_a_page_that_nobody_should_see_is_refused(clock: ManualClock) -> None:
    with pytest.raises(ConfigError, match="authorize-url"):
        sign_in(clock, authorize_url="")
    with pytest.raises(UsageError, match="not safe"):
        sign_in(clock, authorize_url="http://login.example.org/authorize")


@pytest.mark.parametrize(
    ("uri", "port"),
    [
        ("http://127.0.0.1", 0),
        ("http://localhost:8080/back", 8080),
        ("http://[::1]", 0),
        ("https://127.0.0.1", None),
        ("urn:ietf:wg:oauth:2.0:oob", None),
    ],
)
def test_which_redirects_come_to_this_machine(uri: str, port: int | None) -> None:
    assert loopback_port(uri) == port


@pytest.mark.parametrize(
    "uri",
    ["", "127.0.0.1", "http://relay.example.org/", "https://a/#x", "http://[::1", "http://h:x", "a b:c"],
)
def test_redirects_that_no_code_is_sent_to(uri: str) -> None:
    with pytest.raises(ConfigError, match="redirect-uri"):
        loopback_port(uri)


def test_only_the_port_of_a_redirect_differs() -> None:
    assert with_port("http://localhost", 7) == "http://localhost:7"
    assert with_port("http://[::1]:1/back?a=b", 7) == "http://[::1]:7/back?a=b"


def test_a_sign_in_that_has_ended_names_the_command() -> None:
    context = GrantContext("https://login.example.org/token", "alerts", refresh_token=Secret("r-1"), now=0.0)
    exchange = GRANT.request(context)
    next(exchange)
    with pytest.raises(CredentialError) as caught:
        exchange.send(HttpResponse(400, body=b'{"error": "invalid_grant"}'))
    assert caught.value.hint == "Run: postbearer login alerts"


@pytest.mark.parametrize("provider", ["generic", "microsoft", "google"])
async def test_the_sandbox_takes_it(provider: str, clock: ManualClock) -> None:
    async with Sandbox(provider) as sandbox:
        grant = AuthorizationCode(
            "sandbox-app",
            authentication="none",
            scopes=[sandbox.personality.scopes[0], "openid"],
            user="alerts@example.org",
            authorize_url=f"{sandbox.url}/authorize",
            issuer=sandbox.url,
        )
        one = CodeSignIn(grant, Endpoint(sandbox.token_url), clock, "alerts", BACK)
        pending = sandbox.authorization.begin(asked(one))
        back = sandbox.authorization.approve(pending, "alerts@example.org", asked(one)["state"])
        answer = await one.redeem(one.reader.pasted(Secret(back)))
        assert answer.refresh
        assert answer.identity

        pending = sandbox.authorization.begin(asked(one))
        back = sandbox.authorization.decline(pending, asked(one)["state"])
        with pytest.raises(GrantRefused, match="person declined"):
            one.reader.pasted(Secret(back))
