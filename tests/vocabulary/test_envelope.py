"""Envelopes refuse what could not be sent."""

from collections.abc import Callable
from typing import Any

import pytest

from postbearer.envelope import Envelope, Recipient
from postbearer.errors import UsageError


def untyped(sender: Any, recipients: Any) -> Envelope:
    """As programs call it that no type checker has seen."""
    return Envelope.of(sender, recipients)


def test_duplicates_are_sent_once() -> None:
    assert Envelope.of("a@example.org", ["b@example.org", "b@example.org"]).addresses == ("b@example.org",)


def test_the_null_reverse_path_is_fine() -> None:
    assert Envelope.of("", ["b@example.org"]).reverse_path == ""


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Envelope.of("a@example.org", []), "at least one recipient"),
        (lambda: Envelope.of("a@example.org", "b@example.org"), "not one string"),
        (lambda: Envelope.of("a", ["b@example.org"]), "domain is missing"),
        (lambda: untyped(None, ["b@example.org"]), "is a text, and no NoneType"),
        (lambda: untyped("a@example.org", [b"b@example.org"]), "no bytes"),
        (lambda: untyped("a@example.org", [Recipient("b@example.org")]), "no Recipient"),
        (lambda: Envelope.of("a@example.org", ["b@example.org\r\nDATA"]), "control character"),
        (lambda: Envelope("a@example.org", (Recipient("b@example.org"),), envid="x\ny"), "ENVID"),
        (lambda: Envelope("a@example.org", (Recipient("b@example.org"),), envid="x" * 101), "ENVID"),
        (lambda: Envelope("a@example.org", (Recipient("b@example.org"),), envid="=" * 34), "ENVID"),
        (lambda: Envelope("a@example.org", (Recipient("b@example.org"),), envid="ü"), "ENVID"),
        (lambda: Envelope("a@example.org", (Recipient("b@example.org"),), priority=10), "priority"),
        (lambda: Recipient("b@example.org", notify=("NEVER", "DELAY")), "NEVER"),
        (lambda: Recipient("b@example.org", orcpt="rfc822;x\r\n"), "ORCPT"),
    ],
)
def test_l6_what_cannot_be_sent_is_named(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        make()


def test_only_a_local_part_needs_smtputf8() -> None:
    assert not Envelope.of("a@example.org", ["b@bücher.example"]).needs_smtputf8
    assert Envelope.of("a@example.org", ["bücher@example.org"]).needs_smtputf8
