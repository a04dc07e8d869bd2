"""A relay whose account keeps its secret in Vault: an outage is waited for, a denial needs a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.testing import Sandbox
from relay.conversing import submit
from relay.running import Relay, eventually, relay_table
from support.tokenserver import serving
from support.vaults import Vault

STORE = '[secret-stores.safe]\ntype = "hashicorp-vault"\n'


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, postbearer_sandbox: Sandbox) -> Iterator[Vault]:
    with serving(state=Vault()) as server:
        server.secrets["secret/mail"] = {"client-secret": postbearer_sandbox.client_secret}
        monkeypatch.setenv("VAULT_ADDR", server.address)
        monkeypatch.setenv("VAULT_TOKEN", server.token)
        yield server


def configuration(sandbox: Sandbox) -> str:
    """Each attempt wants a new token, and so the secret."""
    account = re.sub(
        r"^client-secret = .*$",
        'client-secret = "safe:secret/mail#client-secret"\nmaximum-token-lifetime = "1 s"',
        sandbox.configuration("alerts"),
        flags=re.M,
    )
    return account + STORE + relay_table('account = "alerts"')


def test_mail_waits_while_the_store_is_down_and_the_account_is_not_paused(
    home: Path, vault: Vault, postbearer_sandbox: Sandbox
) -> None:
    with Relay(home, configuration(postbearer_sandbox)) as relay:
        assert relay.start()
        vault.down = True
        assert submit(relay, "meanwhile") == 250
        deferred = relay.wait_for("DeliveryEnded", text="Vault is sealed")
        assert not deferred["counted"]
        assert relay.said("AccountPaused") == []
        vault.down = False
        assert relay.drain()
        assert len(postbearer_sandbox.inbox.messages) == 1
        assert relay.said("AccountPaused") == []


def test_a_denial_pauses_the_account_until_somebody_permits_it(
    home: Path, vault: Vault, postbearer_sandbox: Sandbox
) -> None:
    vault.token = "hvs.CANARY-another"
    with Relay(home, configuration(postbearer_sandbox)) as relay:
        assert relay.start()
        assert submit(relay, "denied") == 250
        paused = relay.wait_for("AccountPaused")
        assert "permission denied" in str(paused)
        eventually(lambda: len(vault.asked) >= 2)  # what it is now was looked at as well
        vault.token = "hvs.CANARY-root-token"
        assert relay.drain()
        assert len(postbearer_sandbox.inbox.messages) == 1
        assert postbearer_sandbox.client_secret not in relay.log
