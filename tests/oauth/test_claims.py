"""Tokens are foreign text: whatever one holds, it is shown bounded and printable, or called opaque."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.oauth import Claims, read_claims
from postbearer.secret import Secret


def part(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


HUGE_NUMBER = b'{"exp":' + b"9" * 5000 + b"}"
HEADER = part(b'{"alg":"RS256"}')


def token(claims: object) -> Secret:
    return Secret(f"{HEADER}.{part(json.dumps(claims).encode())}.{part(b'signature')}")


def claims_of(claims: object) -> Claims:
    read = read_claims(token(claims))
    assert read is not None
    return read


def test_an_app_only_token_of_microsoft() -> None:
    read = claims_of(
        {
            "aud": "https://outlook.office365.com",
            "roles": ["SMTP.SendAsApp"],
            "tid": "t",
            "appid": "a",
            "oid": "99999999-8888-7777-6666-555555555555",
            "exp": 1_800_000_000,
        }
    )
    assert read.app_only
    assert read.told() == {
        "audience": ["https://outlook.office365.com"],
        "roles": ["SMTP.SendAsApp"],
        "tenant": "t",
        "app": "a",
        "object_id": "99999999-8888-7777-6666-555555555555",
        "expires": 1_800_000_000.0,
    }


def test_a_delegated_token() -> None:
    read = claims_of({"scp": "SMTP.Send openid", "upn": "a@example.org", "aud": ["one", "two"]})
    assert (read.scopes, read.user, read.audience) == (
        ("SMTP.Send", "openid"),
        "a@example.org",
        ("one", "two"),
    )
    assert not read.app_only


@pytest.mark.parametrize(
    "value",
    [
        "opaque",
        "",
        "..",
        "a.b.c",
        "a.b.c.d.e",  # encrypted
        f"{HEADER}.{part(b'not json')}.x",
        f"{HEADER}.{part(b'[1, 2]')}.x",
        f"{HEADER}.{part(bytes(range(256)))}.x",
        f"{HEADER}.{part(b'[' * 30_000)}.x",  # nested deeper than anybody should follow
        f"{HEADER}.{part(HUGE_NUMBER)}.x",  # a number nobody should convert
        f"{HEADER}.ünïcode.x",
        f"nothing.{part(b'{}')}.x",
    ],
)
def test_what_is_no_readable_jwt_is_opaque(value: str) -> None:
    assert read_claims(Secret(value)) is None


@pytest.mark.parametrize("wrong", [None, True, 7, 1.5, {}, {"a": []}, [[["x"]]], [None, 3]])
def test_claims_of_the_wrong_type_are_as_good_as_missing(wrong: object) -> None:
    names = ("iss", "aud", "scp", "scope", "roles", "tid", "upn", "appid", "oid", "iat", "exp", "cnf")
    read = claims_of(dict.fromkeys(names, wrong))
    told = read.told()
    assert set(told) <= {"issued", "expires"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 10**30, True])
def test_times_that_are_none_are_left_out(value: float) -> None:
    assert claims_of({"exp": value, "iat": value}).told() == {}


def test_what_is_shown_is_bounded_and_printable() -> None:
    read = claims_of({"aud": ["x" * 1000] * 30, "upn": "a\x1b[2J\r\nb\ud800", "oid": "$(rm -rf)"})
    assert len(read.audience) == 20
    assert max(map(len, read.audience)) <= 201
    assert read.user.isprintable()
    assert read.object_id == ""  # it would go into a command: an id or nothing


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_nothing_breaks_it(first: bytes, second: bytes) -> None:
    read_claims(Secret(f"{part(first)}.{part(second)}.x"))
    read_claims(Secret(f"{HEADER}.{second.decode('latin-1')}.x"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["aud", "scp", "oid"]), inner),
    )
)
def test_any_json_can_be_read_and_shown(value: object) -> None:
    read = read_claims(token({"aud": value, "scp": value, "roles": value, "upn": value, "exp": value}))
    assert read is not None
    json.dumps(read.told())
