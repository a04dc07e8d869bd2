"""`postbearer logout`: a sign-in ends at the provider and here, or nothing changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Home
from cli.test_login import approve, configure, login, signed_in
from postbearer.testing import Faults, Sandbox, TokenFault
from support.planted import assert_none_shows


def sign_in(home: Home) -> None:
    with login(home) as one:
        approve(one.url())
        assert one.end().code == 0
    assert signed_in(home)


@pytest.fixture
def account(home: Home, postbearer_sandbox: Sandbox) -> Home:
    """Somebody has signed in, and the provider has an address to end that at."""
    configure(home, postbearer_sandbox, **{"revocation-url": postbearer_sandbox.describe()["revocation_url"]})
    sign_in(home)
    return home


def token_file(home: Home) -> Path:
    return Path(home.environ["POSTBEARER_STATE"], "tokens", "sandbox")


def test_a_sign_in_ends_at_the_provider_and_here(account: Home, postbearer_sandbox: Sandbox) -> None:
    kept = token_file(account).read_bytes()
    ran = account.run("logout")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Signed out at the provider, and forgotten here.\n"
    after = account.run("token", "sandbox")
    assert (after.code, after.out) == (77, "")
    assert "postbearer login sandbox" in after.err
    token_file(account).write_bytes(kept)  # as somebody who has a copy
    stolen = account.run("check", "sandbox")
    assert stolen.code == 77
    assert "AADSTS700082" in stolen.out
    sign_in(account)


def test_the_issuer_names_the_address(home: Home, postbearer_sandbox: Sandbox) -> None:
    configure(home, postbearer_sandbox, issuer=postbearer_sandbox.url)
    sign_in(home)
    assert json.loads(home.run("logout", "--json").out) == {
        "account": "sandbox",
        "signed_out": True,
        "revoked": True,
    }
    assert not signed_in(home)


@pytest.mark.parametrize("kind", ["down", "throttled"])
def test_while_the_provider_cannot_be_asked_nothing_changes(
    account: Home, postbearer_sandbox: Sandbox, kind: str
) -> None:
    postbearer_sandbox.set_faults(Faults(token=[TokenFault(kind=kind, times=9)]))
    kept = token_file(account).read_bytes()
    ran = account.run("logout")
    assert ran.code == 75
    assert "logout sandbox --local" in ran.err
    assert token_file(account).read_bytes() == kept
    local = json.loads(account.run("logout", "--local", "--json").out)
    assert (local["signed_out"], local["revoked"]) == (True, False)
    assert not signed_in(account)


def test_a_provider_that_refuses_is_told_with_its_words(account: Home, postbearer_sandbox: Sandbox) -> None:
    fault = TokenFault(kind="refused", error="unsupported_token_type", description="Not that one.", times=9)
    postbearer_sandbox.set_faults(Faults(token=[fault]))
    ran = account.run("logout")
    assert ran.code == 78
    assert "Not that one." in ran.err
    assert "logout sandbox --local" in ran.err
    postbearer_sandbox.set_faults(Faults())
    assert signed_in(account)


def test_a_token_that_the_provider_no_longer_knows_is_forgotten(
    account: Home, postbearer_sandbox: Sandbox
) -> None:
    fault = TokenFault(kind="refused", error="invalid_token", description="Token expired or revoked", times=9)
    postbearer_sandbox.set_faults(Faults(token=[fault]))
    assert account.run("logout").code == 0
    postbearer_sandbox.set_faults(Faults())
    assert not signed_in(account)


def test_where_the_provider_has_no_address_the_person_is_told_where_to_go(
    home: Home, postbearer_sandbox: Sandbox
) -> None:
    configure(home, postbearer_sandbox)
    sign_in(home)
    ran = home.run("logout")
    assert (ran.code, ran.out) == (0, "Signed out: forgotten here.\n")
    assert "list of applications, as alerts@example.org" in ran.err
    again = home.run("logout")
    assert (again.code, again.out) == (0, "Nobody was signed in for sandbox.\n")


def test_a_damaged_sign_in_is_gone_afterwards(account: Home) -> None:
    token_file(account).write_bytes(b"{")
    ran = account.run("logout")
    assert ran.code == 0
    assert "could not be read, and is gone" in ran.out
    sign_in(account)


def test_no_output_shows_a_secret(account: Home, postbearer_sandbox: Sandbox) -> None:
    ran = account.run("logout", "-v")
    assert_none_shows(postbearer_sandbox, ran.out, ran.err)
