"""Each grant's request, and what may be given as a secret."""

from __future__ import annotations

import base64
from collections.abc import Generator
from typing import Any

import pytest

from postbearer.errors import GrantRefused, SecretError, UsageError
from postbearer.http import HttpResponse
from postbearer.oauth import (
    CachedSource,
    ClientCredentials,
    CommandToken,
    Endpoint,
    GrantContext,
    Password,
    RefreshToken,
    StaticToken,
    TokenAnswer,
    TokenRequest,
    resolved,
)
from postbearer.secret import GivenSecret, Secret, SecretSource

URL = "https://login.example.org/token"
GRANTED = HttpResponse(200, {}, b'{"access_token": "abc", "token_type": "Bearer", "expires_in": 60}')


def context(**secrets: str) -> GrantContext:
    return GrantContext(URL, "alerts", {name: Secret(value) for name, value in secrets.items()}, now=0.0)


async def test_a_secret_with_something_below_it_is_refused_before_anybody_is_asked() -> None:
    grant = ClientCredentials("shop", GivenSecret(Secret("canary\nuser: shop"), "command:pass show shop"))
    with pytest.raises(SecretError, match="client-secret has more than one line") as caught:
        await CachedSource(grant, Endpoint(URL), account="alerts").token()
    assert "head -1" in caught.value.hint
    assert "canary" not in str(caught.value)


def request_of(exchange: Generator[TokenRequest, HttpResponse, TokenAnswer]) -> dict[str, str]:
    """What goes out, in the open; the exchange must then end with a token."""
    request = next(exchange)
    with pytest.raises(StopIteration) as done:
        exchange.send(GRANTED)
    assert done.value.value.access == Secret("abc")
    assert (request.method, request.url) == ("POST", URL)
    sent = {**request.form, **request.headers}
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in sent.items()}


def test_client_credentials_in_the_body() -> None:
    grant = ClientCredentials("relay", "env:X", scopes=["smtp.send", "more"], extra={"audience": "mail"})
    assert request_of(grant.request(context(client_secret="s"))) == {
        "grant_type": "client_credentials",
        "client_id": "relay",
        "client_secret": "s",
        "scope": "smtp.send more",
        "audience": "mail",
    }


def test_client_credentials_by_basic_are_form_encoded_first() -> None:
    grant = ClientCredentials("re:lay", "env:X", authentication="basic")
    sent = request_of(grant.request(context(client_secret="p&s ü%")))
    assert "client_secret" not in sent
    assert "client_id" not in sent
    assert base64.b64decode(sent["Authorization"].removeprefix("Basic ")) == b"re%3Alay:p%26s+%C3%BC%25"


def test_a_public_client_sends_no_secret() -> None:
    grant = ClientCredentials("relay", authentication="none")
    assert request_of(grant.request(context())) == {"grant_type": "client_credentials", "client_id": "relay"}


def test_o10_no_scope_is_added_in_silence() -> None:
    assert "scope" not in request_of(ClientCredentials("relay", "env:X").request(context(client_secret="s")))


def test_password() -> None:
    grant = Password("relay", "alerts@example.org", "env:P", scopes=["mail"])
    assert request_of(grant.request(context(password="p"))) == {
        "grant_type": "password",
        "username": "alerts@example.org",
        "password": "p",
        "client_id": "relay",
        "scope": "mail",
    }


def test_refresh_token_prefers_the_kept_one() -> None:
    grant = RefreshToken("relay", "env:R")
    given = context(refresh_token="configured")
    assert request_of(grant.request(given))["refresh_token"] == "configured"
    kept = GrantContext(URL, "alerts", given.secrets, refresh_token=Secret("kept"), now=0.0)
    assert request_of(grant.request(kept)) == {
        "grant_type": "refresh_token",
        "refresh_token": "kept",
        "client_id": "relay",
    }


def test_without_a_refresh_token_the_error_says_how_to_sign_in() -> None:
    with pytest.raises(GrantRefused) as caught:
        RefreshToken("relay").request(context())
    assert caught.value.hint == "Sign in, and name the refresh token in the configuration."


def result_of(exchange: Generator[Any, Any, TokenAnswer]) -> TokenAnswer:
    with pytest.raises(StopIteration) as done:
        next(exchange)
    answer: TokenAnswer = done.value.value
    return answer


def test_static() -> None:
    answer = result_of(StaticToken(Secret("abc")).request(context(token="abc")))
    assert (answer.access, answer.lifetime) == (Secret("abc"), 300.0)


@pytest.mark.parametrize(
    ("printed", "lifetime"),
    [
        ("abc", 300.0),
        ("abc\n", 300.0),
        ('{"access_token": "abc"}', 300.0),
        ('{"access_token": "abc", "expires_in": "90"}\n', 90.0),
    ],
)
def test_command_prints_a_token_or_json(printed: str, lifetime: float) -> None:
    answer = result_of(CommandToken("x").request(context(command=printed)))
    assert (answer.access, answer.lifetime) == (Secret("abc"), lifetime)


@pytest.mark.parametrize(
    "printed", ["two words", "", "{", "{}", '{"access_token": 5}', "a\x01b", "{" * 60_000]
)
def test_o5_command_prints_nonsense(printed: str) -> None:
    with pytest.raises(GrantRefused, match="command") as caught:
        next(CommandToken("x").request(context(command=printed)))
    assert caught.value.configuration


def test_references_are_resolved_by_whoever_knows_the_stores() -> None:
    asked: list[str] = []

    def resolve(reference: str) -> SecretSource:
        asked.append(reference)
        return GivenSecret(Secret("s"), reference)

    grant = resolved(Password("relay", "me", "env:P", client_secret=Secret("direct")), resolve)
    assert asked == ["env:P"]
    assert grant.sources()["password"].reference == "env:P"
    assert set(grant.sources()) == {"password", "client_secret"}
    assert resolved(grant, resolve) == grant
    assert resolved(CommandToken(["get-token", "--for", "a b"]), resolve).sources()
    assert resolved(CommandToken("get-token -x"), resolve).sources()
    assert asked == ["env:P", "command:get-token --for 'a b'", "command:get-token -x"]


def test_an_unresolved_reference_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match="client-secret"):
        ClientCredentials("relay", "env:X").sources()


def test_o9_a_secret_written_where_a_reference_belongs_is_not_shown() -> None:
    assert "canary" not in repr(ClientCredentials("relay", "canary"))
    assert "canary" not in repr(Password("relay", "me", "canary", client_secret="canary"))
    assert "canary" not in repr(RefreshToken("relay", "canary"))
    assert "canary" not in repr(StaticToken("canary"))
