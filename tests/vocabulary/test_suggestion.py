"""What somebody meant: other words first, slips that are small for the word, and never the opposite."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.providers import names
from postbearer.sending import Parts
from postbearer.settings import AccountSettings
from postbearer.suggestion import MEANINGS, did_you_mean, meant

PROVIDERS = names()
GRANTS = ("client-credentials", "password", "authorization-code", "device-code", "refresh-token")
QUEUE = ("list", "show", "hold", "release", "retry", "cancel", "export", "import", "stats")
ACCOUNTS = ("list", "show", "pause", "resume")
CONFIG = ("show", "get", "set", "unset", "validate", "schema")
KEYS = AccountSettings.__struct_encode_fields__
SEND = ("--account", "--to", "--cc", "--bcc", "--from", "--sender", "--subject", "--text", "--html", "--wait")
PARTS = tuple(Parts.__optional_keys__)
STATES = ("ready", "leased", "deferred", "held", "delivered", "failed", "expired", "cancelled")


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        *((word, PROVIDERS, ["google"]) for word in ("gmail", "Gmail", "Google Workspace", "workspace")),
        *(
            (word, PROVIDERS, ["microsoft"])
            for word in ("office365", "o365", "M365", "exchange", "Office 365")
        ),
        ("Microsoft Exchange", PROVIDERS, ["microsoft"]),
        ("microsft", PROVIDERS, ["microsoft"]),
        ("gogle", PROVIDERS, ["google"]),
        ("mailgun", PROVIDERS, []),
        ("proton", PROVIDERS, []),
        ("ropc", GRANTS, ["password"]),
        ("client_credential", GRANTS, ["client-credentials"]),
        ("device", GRANTS, ["device-code"]),
        ("body", PARTS, ["text"]),
        ("from_", PARTS, ["sender"]),
        ("attachments", PARTS, ["attach"]),
        ("recipients", PARTS, ["to"]),
        ("code", GRANTS, ["authorization-code"]),
        *((word, QUEUE, ["cancel"]) for word in ("delete", "rm", "remove", "DELETE")),
        *((word, QUEUE, ["retry"]) for word in ("flush", "requeue", "rety")),
        ("unhold", QUEUE, ["release"]),
        ("uncancel", QUEUE, []),
        ("relaese", QUEUE, ["release"]),
        ("unpause", ACCOUNTS, ["resume"]),
        ("puase", ACCOUNTS, ["pause"]),
        ("unsett", CONFIG, ["unset"]),
        ("disallow", ("allow",), []),
        ("no-wait", ("--wait",), []),
        ("--form", SEND, ["--from"]),
        ("--body", SEND, ["--text"]),
        ("--subjct", SEND, ["--subject"]),
        ("--tp", SEND, []),
        ("clientid", KEYS, ["client-id"]),
        ("adress", KEYS, ["address"]),
        ("client_id", KEYS, ["client-id"]),
        ("rotate", ("rotate-key", "seal", "test"), ["rotate-key"]),
        ("token-u", ("token", "token-url", "token-user"), ["token-url", "token-user"]),
        ("defered", STATES, ["deferred"]),
        ("", QUEUE, []),
        ("x" * 100_000, QUEUE, []),
    ],
)
def test_what_was_meant(word: str, known: tuple[str, ...], expected: list[str]) -> None:
    assert meant(word, known) == expected


def test_without_a_guess_all_are_named() -> None:
    assert did_you_mean("gmial", ("google", "yahoo")) == "Known are: google, yahoo."
    assert did_you_mean("bat", ("cat", "hat", "dog")) == "Did you mean cat or hat?"
    assert did_you_mean("bat", ()) == ""


def test_no_word_stands_for_itself() -> None:
    assert not [name for name, words in MEANINGS.items() if name in words.split()]


@given(st.text(max_size=20), st.lists(st.text(max_size=12), max_size=6))
def test_only_what_is_known_is_named(word: str, known: list[str]) -> None:
    assert set(meant(word, known)) <= set(known)
