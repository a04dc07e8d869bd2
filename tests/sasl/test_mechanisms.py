"""Both halves of every mechanism, against published examples and against each other."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import LocalProtocolError, RemoteProtocolError, UsageError
from postbearer.sasl import (
    MECHANISMS,
    BearerCredential,
    ClaimedIdentity,
    Credential,
    ExternalCredential,
    PasswordCredential,
    negotiate,
    refusal,
    server_exchange,
)
from postbearer.secret import Secret

TOKEN = "ya29.CANARY-token_with~every+kind/of=="
PASSWORD = "canary pässword"


def bearer(
    username: str = "alerts@example.org", token: str = TOKEN, host: str = "", port: int = 0
) -> Credential:
    return BearerCredential(username, Secret(token), host, port)


CREDENTIALS: dict[str, Credential] = {
    "OAUTHBEARER": bearer(host="mail.example.org", port=587),
    "XOAUTH2": bearer(),
    "PLAIN": PasswordCredential("alerts", Secret(PASSWORD)),
    "LOGIN": PasswordCredential("alerts", Secret(PASSWORD)),
    "EXTERNAL": ExternalCredential(),
}


def claimed(mechanism: str, credential: Credential, *, two_step: bool = False) -> ClaimedIdentity:
    """What a server makes of a client's exchange, with the initial response in the AUTH line or after it."""
    client = negotiate([mechanism], credential, tls=True)
    server = server_exchange(mechanism)
    answer = server.step(None if two_step else client.initial)
    if two_step and client.initial is not None:
        assert answer == b""
        answer = server.step(client.initial)
    while not isinstance(answer, ClaimedIdentity):
        answer = server.step(client.respond(answer))
    return answer


