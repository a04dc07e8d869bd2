"""Addresses: what is one, what is none, and when two spellings are the same mailbox."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.address import Address, canonical
from postbearer.engine.submitter import matches
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
        "root@my_app_1",
        "app@_dmarc.my_host.example.org",
        "app@my_host.bücher.example",
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
        ("alice@" + "a" * 64 + ".org", "too long"),
        ("al\rice@example.org", r"U\+000D"),
        ("alice@example.org\n", r"U\+000A"),
        ("al\x00ice@example.org", r"U\+0000"),
        ("al\x85ice@example.org", r"U\+0085"),
        ("al\u2028ice@example.org", r"U\+2028"),
        ("al\ud800ice@example.org", r"U\+D800"),
        ("=?utf-8?b?b3BzQGV4YW1wbGUub3Jn?=@host", "encoded word"),
        ("a@" + "é" * 60 + ".example", "not a valid domain"),
        ("a@\u0378.example", "not a valid domain"),
        ("a@\u00ad.example", "not a valid domain"),
        ("a@example.org\u3002\u3002org", "not a valid domain"),
        ("\u0390" * 32 + "@example.org", "too long"),
        ("a@\u2100.example", "not a valid domain"),
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
    ("one", "other"),
    [
        ("a@example\u3002org\u3002", "a@example.org"),
        ("a@ex\u00adample.org", "a@example.org"),
        ('"a\\ b"@example.org', '"a b"@example.org'),
        ("ÄRGER@example.org", "ärger@example.org"),
        ("a@[IPv6:::1]", "A@[ipv6:::1]"),
    ],
)
def test_other_spellings_of_one_mailbox(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("op\u017f@example.org", "ops@example.org"),  # long s
        ("\u212aim@example.org", "kim@example.org"),  # the sign of Kelvin
        ("stra\u00dfe@example.org", "strasse@example.org"),
        ("\ufb01n@example.org", "fin@example.org"),  # a ligature
        ("\u0130an@example.org", "ian@example.org"),
    ],
)
def test_no_other_character_counts_as_one_of_ascii(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "other", ["alice+tag@example.org", "a.lice@example.org", "alice@sub.example.org", "аlice@example.org"]
)
def test_other_mailboxes_stay_others(other: str) -> None:
    assert canonical(other) != canonical("alice@example.org")


def test_a_domain_has_an_ascii_form() -> None:
    assert str(Address.parse("a@bücher.example").with_ascii_domain()) == "a@xn--bcher-kva.example"


LETTERS = st.one_of(
    st.sampled_from(
        'aZ.-_"\\@[]\u3002\uff0e\uff61\u00ad\u200c\u200d\u017f\u212a\u0130\u00df\u0390\ufb01\u03c2\u2100'
    ),
    st.characters(min_codepoint=0x20),
)
PARTS = st.one_of(
    st.text(LETTERS, min_size=1, max_size=8),
    st.builds(lambda char, n: char * n, LETTERS, st.integers(10, 70)),
    st.text(LETTERS, max_size=8).map(lambda text: f'"{text}"'),
)
DOMAINS = st.builds(
    "{}{}".format, PARTS, st.sampled_from(["", ".", ".example.org", ".example.org.", "\u3002org"])
)


@given(PARTS, DOMAINS)
def test_what_is_an_address_has_a_canonical_form_that_is_one(local: str, domain: str) -> None:
    try:
        address = Address.parse(f"{local}@{domain}")
    except UsageError:
        return
    assert canonical(address.canonical) == address.canonical
    assert canonical(str(address.with_ascii_domain())) == address.canonical
    assert address.canonical.rpartition("@")[2].isascii()
    assert matches(str(address), ["@" + address.domain])


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused_and_never_crashes(text: str) -> None:
    try:
        address = Address.parse(text)
    except UsageError:
        return
    assert str(address) == text
    assert not any(ord(char) < 32 or char in "\x7f\r\n" for char in text)
