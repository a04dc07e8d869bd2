"""The canary finder finds."""

from __future__ import annotations

import base64

import pytest

from support.canary import assert_absent

CANARY = "ya29.CANARY+secret/value"


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"user=a\x01auth=Bearer "])
@pytest.mark.parametrize("after", [b"", b"z", b"\x01\x01"])
def test_it_sees_through_base64_at_every_alignment(before: bytes, after: bytes) -> None:
    octets = before + CANARY.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        with pytest.raises(AssertionError, match="base64"):
            assert_absent(CANARY, encode(octets))


@pytest.mark.parametrize("dress", [CANARY, "ya29.CANARY%2Bsecret%2Fvalue", CANARY.encode().hex()])
def test_it_sees_clear_url_encoded_and_hex(dress: str) -> None:
    with pytest.raises(AssertionError):
        assert_absent(CANARY, f"something {dress} something")


def test_it_does_not_show_the_canary_itself() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_absent(CANARY, f"{CANARY} {CANARY}")
    assert CANARY not in str(caught.value)


def test_innocent_text_passes() -> None:
    assert_absent(CANARY, "nothing to see", b"\x00\xff")
