"""Addresses: what is one, what is none, and when two spellings are the same mailbox."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.address import Address, canonical
from postbearer.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "alice@example.org",
        "a.b+tag@sub.example.org",
        '"john smith"@example.org',
        "o'brien@example.org",
        "用户@例え.jp",
        "alice@[127.0.0.1]",
        "alice@[IPv6:::1]",
        "u%x@relay",
        "root@localhost",
    ],
)
def test_addresses_are_kept_as_they_were_written(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("alice", "domain is missing"),
        ("alice@", "domain is missing"),
        ("@example.org", "before the @"),
        ("a@b@example.org", "before the @"),
        ("a b@example.org", "before the @"),
        ("a..b@example.org", "before the @"),
        ("alice@exa mple.org", "domain is not valid"),
        ("alice@-example.org", "domain is not valid"),
        ("alice@example..org", "domain is not valid"),
        ("alice@example.org>", "domain is not valid"),
        ("<alice@example.org>", "before the @"),
        ("a" * 65 + "@example.org", "too long"),
        ("alice@" + "a." * 130 + "org", "too long"),
        ("al\rice@example.org", r"U\+000D"),
        ("alice@example.org\n", r"U\+000A"),
        ("al\x00ice@example.org", r"U\+0000"),
        ("al\x85ice@example.org", r"U\+0085"),
        ("al\u2028ice@example.org", r"U\+2028"),
        ("al\ud800ice@example.org", r"U\+D800"),
    ],
)
def test_l4_what_is_no_address_is_named(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Address.parse(text)


@pytest.mark.parametrize(
    "other",
    ["ALICE@EXAMPLE.ORG", "alice@example.org.", '"alice"@example.org', "Alice@Example.Org"],
)
def test_spellings_of_one_mailbox_are_equal(other: str) -> None:
    assert canonical(other) == canonical("alice@example.org")


@pytest.mark.parametrize(
    "other", ["alice+tag@example.org", "a.lice@example.org", "alice@sub.example.org", "аlice@example.org"]
)
def test_other_mailboxes_stay_others(other: str) -> None:
    assert canonical(other) != canonical("alice@example.org")


def test_a_domain_has_an_ascii_form() -> None:
    assert str(Address.parse("a@bücher.example").with_ascii_domain()) == "a@xn--bcher-kva.example"


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused_and_never_crashes(text: str) -> None:
    try:
        address = Address.parse(text)
    except UsageError:
        return
    assert str(address) == text
    assert not any(ord(char) < 32 or char in "\x7f\r\n" for char in text)
