"""The sender rule: as whom mail leaves."""

import pytest

from postbearer.errors import SenderNotAllowed
from postbearer.message import Header, SenderRule

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


def test_force_changes_nothing_when_the_author_is_the_account() -> None:
    header = b"From: Alerts <Alerts@EXAMPLE.org>\r\nSubject:   odd   spaces\r\n"
    assert leaves(SenderRule(ACCOUNT), header) == header


def test_force_gives_a_message_without_author_one() -> None:
    assert leaves(SenderRule(ACCOUNT), b"Subject: x\r\n") == b"From: alerts@example.org\r\nSubject: x\r\n"


def test_force_keeps_the_name_that_cron_writes_without_an_address() -> None:
    after = leaves(SenderRule(ACCOUNT), b"From: root (Cron Daemon)\r\nSubject: x\r\n")
    assert after == b'From: "Cron Daemon" <alerts@example.org>\r\nSubject: x\r\n'


def test_force_removes_a_sender_field_the_provider_would_refuse() -> None:
    after = leaves(SenderRule(ACCOUNT), b"From: a@example.net\r\nSender: b@example.net\r\n")
    assert b"Sender:" not in after


@pytest.mark.parametrize(
    "header",
    [
        b"From: bob@example.org\r\n",
        b"From: alerts@example.org, bob@example.org\r\n",
        b"From: alerts@example.org\r\nFrom: bob@example.org\r\n",
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
