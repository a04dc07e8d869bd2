"""Who a message goes to in the end."""

from __future__ import annotations

import pytest

from postbearer.engine import Aliases, RecipientRules, read_aliases
from postbearer.envelope import Envelope, Recipient

ROOT = Aliases.of(read_aliases("root: anna@example.org, ben@example.org"), {"localhost"})


def to(*addresses: str) -> Envelope:
    return Envelope.of("app@example.org", addresses)


def test_an_alias_becomes_those_it_stands_for_each_of_them_once() -> None:
    rules = RecipientRules(aliases=ROOT)
    envelope = rules.apply(to("root@localhost", "ben@example.org", "carl@example.net"))
    assert envelope.addresses == ("anna@example.org", "ben@example.org", "carl@example.net")


def test_a_report_names_the_address_that_was_written_to() -> None:
    asked = Recipient("root@localhost", ("SUCCESS",))
    (anna, _) = RecipientRules(aliases=ROOT).apply(Envelope("", (asked,))).recipients
    assert (anna.notify, anna.orcpt) == (("SUCCESS",), "rfc822;root@localhost")


def test_staging_sends_what_is_for_strangers_to_one_address() -> None:
    rules = RecipientRules(redirect_to="test@example.org", allowed=("@example.org", "guest@example.com"))
    asked = to("anna@example.org", "guest@example.com", "stranger@example.com", "other@example.net")
    assert rules.apply(asked).addresses == ("anna@example.org", "guest@example.com", "test@example.org")
    assert rules.strangers(rules.apply(asked).recipients) == ()


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (RecipientRules(), ""),
        (
            RecipientRules(redirect_to="test@example.org"),
            "Staging mode: all mail goes to test@example.org instead of its recipients.",
        ),
        (
            RecipientRules(allowed=("@example.org", "guest@example.com")),
            "Staging mode: mail reaches @example.org and guest@example.com only; what is for others "
            "is held in the queue.",
        ),
        (
            RecipientRules(redirect_to="test@example.org", allowed=("@example.com",)),
            "Staging mode: mail reaches @example.com only; what is for others "
            "goes to test@example.org instead.",
        ),
    ],
)
def test_people_are_told_where_mail_goes_in_staging(rules: RecipientRules, told: str) -> None:
    assert rules.notice == told


def test_staging_without_another_address_holds_what_is_for_strangers() -> None:
    rules = RecipientRules(allowed=("@example.org",), archive="archive@example.net")
    envelope = rules.apply(to("anna@example.org", "stranger@example.com"))
    assert [each.address for each in rules.strangers(envelope.recipients)] == ["stranger@example.com"]


def test_an_alias_is_followed_before_strangers_are_told_apart() -> None:
    rules = RecipientRules(aliases=ROOT, redirect_to="test@example.org", allowed=("anna@example.org",))
    assert rules.apply(to("root@localhost")).addresses == ("anna@example.org", "test@example.org")


def test_the_archive_gets_a_copy_and_no_report_is_made_of_it() -> None:
    rules = RecipientRules(archive="archive@example.org")
    *_, copy = rules.apply(to("anna@example.net")).recipients
    assert copy == Recipient("archive@example.org", ("NEVER",))
    assert rules.apply(to("archive@example.org")).recipients == (Recipient("archive@example.org"),)
