"""``postbearer secret test`` with a store elsewhere: it says only that it works, or kindly what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cli.conftest import Home
from postbearer.testing import Sandbox
from support.configuration import COMPLETE
from support.tokenserver import serving
from support.vaults import Vault


@pytest.fixture
def vault(home: Home) -> Iterator[Vault]:
    with serving(state=Vault()) as server:
        server.secrets["secret/mail"] = {"client-secret": "canary-value"}
        home.environ |= {"VAULT_ADDR": server.address, "VAULT_TOKEN": server.token}
        yield server


def test_it_works(home: Home, vault: Vault) -> None:
    ran = home.run("secret", "test", "hashicorp-vault:secret/mail#client-secret")
    assert (ran.code, ran.out) == (0, "hashicorp-vault:secret/mail#client-secret can be read.\n")
    assert "canary" not in ran.err


def test_a_named_store_and_the_key_of_an_account(home: Home, vault: Vault) -> None:
    text = COMPLETE.replace("env:ALERTS_SECRET", "safe:secret/mail#client-secret")
    home.write(f'{text}\n[secret-stores.safe]\ntype = "hashicorp-vault"\ncache = "5 m"\n')
    for asked in ("accounts.alerts.client-secret", "safe:secret/mail#client-secret"):
        ran = home.run("secret", "test", asked)
        assert (ran.code, ran.out) == (0, "safe:secret/mail#client-secret can be read.\n")


@pytest.mark.parametrize(
    ("environ", "field", "code", "says"),
    [
        ({}, "secret", 78, "has no field secret in secret/data/mail"),
        ({"VAULT_TOKEN": "hvs.canary-wrong"}, "client-secret", 78, "permission denied"),
        ({"VAULT_ADDR": "http://127.0.0.1:1"}, "client-secret", 75, "cannot be reached"),
        ({"VAULT_ADDR": ""}, "client-secret", 78, "VAULT_ADDR is not set"),
    ],
)
def test_what_is_wrong(
    home: Home, vault: Vault, environ: dict[str, str], field: str, code: int, says: str
) -> None:
    ran = home.run("-v", "secret", "test", f"hashicorp-vault:secret/mail#{field}", environ=environ)
    assert ran.code == code, ran.err
    assert says in ran.err
    assert "→" in ran.err
    assert "canary" not in ran.out + ran.err
    ran = home.run("secret", "test", f"hashicorp-vault:secret/mail#{field}", "--json", environ=environ)
    error = json.loads(ran.out)["error"]
    assert (error["exit"], error["reference"]) == (code, f"hashicorp-vault:secret/mail#{field}")


SEND = ("send", "--account", "sandbox", "--to", "you@example.org", "--text", "x")


@pytest.fixture
def mailbox(home: Home, vault: Vault, postbearer_sandbox: Sandbox) -> Sandbox:
    """An account at the sandbox whose secret is in Vault."""
    vault.secrets["secret/mail"] = {"client-secret": postbearer_sandbox.client_secret}
    lines = postbearer_sandbox.configuration().splitlines()
    kept = [line for line in lines if not line.startswith("client-secret")]
    home.write("\n".join([*kept, 'client-secret = "hashicorp-vault:secret/mail#client-secret"\n']))
    return postbearer_sandbox


def test_mail_leaves_with_a_secret_from_a_store_and_outlasts_its_outage(
    home: Home, vault: Vault, mailbox: Sandbox
) -> None:
    assert home.run(*SEND).code == 0
    vault.down = True
    ran = home.run(*SEND)
    assert ran.code == 0, f"the last token is still good: {ran.err}"
    assert len(mailbox.inbox.messages) == 2


def test_without_a_token_mail_waits_for_the_store(home: Home, vault: Vault, mailbox: Sandbox) -> None:
    vault.down = True
    ran = home.run(*SEND)
    assert ran.code == 75
    assert "Vault is sealed" in ran.err
    ran = home.run("check", "sandbox", "--json")
    assert ran.code == 75
    assert "Vault is sealed" in ran.out
    vault.down = False
    assert home.run(*SEND).code == 0


def test_a_denial_is_not_waited_for(home: Home, vault: Vault, mailbox: Sandbox) -> None:
    home.environ["VAULT_TOKEN"] = "hvs.canary-revoked"
    ran = home.run(*SEND)
    assert ran.code == 78
    assert "permission denied" in ran.err
    ran = home.run("check", "sandbox")
    assert ran.code == 78
    assert 'capabilities = ["read"]' in ran.out
