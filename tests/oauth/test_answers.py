"""What the answers of a token endpoint mean."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from postbearer.errors import GrantRefused, TokenUnavailable
from postbearer.http import HttpResponse
from postbearer.oauth import TokenAnswer, read_answer
from postbearer.secret import Secret
from support.canary import assert_absent

URL = "https://login.example.org/token"
NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


def read(status: int, body: object, headers: dict[str, str] | None = None, secret: str = "") -> TokenAnswer:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse(status, headers or {}, octets)
    return read_answer(response, URL, account="alerts", secrets=[Secret(secret)], now=NOW)


def granted(**changes: object) -> dict[str, object]:
    return {"access_token": "ya29.a-b_c~d+e/f==", "token_type": "Bearer", "expires_in": 3600, **changes}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3600, 3600.0), (1, 1.0), (3599.5, 3599.5), ("3600", 3600.0), (" 3600 ", 3600.0), (None, 300.0)],
)
def test_o5_lifetimes_that_are_taken(value: object, seconds: float) -> None:
    assert read(200, granted(expires_in=value)).lifetime == seconds


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"refresh_token_expires_in": 604_799}, 604_799),
        ({"refresh_expires_in": "1800"}, 1800),
        ({"refresh_expires_in": 0}, None),  # no end
        ({"refresh_token_expires_in": "soon"}, None),
        ({"refresh_token_expires_in": None}, None),
        ({}, None),
    ],
)
def test_the_end_of_a_sign_in_where_the_server_tells_it(
    fields: dict[str, object], seconds: float | None
) -> None:
    assert read(200, granted(**fields)).refresh_lifetime == seconds


def test_o5_no_lifetime_means_five_minutes() -> None:
    assert read(200, {"access_token": "abc", "token_type": "bearer"}).lifetime == 300.0


@pytest.mark.parametrize(
    "value", [-1, 0, 1e-300, 0.5, "0.001", 10**12, 10**400, "-5", "0", "soon", "1e3", "", True, [3600], "NaN"]
)
def test_o5_lifetimes_that_are_refused(value: object) -> None:
    with pytest.raises(GrantRefused, match="expires_in") as caught:
        read(200, granted(expires_in=value))
    assert caught.value.configuration


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000])
def test_o5_numbers_that_are_none(number: bytes) -> None:
    with pytest.raises((GrantRefused, TokenUnavailable)):
        read(200, b'{"access_token": "abc", "token_type": "Bearer", "expires_in": ' + number + b"}")


@pytest.mark.parametrize(
    "token",
    [
        "a\rb",
        "a\nb",
        "a\x01b",
        "a b",
        "schlüssel",
        "a\x00",
        "",
        "=",
        "a=b",
        "x" * (24 * 1024 + 1),
        None,
        5,
        ["a"],
        "abc\n",
    ],
)
def test_o5_tokens_that_are_refused_before_use(token: object) -> None:
    with pytest.raises(GrantRefused, match="access_token") as caught:
        read(200, granted(access_token=token))
    if isinstance(token, str) and len(token) > 8:
        assert_absent(token, str(caught.value))


def test_o5_the_largest_token_that_is_taken() -> None:
    assert len(read(200, granted(access_token="x" * 24 * 1024)).access.reveal()) == 24 * 1024


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_o5_bearer_in_any_case(kind: str) -> None:
    assert read(200, granted(token_type=kind)).access.reveal().startswith("ya29")


@pytest.mark.parametrize("kind", ["mac", "DPoP", "Bearer ", "", 1])
def test_o5_other_token_types_are_refused(kind: object) -> None:
    with pytest.raises(GrantRefused, match="token_type"):
        read(200, granted(token_type=kind))


def test_o5_a_narrower_scope_is_kept_for_the_check() -> None:
    assert read(200, granted(scope="openid")).scope == "openid"
    assert read(200, granted()).scope is None
    assert read(200, granted(scope="a\nb")).scope is None


def test_a_rotated_refresh_token_comes_along() -> None:
    answer = read(200, granted(refresh_token="new one"))
    assert answer.refresh == Secret("new one")
    with pytest.raises(GrantRefused, match="refresh_token"):
        read(200, granted(refresh_token="a\nb"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"oops"),
        (502, b"<html>Bad gateway</html>"),
        (503, {"anything": 1}),
        (429, b"Too Many Requests"),
        (408, b""),
        (425, b""),
        (400, {"error": "temporarily_unavailable"}),
        (400, {"error": "server_error"}),
        (403, {"error": "rate_limit_exceeded"}),
        (500, {"error": "some_new_word"}),
        (200, b"<html>Welcome to the hotel</html>"),
        (200, b'"a string"'),
        (200, b""),
    ],
)
def test_transient_answers(status: int, body: object) -> None:
    with pytest.raises(TokenUnavailable) as caught:
        read(status, body)
    assert caught.value.account == "alerts"
    assert "login.example.org" in str(caught.value)


def test_the_wait_that_the_server_asks_for() -> None:
    with pytest.raises(TokenUnavailable) as caught:
        read(429, b"Too Many Requests", {"retry-after": "60"})
    assert caught.value.retry_after == 60.0


def test_a_captive_portal_is_called_so() -> None:
    with pytest.raises(TokenUnavailable, match="captive portal"):
        read(200, b"<html>")


@pytest.mark.parametrize(
    ("status", "word", "who"),
    [
        (400, "invalid_grant", "mailbox user"),
        (200, "invalid_grant", "mailbox user"),
        (400, "interaction_required", "mailbox user"),
        (400, "consent_required", "tenant admin"),
        (403, "access_denied", "mailbox user"),
        (400, "expired_token", "mailbox user"),
    ],
)
def test_a_person_must_act(status: int, word: str, who: str) -> None:
    with pytest.raises(GrantRefused, match=word) as caught:
        read(status, {"error": word})
    assert (caught.value.code, caught.value.who, caught.value.configuration) == (word, who, False)
    assert "Sign in again" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"error": "invalid_client"}, "invalid_client"),
        (400, {"error": "unauthorized_client"}, "unauthorized_client"),
        (400, {"error": "invalid_scope"}, "invalid_scope"),
        (400, {"error": "a_word_nobody_knows"}, "a_word_nobody_knows"),
        (400, {"error": {"code": 5}}, "5"),
        (400, {"error": [1]}, "unreadable error"),
        (404, b"<html>not found</html>", "http_404"),
        (403, {"no": "error"}, "http_403"),
        (200, {}, "unfit_token"),
    ],
)
def test_the_configuration_is_wrong(status: int, body: object, code: str) -> None:
    with pytest.raises(GrantRefused) as caught:
        read(status, body)
    assert caught.value.configuration
    assert caught.value.code == code


def test_o4_a_redirect_is_a_clear_error() -> None:
    with pytest.raises(GrantRefused, match="redirect") as caught:
        read(302, b"", {"location": "https://login.example.com/new?code=1"})
    assert "https://login.example.com/new;" in str(caught.value)
    assert "token-url" in caught.value.hint


def test_ids_for_the_provider_are_kept() -> None:
    with pytest.raises(GrantRefused) as caught:
        read(
            400,
            {
                "error": "invalid_client",
                "error_description": "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: …",
                "trace_id": "0f1a0b2c-1111-2222-3333-444455556666",
                "correlation_id": "9f1a0b2c-1111-2222-3333-444455556666",
            },
        )
    text = str(caught.value)
    assert "AADSTS7000215: Invalid client secret provided. Trace ID" in text
    assert "trace_id 0f1a0b2c-1111-2222-3333-444455556666" in text
    assert "correlation_id 9f1a0b2c-1111-2222-3333-444455556666" in text
    assert "\n" not in text
    assert "\r" not in text


def test_o9_a_server_that_echoes_our_secret_does_not_get_it_into_the_message() -> None:
    canary = "0.AAACANARY~+/secret value"
    jwt = "eyJhbGciOiJSUzI1NiJ9." + "Q0FOQVJZ" * 20
    for word in ("invalid_client", canary):
        with pytest.raises(GrantRefused) as caught:
            read(401, {"error": word, "error_description": f"secret {canary} and {jwt} wrong"}, secret=canary)
        assert_absent(canary, str(caught.value), repr(caught.value))
        assert_absent(jwt, str(caught.value))


def test_terminal_escapes_of_a_server_are_not_passed_on() -> None:
    with pytest.raises(GrantRefused) as caught:
        read(400, {"error": "invalid_scope", "error_description": "\x1b[2J\x9b31m" + "long " * 500})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_o11_a_clock_that_is_off_is_reported() -> None:
    with pytest.raises(GrantRefused) as caught:
        read(400, {"error": "invalid_grant"}, {"date": "Fri, 15 Jan 2027 07:50:00 GMT"})
    assert "clock is 600 s ahead" in caught.value.hint
    with pytest.raises(GrantRefused) as caught:
        read(400, {"error": "invalid_grant"}, {"date": "Fri, 15 Jan 2027 08:00:05 GMT"})
    assert "clock" not in caught.value.hint


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["access_token", "token_type", "expires_in", "refresh_token", "scope", "error", "error_description"]


@given(
    some.integers(200, 599),
    some.binary(max_size=300) | some.dictionaries(some.sampled_from([*FIELDS, "trace_id"]), JSON),
    some.dictionaries(some.sampled_from(["retry-after", "date", "location"]), some.text(max_size=40)),
)
def test_o5_whatever_a_server_says_ends_in_a_fit_token_or_a_credential_error(
    status: int, body: object, headers: dict[str, str]
) -> None:
    with suppress(GrantRefused, TokenUnavailable):
        answer = read(status, body, headers)
        assert re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", answer.access.reveal())
        assert 0 < answer.lifetime <= 10 * 366 * 86400


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"error": {"code": 400, "message": "bad thing"}}, "refused: 400: bad thing"),
        (400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "m"}}, "INVALID_ARGUMENT: m"),
        (400, {"error": {"type": "OAuthException", "message": "m"}}, "OAuthException: m"),
        (400, {"error": "invalid_request", "message": "no client"}, "invalid_request: no client"),
        (400, {"message": "No such route"}, "no OAuth error: No such route"),
        (404, {"title": "Not Found", "detail": "no tenant"}, "no OAuth error: no tenant"),
        (503, {"detail": "in maintenance"}, "HTTP 503: in maintenance"),
        (401, {"errorCode": "E0000011", "errorSummary": "Invalid token provided"}, "Invalid token provided"),
        (400, [{"error": {"status": "INVALID", "message": "m"}}], "refused: INVALID: m"),
        (400, {"errors": [{"message": "bad thing"}]}, "no OAuth error: bad thing"),
        (400, {"error": {"error": {"code": 7, "message": "bad thing"}}}, "refused: 7: bad thing"),
        (400, {"error": [{"code": "x1", "detail": "bad thing"}]}, "refused: x1: bad thing"),
        (400, b"error=invalid_grant&error_description=bad+thing", "refused: invalid_grant: bad thing"),
        (400, b"bad thing", "no OAuth error: bad thing"),
        (503, b"in maintenance\r\n", "HTTP 503: in maintenance"),
        (400, b"<?xml version='1.0'?><fault><text>bad thing</text></fault>", "no OAuth error: bad thing"),
        (400, b"<!DOCTYPE html><p>Sorry", "HTTP 400 and no OAuth error."),
        (401, '{"error": "invalid_client", "message": "Ung\u00fcltig"}'.encode("latin-1"), "Ung\u00fcltig"),
    ],
)
def test_the_words_of_an_error_in_another_shape_are_shown(status: int, body: object, words: str) -> None:
    with pytest.raises((GrantRefused, TokenUnavailable)) as caught:
        read(status, body)
    assert words in caught.value.message
