"""Whatever the header, no parser finds an author in what leaves whom the sender rule does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postbearer.errors import SenderNotAllowed, UsageError
from postbearer.message import BytesContent, Header, SenderRule, authors, convert, edit
from servers.readers import Readers, readers

pytestmark = pytest.mark.servers

OPS, CEO = "ops@example.org", "ceo@bank.example"
RULES = [
    SenderRule(OPS, "force"),
    SenderRule(OPS, "check"),
    SenderRule("other@example.org", "allow", aliases=(OPS,)),
]

WORDS = [
    *(
        "Name",
        "J.",
        ".",
        '"CEO"',
        f'"{CEO}"',
        f'"<{CEO}>"',
        f'"x <{CEO}>, y"',
        r'"\""',
        f'"\\" <{CEO}>, \\""',
        '""',
    ),
    *(
        "=?utf-8?q?ceo=40bank=2Eexample?=",
        "=?utf-8?b?PGNlb0BiYW5rLmV4YW1wbGU+LA==?=",
        "=?utf-8?q?=22CEO=22_=3Cceo=40bank.example=3E=2C?=",
        "=?utf-8?q?=C3=BC=22?=",
        "=?utf-8?q?=28=C3=BC?=",
        "=?utf-8?q?M=C3=BCller=2C_Hans?=",
        "=?utf-8?q?=5BAlarm=5D=3A_=C3=BC=3B?=",
        "=?x?q?y?=",
        "\u00fc",
        "\uff20",
    ),
    *(
        "<",
        ">",
        ":",
        ";",
        ",",
        "(",
        ")",
        '"',
        "\\",
        "[",
        "]",
        "@",
        ".",
        "=",
        "%",
        "(x)",
        f"({CEO})",
        "undisclosed:;",
    ),
    *(OPS, CEO, f"<{OPS}>", f"<{CEO}>", '<"ops"@example.org>', f'"{CEO} x"@example.org', "@bank.example:"),
    *(
        "\x0b",
        "\x0c",
        "\x1c",
        "\x85",
        "\u2028",
        "\u200b",
        "op\u017f@example.org",
        "ops@example\u3002org",
        "ops",
    ),
]
blanks = st.sampled_from(["", "", " ", "  ", "\t", "\r\n ", "\r\n\t"])
words = st.lists(st.tuples(st.sampled_from(WORDS), blanks).map("".join), max_size=6).map("".join)
usual = st.builds("{}{}<{}>{}".format, words, blanks, st.sampled_from([OPS, CEO, OPS]), blanks | words)
values = st.tuples(usual | words, st.sampled_from(["utf-8", "latin-1"])).map(
    lambda each: each[0].encode(each[1], "replace")
)
names = st.sampled_from([b"From", b"From", b"FROM", b"Sender", b"Author", b"Resent-From", b"Resent-Sender"])
author_fields = st.builds(
    lambda *parts: b"".join(parts) + b"\r\n", names, st.sampled_from([b":", b": ", b" :"]), values
)
other_lines = st.sampled_from(
    [
        *(
            b"Subject: x\r\n",
            b"X : y\r\n",
            b"\r\n",
            b" \r\n",
            b"no field\r\n",
            b",\r\n",
            b"From x\r\n",
            b"From:\r\n",
        ),
        *(f" From: {CEO}\r\n".encode(), f"From\r\n : {CEO}\r\n".encode(), b"X: y\r\n \r\n z\r\n"),
        *(f"X: y\x0bFrom: {CEO}\r\n".encode(), f"X: y\x85From: {CEO}\r\n".encode("latin-1")),
        *(f"Fr\u043em: {CEO}\r\n".encode(), f"From: {OPS}\r\n".encode(), b"Content-Type: message/rfc822\r\n"),
    ]
)
headers = st.lists(author_fields | other_lines, max_size=4).map(b"".join)
bodies = st.sampled_from([b"", b"\r\n", f"\r\nFrom: {CEO}\r\n\r\nx\r\n".encode()])


@pytest.fixture(scope="module")
def others() -> Iterator[Readers]:
    with readers() as running:
        yield running


def wrong(rule: SenderRule, message: bytes, others: Readers, *, utf8: bool = True) -> dict[str, list[str]]:
    """The authors that may not be there, by parser, in what leaves; nothing, if it does not."""
    try:
        content = edit(BytesContent(message), rule.apply)
        if not utf8:
            with suppress(UsageError):
                content = convert(content, eight_bit=False, utf8=False)
    except UsageError:
        assert rule.rule != "force" or b"\r" in message.replace(b"\r\n", b"")
        return {}
    found = others.authors(b"".join(content.blocks()))
    strangers = {
        who: [each for each in each_of if "@" in each and not permitted(rule, each)]
        for who, each_of in found.items()
    }
    return {who: each_of for who, each_of in strangers.items() if each_of}


def permitted(rule: SenderRule, address: str) -> bool:
    try:
        return rule.permits(address)
    except UsageError:
        return False


@given(st.sampled_from(RULES), headers, bodies, st.booleans())
@example(RULES[0], f'From: "CEO" <{CEO}>: {OPS}\r\n'.encode(), b"", True)
@example(RULES[1], f"From: {CEO}: {OPS};\r\n".encode(), b"", True)
@example(RULES[1], f"From: {OPS}\r\nFrom: {CEO}:;\r\n".encode(), b"", True)
@example(RULES[1], f"X : y\r\nFrom\r\n : {CEO}\r\nFrom: {OPS}\r\n".encode(), b"", True)
@example(RULES[0], f'Resent-From: "x\r\n <{CEO}> y" <{OPS}>\r\n'.encode(), b"", True)
@example(RULES[1], f'From: "x\r\n <{CEO}> y" <{OPS}>\r\n'.encode(), b"", True)
@example(RULES[1], f'From: "x" \u00fc " <{CEO}>, " <{OPS}>\r\n'.encode(), b"", False)
def test_no_parser_finds_an_author_that_is_not_allowed(
    others: Readers, rule: SenderRule, header: bytes, body: bytes, utf8: bool
) -> None:
    assert wrong(rule, header + body, others, utf8=utf8) == {}


@given(headers, bodies)
def test_every_parser_finds_the_account_under_force(others: Readers, header: bytes, body: bytes) -> None:
    try:
        content = edit(BytesContent(header + body), RULES[0].apply)
    except UsageError:
        return
    found = others.authors(b"".join(content.blocks()))
    assert {who for who, each_of in found.items() if OPS not in each_of} == set()


@pytest.mark.parametrize(
    ("field", "who"),
    [
        (f'From: "CEO" <{CEO}>: {OPS}', {"Email::Address::XS", "GMime", "Mail::Address", "default"}),
        (f"From: {CEO}:;", {"Email::Address::XS", "GMime", "default"}),
        (
            f"From: {CEO}",
            {
                "Email::Address::XS",
                "GMime",
                "Mail::Address",
                "default",
                "compat32",
                "mailparser",
                "postal-mime",
            },
        ),
    ],
)
def test_the_parsers_would_find_one(others: Readers, field: str, who: set[str]) -> None:
    """So that the tests above can fail."""
    found = others.authors(f"{field}\r\n\r\n".encode())
    assert {each for each, addresses in found.items() if CEO in addresses} >= who


@given(headers, bodies, st.booleans())
@example(f'From: "x\r\n <{CEO}> y" <{OPS}>\r\n'.encode(), b"", True)
@example(f"From: =?utf-8?q?=3Cceo=40bank.example=3E=2C?= <{OPS}>\r\n".encode(), b"", True)
@example(f'From: "\u00fc <{CEO}>, " <{OPS}>\r\n'.encode(), b"", False)
def test_nor_in_what_leaves_as_it_came_from_a_client_with_senders(
    others: Readers, header: bytes, body: bytes, utf8: bool
) -> None:
    """Its rights are asked at the door; the account's rule changes nothing."""
    own = RULES[1]
    try:
        own.require(authors(Header.parse(header + body), as_is=True))
        content = edit(BytesContent(header + body), SenderRule(OPS, "allow").apply)
    except (UsageError, SenderNotAllowed):
        return
    if not utf8:
        with suppress(UsageError):
            content = convert(content, eight_bit=False, utf8=False)
    found = others.authors(b"".join(content.blocks()))
    assert {
        who: each
        for who, each in found.items()
        if any("@" in one and not permitted(own, one) for one in each)
    } == {}