def test_rfc_7628_example_is_produced_to_the_octet() -> None:
    example = (
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRx"
        "bVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    )
    credential = bearer(
        "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "server.example.com", 143
    )
    assert b64encode(negotiate(["OAUTHBEARER"], credential, tls=True).initial or b"").decode() == example


def test_google_example_is_produced_to_the_octet() -> None:
    example = (
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRH"
        "RXVZMjl0Q2cBAQ=="
    )
    credential = bearer("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
    assert b64encode(negotiate(["XOAUTH2"], credential, tls=True).initial or b"").decode() == example


@pytest.mark.parametrize("two_step", [False, True])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_the_client_says_is_what_the_server_understands(mechanism: str, two_step: bool) -> None:
    claim = claimed(mechanism, CREDENTIALS[mechanism], two_step=two_step)
    assert claim.mechanism == mechanism
    match CREDENTIALS[mechanism]:
        case BearerCredential(username, token, host, port):
            assert (claim.username, claim.token) == (username, token)
            assert (claim.host, claim.port) == (host, port)
        case PasswordCredential(username, password):
            assert (claim.username, claim.password) == (username, password)
        case ExternalCredential(authzid):
            assert claim.authzid == authzid


names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=80)
tokens = st.from_regex(r"[A-Za-z0-9\-._~+/]{1,3000}={0,2}", fullmatch=True)


@given(name=names, token=tokens)
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_any_name_and_any_token_come_through(mechanism: str, name: str, token: str) -> None:
    claim = claimed(mechanism, bearer(name, token))
    assert (claim.username, claim.token) == (name, Secret(token))


@given(
    name=names,
    password=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_any_name_and_any_password_come_through(mechanism: str, name: str, password: str) -> None:
    claim = claimed(mechanism, PasswordCredential(name, Secret(password)))
    assert (claim.username, claim.password) == (name, Secret(password))


def test_comma_and_equals_sign_are_escaped_in_the_gs2_header() -> None:
    client = negotiate(["OAUTHBEARER"], bearer("a=b,c"), tls=True)
    assert (client.initial or b"").startswith(b"n,a=a=3Db=2Cc,\x01auth=")


def test_oauthbearer_works_without_a_name() -> None:
    assert claimed("OAUTHBEARER", bearer("")).username == ""


def test_xoauth2_needs_a_name() -> None:
    with pytest.raises(LocalProtocolError, match="user name"):
        negotiate(["XOAUTH2"], bearer(""), tls=True)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a\rb",
        "a\nb",
        "a\x01b",
        "a b",
        "tökén",
        "a\x00b",
        "=",
        "a=b",
        "a" * (24 * 1024 + 1),
        "a" * 1_000_000,
    ],
    ids=lambda token: repr(token[:6]),
)
def test_a_token_that_is_none_is_refused_before_anything_else(token: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        bearer(token=token)
    assert not token or token not in str(caught.value)


def test_a_token_of_24_kib_is_taken() -> None:
    assert claimed("XOAUTH2", bearer(token="a" * 24 * 1024)).token is not None


@pytest.mark.parametrize(
    "name", ["a\r\nb", "a\x01auth=Bearer x", "a\0b", "a\x7fb", "a\u2028b", "a\ud800", "a" * 1025]
)
def test_a_name_that_could_say_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        bearer(name)
    with pytest.raises(LocalProtocolError):
        PasswordCredential(name, Secret("x"))
    with pytest.raises(LocalProtocolError):
        ExternalCredential(name)


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("a", ""), ("a", "x\0y")])
def test_a_password_that_plain_cannot_carry_is_refused(name: str, password: str) -> None:
    with pytest.raises(LocalProtocolError):
        PasswordCredential(name, Secret(password))


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("XOAUTH2", b""),
        ("XOAUTH2", b"user=a\x01auth=Bearer t\x01"),
        ("XOAUTH2", b"user=a\x01auth=Bearer t\x01\x01\x01"),
        ("XOAUTH2", b"user=a\x01auth=Bearer t\x01\x01\n"),
        ("XOAUTH2", b"user=\x01auth=Bearer t\x01\x01"),
        ("XOAUTH2", b"user=a\r\x01auth=Bearer t\x01\x01"),
        ("XOAUTH2", b"user=\xff\x01auth=Bearer t\x01\x01"),
        ("XOAUTH2", b"user=a\x01auth=Basic t\x01\x01"),
        ("XOAUTH2", b"user=a\x01auth=Bearer  t\x01\x01"),
        ("XOAUTH2", b"user=a\x01auth=Bearer \x01\x01"),
        ("OAUTHBEARER", b"n,a=a,\x01\x01"),
        ("OAUTHBEARER", b"p=tls-unique,a=a,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=a\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=a=b,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,a=a,\x01host=h\x01\x01"),
        ("OAUTHBEARER", b"n,a=a,\x01port=5x\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", "n,a=a,\x01port=٥\x01auth=Bearer t\x01\x01".encode()),
        ("OAUTHBEARER", b"n,a=a,\x01auth=Bearer t\x01auth=Bearer u\x01\x01"),
        ("OAUTHBEARER", b"n,a=a,\x01auth=Bearer t\x01"),
        ("OAUTHBEARER", b"n,a=a,\x01auth=Bearer t\x01\x01x"),
        ("PLAIN", b""),
        ("PLAIN", b"a\0b"),
        ("PLAIN", b"\0a\0"),
        ("PLAIN", b"\0\0p"),
        ("PLAIN", b"\0a\0p\0q"),
        ("PLAIN", b"\0a\x0ab\0p"),
        ("PLAIN", b"\0a\0\xff"),
        ("LOGIN", b""),
        ("LOGIN", b"a\0b"),
        ("EXTERNAL", b"a\0b"),
    ],
)
def test_a_server_takes_nothing_that_the_mechanism_does_not_allow(mechanism: str, response: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        server_exchange(mechanism).step(response)
    assert "Bearer t" not in str(caught.value)


@given(st.binary(max_size=200))
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_server_survives_any_octets(mechanism: str, response: bytes) -> None:
    with suppress(RemoteProtocolError):
        server_exchange(mechanism).step(response)


def test_a_client_may_ask_oauthbearer_for_the_error_challenge() -> None:
    claim = server_exchange("OAUTHBEARER").step(b"n,,\x01auth=\x01\x01")
    assert isinstance(claim, ClaimedIdentity)
    assert claim.token is None


def test_the_scheme_has_no_case() -> None:
    claim = server_exchange("XOAUTH2").step(b"user=a\x01auth=bEARER t\x01\x01")
    assert isinstance(claim, ClaimedIdentity)
    assert claim.token == Secret("t")


def test_plain_keeps_the_authorization_identity_apart() -> None:
    claim = server_exchange("plain").step(b"boss\0alerts\0p")
    assert isinstance(claim, ClaimedIdentity)
    assert (claim.authzid, claim.username) == ("boss", "alerts")


def test_a_client_may_cancel() -> None:
    server = server_exchange("LOGIN")
    assert server.step(None) == b"Username:"
    with pytest.raises(RemoteProtocolError, match="cancelled"):
        server.step(None)


def test_login_takes_the_user_name_as_initial_response() -> None:
    assert server_exchange("LOGIN").step(b"alerts") == b"Password:"


def test_an_unknown_mechanism_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="OAUTHBEARER, XOAUTH2, PLAIN"):
        server_exchange("CRAM-MD5")


def test_the_error_challenge_is_json_of_strings() -> None:
    challenge = refusal("OAUTHBEARER", scope="mail", configuration="https://login.example.org/x")
    assert json.loads(challenge or b"") == {
        "status": "invalid_token",
        "scope": "mail",
        "openid-configuration": "https://login.example.org/x",
    }
    assert json.loads(refusal("XOAUTH2", "400") or b"") == {"status": "400", "schemes": "Bearer"}
    assert refusal("PLAIN") is None


def test_nothing_secret_shows() -> None:
    secrets = (TOKEN, PASSWORD, b64encode(TOKEN.encode()).decode()[:20])
    for mechanism, credential in CREDENTIALS.items():
        client = negotiate([mechanism], credential, tls=True)
        shown = f"{credential!r} {credential} {client!r} {client} {claimed(mechanism, credential)!r}"
        assert not any(secret in shown for secret in secrets)


def test_examples_decode_as_expected() -> None:
    challenge = b64decode(
        "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24iOiJo"
        "dHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0="
    )  # RFC 7628 4.2
    client = negotiate(["OAUTHBEARER"], bearer(), tls=True)
    assert client.respond(challenge) == b"\x01"
    assert client.failure is not None
    assert client.failure.status == "invalid_token"
    assert client.failure.scope == "example_scope"
    assert client.failure.configuration == "https://example.com/.well-known/openid-configuration"
