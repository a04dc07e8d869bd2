"""Which mechanism is chosen, and how an exchange goes on when the server says no."""

from __future__ import annotations

from base64 import b64encode

import pytest

from postbearer.errors import LocalProtocolError, MechanismMissing, RemoteProtocolError
from postbearer.sasl import (
    BearerCredential,
    ClientExchange,
    Credential,
    ExternalCredential,
    PasswordCredential,
    negotiate,
)
from postbearer.secret import Secret

BEARER = BearerCredential("alerts@example.org", Secret("CANARY.token"))
PASSWORD = PasswordCredential("alerts", Secret("CANARY password"))
EXTERNAL = ExternalCredential()
GMAIL = ["LOGIN", "PLAIN", "XOAUTH2", "PLAIN-CLIENTTOKEN", "OAUTHBEARER", "XOAUTH"]
MICROSOFT = ["LOGIN", "XOAUTH2"]


@pytest.mark.parametrize(
    ("credential", "offered", "chosen"),
    [
        (BEARER, GMAIL, "OAUTHBEARER"),
        (BEARER, MICROSOFT, "XOAUTH2"),
        (BEARER, ["xoauth2"], "XOAUTH2"),
        (PASSWORD, GMAIL, "PLAIN"),
        (PASSWORD, MICROSOFT, "LOGIN"),
        (EXTERNAL, ["EXTERNAL", "PLAIN"], "EXTERNAL"),
    ],
)
def test_the_best_that_is_offered_is_chosen(credential: Credential, offered: list[str], chosen: str) -> None:
    assert negotiate(offered, credential, tls=True).mechanism == chosen


def test_a_preference_binds() -> None:
    assert negotiate(GMAIL, BEARER, tls=True, prefer="xoauth2").mechanism == "XOAUTH2"
    with pytest.raises(MechanismMissing, match="OAUTHBEARER"):
        negotiate(MICROSOFT, BEARER, tls=True, prefer="oauthbearer")


@pytest.mark.parametrize("offered", [["LOGIN", "PLAIN"], [], ["XOAUTH"], ["EXTERNAL"]])
def test_a_token_never_goes_by_a_password_mechanism(offered: list[str]) -> None:
    with pytest.raises(MechanismMissing) as caught:
        negotiate(offered, BEARER, tls=True)
    assert caught.value.offered == tuple(offered)
    assert (", ".join(offered) or "no authentication at all") in str(caught.value)
    assert "switched on" in caught.value.hint


def test_an_ehlo_list_that_would_clutter_the_terminal_is_left_out() -> None:
    with pytest.raises(MechanismMissing) as caught:
        negotiate(["PLAIN", "\x1b[31mRED", "A" * 500], BEARER, tls=True)
    assert caught.value.offered == ("PLAIN",)


@pytest.mark.parametrize("credential", [BEARER, PASSWORD, EXTERNAL])
def test_nothing_goes_without_tls(credential: Credential) -> None:
    with pytest.raises(LocalProtocolError, match="verified TLS"):
        negotiate([*GMAIL, "EXTERNAL"], credential, tls=False)


def test_only_a_password_may_go_in_clear_when_asked_for() -> None:
    assert negotiate(GMAIL, PASSWORD, tls=False, allow_clear=True).mechanism == "PLAIN"
    with pytest.raises(LocalProtocolError):
        negotiate(GMAIL, BEARER, tls=False, allow_clear=True)


def begun(mechanism: str) -> ClientExchange:
    return negotiate([mechanism], BEARER, tls=True)


@pytest.mark.parametrize(("mechanism", "owed"), [("XOAUTH2", b""), ("OAUTHBEARER", b"\x01")])
class TestErrorChallenge:
    def test_is_answered_and_kept(self, mechanism: str, owed: bytes) -> None:
        client = begun(mechanism)
        google = b'{"status":"401","schemes":"bearer mac","scope":"https://mail.google.com/"}\n'
        assert client.respond(google) == owed
        assert client.failure is not None
        assert client.failure.status == "401"
        assert client.failure.scope == "https://mail.google.com/"

    @pytest.mark.parametrize(
        "challenge",
        [
            b"",
            b"not json",
            b"[1]",
            b"\xff\xfe",
            b"[" * 60_000,
            b'{"status":' + b"9" * 5000 + b"}",
            b'{"status":"' + b"x" * 1_000_000 + b'"}',
            b'{"status":{"a":["\\u001b[31m"]}}',
            b'{"status":"\\ud800"}',
        ],
        ids=lambda challenge: repr(challenge[:12]),
    )
    def test_may_be_anything(self, mechanism: str, owed: bytes, challenge: bytes) -> None:
        client = begun(mechanism)
        assert client.respond(challenge) == owed
        assert client.failure is not None
        assert len(repr(client.failure)) < 10_000
        assert "\x1b" not in repr(client.failure) + client.failure.text + client.failure.status

    def test_that_echoes_our_token_does_not_keep_it(self, mechanism: str, owed: bytes) -> None:
        client = begun(mechanism)
        client.respond(b'{"status":"bad CANARY.token","scope":"' + b64encode(client.initial or b"") + b'"}')
        shown = repr(client.failure)
        assert "CANARY" not in shown
        assert b64encode(client.initial or b"").decode() not in shown

    def test_for_ever_is_cancelled_and_then_an_error(self, mechanism: str, owed: bytes) -> None:
        client = begun(mechanism)
        assert client.respond(b"{}") == owed
        assert client.respond(b"{}") is None
        with pytest.raises(RemoteProtocolError, match="cancelled"):
            client.respond(b"{}")


def test_login_without_initial_response_answers_any_prompts_in_order() -> None:
    client = negotiate(["LOGIN"], PASSWORD, tls=True)
    assert client.initial is None
    assert client.respond(b"User Name\0") == b"alerts"
    assert client.respond(b"Password\0") == b"CANARY password"
    assert client.respond(b"Once more:") is None


def test_an_empty_initial_response_is_not_none() -> None:
    assert negotiate(["EXTERNAL"], EXTERNAL, tls=True).initial == b""
