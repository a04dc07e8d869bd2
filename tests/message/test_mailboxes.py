"""Address lists: what is read, and what is refused because two programs could read it differently."""

import pytest

from postbearer.errors import UsageError
from postbearer.message import Mailbox, parse_mailboxes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("alice@example.org", [("", "alice@example.org")]),
        ("Alice <alice@example.org>", [("Alice", "alice@example.org")]),
        (
            '"Doe, Jane" <jane@example.org>, bob@example.org',
            [('"Doe, Jane"', "jane@example.org"), ("", "bob@example.org")],
        ),
        ("=?utf-8?q?J=C3=BCrgen?= <j@example.org>", [("=?utf-8?q?J=C3=BCrgen?=", "j@example.org")]),
        ("Team: a@example.org, B <b@example.org>;", [("", "a@example.org"), ("B", "b@example.org")]),
        ("undisclosed-recipients:;", []),
        ("alice@example.org (at home)", [("", "alice@example.org")]),
        ("", []),
        ("a@example.org b@example.org", [("", "a@example.org"), ("", "b@example.org")]),
        ("a@example.org,, b@example.org", [("", "a@example.org"), ("", "b@example.org")]),
        ("用户@例え.jp", [("", "用户@例え.jp")]),
        ('"john smith"@example.org', [("", '"john smith"@example.org')]),
        ("a@[127.0.0.1]", [("", "a@[127.0.0.1]")]),
        (
            "a@example.org b@example.org  c@example.org",
            [("", "a@example.org"), ("", "b@example.org"), ("", "c@example.org")],
        ),
    ],
)
def test_lists_are_read_as_they_are_meant(value: str, expected: list[tuple[str, str]]) -> None:
    assert parse_mailboxes(value) == tuple(Mailbox(*each) for each in expected)


@pytest.mark.parametrize(
    "value",
    [
        "alice@example.org)bob@example.com",
        "alice@example.org <bob@example.com> eve@example.net",
        "<alice@example.org> <bob@example.com>",
        "alice",
        "alice@",
        "@example.org",
        "a@b@example.org",
        "<@relay:bob@example.org>",
        'Alice" <alice@example.org>',
        "alice@example.org\r\nBcc: eve@example.net",
        "alice@exa mple.org",
        "alice bob@example.org",
        "alice@example.org bob @example.org",
        '"al ice"@example.org bob@example.org',
        "al\x00ice@example.org",
    ],
)
def test_l3_doubtful_lists_are_refused(value: str) -> None:
    with pytest.raises(UsageError):
        parse_mailboxes(value)
