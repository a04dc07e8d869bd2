"""The sender rule: as whom mail leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import SenderNotAllowed, UsageError
from postbearer.message import Header, SenderRule, authors
from postbearer.message.sender import Rule

ACCOUNT = "alerts@example.org"


def leaves(rule: SenderRule, header: bytes) -> bytes:
    return bytes(rule.apply(Header.parse(header)))


def test_force_keeps_the_name_and_moves_the_author_to_reply_to() -> None:
    after = leaves(SenderRule(ACCOUNT), b"From: Build Bot <bot@example.net>\r\nSubject: x\r\n")
    assert after == (
        b"Reply-To: Build Bot <bot@example.net>\r\nFrom: Build Bot <alerts@example.org>\r\nSubject: x\r\n"
    )


def test_force_respects_a_reply_to_that_is_there() -> None:
    after = leaves(SenderRule(ACCOUNT), b"From: bot@example.net\r\nReply-To: help@example.net\r\n")
    assert after == b"From: alerts@example.org\r\nReply-To: help@example.net\r\n"


@pytest.mark.parametrize(
    "answers",
    [
        "scan@192.168.1.1",
        "scan@[192.168.1.1]",
        "scan@fe80::1",
        "scan@[fe80::1]",
        "printer",
        "<>",
        "",
        "a b@",
        "@",
    ],
)
@pytest.mark.parametrize("rule", ["force", "check", "allow"])
def test_where_answers_go_stops_no_mail(rule: Rule, answers: str) -> None:
    header = f"From: alerts@example.org\r\nReply-To: {answers}\r\n".encode()
    assert leaves(SenderRule(ACCOUNT, rule), header) == header


def test_force_writes_the_account_as_it_is_configured() -> None:
    header = b"From: Alerts <Alerts@EXAMPLE.org>\r\nSubject:   odd   spaces\r\n"
    after = leaves(SenderRule(ACCOUNT), header)
    assert after == b"From: Alerts <alerts@example.org>\r\nSubject:   odd   spaces\r\n"


def test_force_gives_a_message_without_author_one() -> None:
    assert leaves(SenderRule(ACCOUNT), b"Subject: x\r\n") == b"From: alerts@example.org\r\nSubject: x\r\n"


def test_force_keeps_the_name_that_cron_writes_without_an_address() -> None:
    after = leaves(SenderRule(ACCOUNT), b"From: root (Cron Daemon)\r\nSubject: x\r\n")
    assert after == b"From: Cron Daemon <alerts@example.org>\r\nSubject: x\r\n"


REAL = [  # From as machines write it, as it leaves under `force`, and where answers go
    ("root (Cron Daemon)", "Cron Daemon <alerts@example.org>", None),
    ("Printer <scan@192.168.1.1>", "Printer <alerts@example.org>", None),
    ("Printer <scan@[192.168.1.1]>", "Printer <alerts@example.org>", None),
    ("Printer <scan@fe80::1>", "Printer <alerts@example.org>", None),
    ("Anacron <root>", "Anacron <alerts@example.org>", None),
    ("mdadm monitoring <root>", "mdadm monitoring <alerts@example.org>", None),
    ("root <root@vm>", "root <alerts@example.org>", None),
    ("MAILER-DAEMON", "alerts@example.org", None),
    ("Postmaster <>", "Postmaster <alerts@example.org>", None),
    ("bot@example.net (Build Bot)", "Build Bot <alerts@example.org>", "Build Bot <bot@example.net>"),
    ("Build Bot<bot@example.net>", "Build Bot <alerts@example.org>", "Build Bot <bot@example.net>"),
    (
        "[ALERT] host <app@example.net>",
        '"[ALERT] host" <alerts@example.org>',
        '"[ALERT] host" <app@example.net>',
    ),
    (
        "host: disk full <app@example.net>",
        '"host: disk full" <alerts@example.org>',
        '"host: disk full" <app@example.net>',
    ),
    (
        "Name,\r\n\tFirst <app@example.net>",
        '"Name, First" <alerts@example.org>',
        '"Name, First" <app@example.net>',
    ),
    ("Name\r\n\t<app@example.net>", "Name <alerts@example.org>", "Name <app@example.net>"),
    ("root (=?utf-8?q?J=C3=BCrgen?=)", "=?utf-8?q?J=C3=BCrgen?= <alerts@example.org>", None),
    (
        "=?utf-8?q?J=C3=BCrgen?= <j@example.net>",
        "=?utf-8?q?J=C3=BCrgen?= <alerts@example.org>",
        "=?utf-8?q?J=C3=BCrgen?= <j@example.net>",
    ),
    ("J\xfcrgen <root>", "=?utf-8?b?SsO8cmdlbg==?= <alerts@example.org>", None),  # Latin-1
    ('"Doe, Jane" <jane@example.net>', '"Doe, Jane" <alerts@example.org>', '"Doe, Jane" <jane@example.net>'),
    (
        "J. Doe <jane@b\u00fccher.example>".encode().decode("latin-1"),
        "J. Doe <alerts@example.org>",
        "J. Doe <jane@xn--bcher-kva.example>",
    ),
    ("a@example.net, b@example.net", "alerts@example.org", "a@example.net, b@example.net"),
    ("=?utf-8?q?=0D=0ABcc=3A_x?= <root>", '"Bcc: x" <alerts@example.org>', None),
    (
        "=?\u00fc?q?x?= <root>".encode().decode("latin-1"),
        "=?utf-8?b?PT/DvD9xP3g/PQ==?= <alerts@example.org>",
        None,
    ),
    ("", "alerts@example.org", None),
    (
        "alerts@example.org <app@example.net>",
        '"alerts@example.org" <alerts@example.org>',
        '"alerts@example.org" <app@example.net>',
    ),
]


@pytest.mark.parametrize(("value", "author", "answers"), REAL)
def test_force_keeps_of_an_author_what_can_be_kept(
    value: str, author: str | None, answers: str | None
) -> None:
    after = Header.parse(leaves(SenderRule(ACCOUNT), b"From: " + value.encode("latin-1") + b"\r\n"))
    if author is not None:
        assert (after.get("from"), after.get("reply-to")) == (author, answers)


@pytest.mark.parametrize("value", [value for value, _, _ in REAL])
def test_where_anybody_may_be_the_author_nobody_reads_who_it_is(value: str) -> None:
    field = b"From: " + value.encode("latin-1") + b"\r\n"
    assert leaves(SenderRule(ACCOUNT, "allow"), field) == (
        field if value else b"From: alerts@example.org\r\n"
    )


def test_force_writes_the_account_and_not_how_it_was_spelled() -> None:
    after = leaves(SenderRule("ops@example.org"), "From: op\u017f@example.org\r\n".encode())
    assert after.endswith(b"From: ops@example.org\r\n")


def test_force_removes_a_sender_field_the_provider_would_refuse() -> None:
    header = b"From: a@example.net\r\nSender: b@example.net\r\nAuthor: b@example.net\r\n"
    header += b"Resent-Sender: c@example.net\r\n"
    after = leaves(SenderRule(ACCOUNT), header)
    assert b"Sender:" not in after
    assert b"Author:" not in after


def test_force_replaces_whoever_resent_it() -> None:
    header = b"Resent-From: Ann <a@example.net>\r\nResent-To: c@example.net\r\nResent-From: b@example.net\r\n"
    assert leaves(SenderRule(ACCOUNT), header + b"From: alerts@example.org\r\n") == (
        b"Resent-From: Ann <alerts@example.org>\r\nResent-To: c@example.net\r\n"
        b"Resent-From: alerts@example.org\r\nFrom: alerts@example.org\r\n"
    )


@pytest.mark.parametrize("rule", ["check", "force"])
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("=?utf-8?q?ceo=40bank.example?=", b'"ceo@bank.example"'),
        ("=?utf-8?q?=C3=BC_=3Cceo=40bank.example=3E=2C?=", b"=?utf-8?b?w7wgY2VvIGJhbmsuZXhhbXBsZSAs?="),
        ("=?utf-8?q?M=C3=BCller=2C_Hans?=", b"=?utf-8?q?M=C3=BCller=2C_Hans?="),
    ],
)
def test_no_name_holds_an_address_for_those_who_decode_before_they_read(
    rule: Rule, name: str, left: bytes
) -> None:
    """As many programs do: ``parseaddr(str(make_header(decode_header(value))))``."""
    after = leaves(SenderRule(ACCOUNT, rule), f"From: {name} <{ACCOUNT}>\r\n".encode())
    assert after == b"From: " + left + b" <alerts@example.org>\r\n"


@pytest.mark.parametrize("rule", ["check", "allow"])
@pytest.mark.parametrize("header", [b"Subject: x\r\n", b"From: \r\nSubject: x\r\n"])
def test_a_message_without_an_author_is_from_the_account(rule: Rule, header: bytes) -> None:
    after = leaves(SenderRule(ACCOUNT, rule), header)
    assert after == b"From: alerts@example.org\r\nSubject: x\r\n"


@pytest.mark.parametrize(
    "field",
    [
        'From: "CEO" <ceo@bank.example>: alerts@example.org',
        "From: ceo@bank.example: alerts@example.org;",
        "From: ceo@bank.example:;",
        'From: "CEO" <ceo@bank.example>:;',
        "From: Friends: alerts@example.org;",
        "From: alerts@example.org\r\nFrom: alerts@example.org",
        "From: alerts@example.org\r\nFrom: ceo@bank.example:;",
        "From: ceo@bank.example <alerts@example.org>",
        "From: (ceo@bank.example)",
        "From: (ceo@bank.example) alerts@example.org",
        "From: alerts@example.org (a (b))",
        "From: alerts@example.org,, alerts@example.org",
        "From: alerts@example.org,",
        "From: alerts @example.org",
        "From: alerts@example.org.",
        "From: <@bank.example:alerts@example.org>",
        'From: "ceo@bank.example x"@example.org',
        "From: root (Cron Daemon)",
        "From: alerts",
        "From: a\x01b <alerts@example.org>",
        "From: " + "a" * 900 + " <alerts@example.org>",
        "Sender: ceo@bank.example:;\r\nFrom: alerts@example.org",
        "Resent-Sender: ceo@bank.example:;\r\nFrom: alerts@example.org",
        "Author: ceo@bank.example\r\nFrom: alerts@example.org",
    ],
)
@pytest.mark.parametrize(
    "rule", [SenderRule(ACCOUNT, "check"), SenderRule("x@example.org", "allow", (ACCOUNT,))]
)
def test_an_author_that_parsers_disagree_about_is_refused_where_it_matters(
    rule: SenderRule, field: str
) -> None:
    with pytest.raises(UsageError):
        rule.check(Header.parse(f"{field}\r\n".encode()))


@pytest.mark.parametrize(
    "field",
    [
        "From: alerts@example.org",
        "From: Alerts <alerts@example.org>",
        "From: J. Doe <ALERTS@Example.org>",
        'From: "Doe, Jane" <alerts@example.org>',
        'From: "ceo@bank.example" <alerts@example.org>',
        "From: alerts@example.org (Alerts of the host)",
        "From: =?utf-8?q?J=C3=BCrgen?= <alerts@example.org>",
        "From: Alerts <alerts@example.org>, alerts@example.org",
        'From: Alerts <"alerts"@example.org>',
        "Sender: alerts@example.org\r\nFrom: alerts@example.org",
    ],
)
def test_an_author_that_all_read_alike_leaves_as_it_is(field: str) -> None:
    header = f"{field}\r\n".encode()
    assert leaves(SenderRule(ACCOUNT, "check"), header) == header


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("J\u00fcrgen <alerts@example.org>", "=?utf-8?b?SsO8cmdlbg==?= <alerts@example.org>"),
        ('"a, b" \u00fc <alerts@example.org>', "=?utf-8?b?YSwgYiDDvA==?= <alerts@example.org>"),
        ("alerts@example\uff0eorg, alerts@example.org", "alerts@example.org, alerts@example.org"),
    ],
)
def test_an_author_leaves_in_ascii(value: str, after: str) -> None:
    header = f"From: {value}\r\n".encode()
    assert leaves(SenderRule(ACCOUNT, "check"), header) == f"From: {after}\r\n".encode()


def test_many_names_that_are_not_ascii_leave_in_lines() -> None:
    value = ", ".join(["\u00fc" * 70 + " <alerts@example.org>"] * 5)
    after = leaves(SenderRule(ACCOUNT, "check"), f"From: {value}\r\n".encode())
    assert [len(line) < 400 for line in after.splitlines()] == [True] * 5
    assert after.count(b"<alerts@example.org>") == 5


def test_an_author_leaves_in_one_line() -> None:
    header = b'From: "a\r\n <ceo@bank.example>"\r\n\t<alerts@example.org>\r\nX: a\r\n b\r\n'
    assert leaves(SenderRule(ACCOUNT, "check"), header) == (
        b'From: "a <ceo@bank.example>"\t<alerts@example.org>\r\nX: a\r\n b\r\n'
    )


PIECES = [
    "<",
    ">",
    ":",
    ";",
    ",",
    "(",
    ")",
    '"',
    "\\",
    "@",
    " ",
    "\t",
    "\r\n ",
    "Name",
    '"Doe, J"',
    ".",
    "\x0b",
]
PIECES += [
    "ceo@bank.example",
    "alerts@example.org",
    "=?utf-8?q?J=C3=BC?=",
    "=?x?q?y?=",
    "\xfc",
    "a" * 300,
    "\U0001f600" * 90,
]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join), st.sampled_from(["From", "Resent-From"]))
def test_whatever_the_author_is_force_can_send_it(value: str, name: str) -> None:
    header = Header.parse(f"{name}: {value}\r\nSubject: x\r\n".encode("utf-8", "replace"))
    after = SenderRule(ACCOUNT).apply(header)
    assert authors(after) == [ACCOUNT] * len(after.all("resent-from")) + [ACCOUNT]
    assert max(map(len, bytes(after).split(b"\r\n"))) <= 998
    assert SenderRule(ACCOUNT).apply(after) == after


@pytest.mark.parametrize(
    "header",
    [
        b"From: bob@example.org\r\n",
        b"From: alerts@example.org, bob@example.org\r\n",
        b'From: "alerts@example.org" <bob@example.org>\r\n',
        b"From: alerts@example.org\r\nSender: bob@example.org\r\n",
        "From: alеrts@example.org\r\n".encode(),
    ],
)
def test_s6_check_refuses_every_other_author(header: bytes) -> None:
    with pytest.raises(SenderNotAllowed, match="may not leave"):
        leaves(SenderRule(ACCOUNT, "check"), header)


@pytest.mark.parametrize(
    "spelled", ["alerts@example.org", "ALERTS@Example.ORG", "alerts@example.org.", '"alerts"@example.org']
)
def test_the_same_mailbox_in_other_spellings_is_permitted(spelled: str) -> None:
    assert SenderRule(ACCOUNT, "check").permits(spelled)


def test_a_domain_is_compared_in_its_ascii_form() -> None:
    assert SenderRule("a@xn--bcher-kva.example", "check").permits("a@bücher.example")


def test_allow_takes_anyone_or_only_the_aliases() -> None:
    assert SenderRule(ACCOUNT, "allow").permits("anyone@example.net")
    limited = SenderRule(ACCOUNT, "allow", aliases=("sales@example.org",))
    assert limited.permits("sales@example.org")
    assert limited.permits(ACCOUNT)
    assert not limited.permits("boss@example.org")
