"""Codes of the second factor, by the vectors of RFC 6238."""

from __future__ import annotations

from base64 import b32encode

import pytest

from postbearer.console.second_factor import SecondFactor, make_key
from postbearer.errors import SecretError
from postbearer.secret import Secret

KEY = Secret(b32encode(b"12345678901234567890").decode())
VECTORS = {  # RFC 6238, appendix B, SHA-1; the last six of eight digits
    59: "287082",
    1_111_111_109: "081804",
    1_111_111_111: "050471",
    1_234_567_890: "005924",
    2_000_000_000: "279037",
    20_000_000_000: "353130",
}


@pytest.mark.parametrize(("now", "code"), VECTORS.items())
def test_the_vectors_of_the_standard(now: int, code: str) -> None:
    assert SecondFactor().fits("alice", KEY, code, now)
    assert SecondFactor().fits("alice", Secret(KEY.reveal().lower()), code, now + 30)  # clocks differ
    assert not SecondFactor().fits("alice", KEY, code, now + 90)


def test_a_code_is_good_once_and_an_earlier_one_never_after_it() -> None:
    second = SecondFactor()
    assert second.fits("alice", KEY, VECTORS[1_111_111_111], 1_111_111_111)
    assert not second.fits("alice", KEY, VECTORS[1_111_111_111], 1_111_111_111)
    assert not second.fits("alice", KEY, VECTORS[1_111_111_109], 1_111_111_111)
    assert second.fits("bob", KEY, VECTORS[1_111_111_109], 1_111_111_111)


@pytest.mark.parametrize("code", ["", "28708", "2870822", "28708x", "٢٨٧٠٨٢", "²87082", "-87082"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert not SecondFactor().fits("alice", KEY, code, 59)


@pytest.mark.parametrize("key", ["", "a", "not base32!", "AAAA", "1" * 32])
def test_what_is_no_key_is_told_with_what_makes_one(key: str) -> None:
    with pytest.raises(SecretError, match="base32") as told:
        SecondFactor().fits("alice", Secret(key), "287082", 59)
    assert "secret totp" in told.value.hint
    assert key not in str(told.value) or not key.strip("a")


def test_keys_are_made_by_chance() -> None:
    assert make_key().reveal() != make_key().reveal()
    assert len(make_key().reveal()) == 32
