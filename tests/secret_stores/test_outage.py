"""When a secret store fails: what goes on, what waits, and what an account does that lives from it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.oauth import CachedSource, ClientCredentials, Endpoint
from postbearer.secret import Secret
from postbearer.secrets import source
from postbearer.testing import ManualClock
from secret_stores.conftest import Named
from support.canary import assert_absent
from support.planted import told
from support.tokenserver import TokenServer, said, serving
from support.vaults import Vault

REFERENCE = "hashicorp-vault:secret/mail#client-secret"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    with serving(state=Vault()) as server:
        server.secrets["secret/mail"] = {"client-secret": "one"}
        monkeypatch.setenv("VAULT_ADDR", server.address)
        monkeypatch.setenv("VAULT_TOKEN", server.token)
        yield server


@pytest.fixture
def login() -> Iterator[TokenServer]:
    with serving() as server:
        yield server


async def test_the_last_good_token_is_used_until_its_end(vault: Vault, login: TokenServer) -> None:
    clock = ManualClock()
    grant = ClientCredentials("shop", source(REFERENCE))
    tokens = CachedSource(grant, Endpoint(login.url), clock=clock)
    first = await tokens.token()

    clock.advance(3590)  # it should be renewed now, and lives for ten seconds more
    vault.script.append(said(503, errors=["Vault is sealed"]))
    assert await tokens.token() == first
    assert len(login.asked) == 1, "without a secret nobody asks"

    clock.advance(11)
    vault.script.append(said(503, errors=["Vault is sealed"]))
    with pytest.raises(SecretUnavailable, match="Vault is sealed"):
        await tokens.token()

    vault.secrets["secret/mail"] = {"client-secret": "rotated meanwhile"}
    assert (await tokens.token()).access == Secret("access-2")
    assert login.asked[-1].form["client_secret"] == "rotated meanwhile"


async def test_a_cache_bridges_an_outage_and_ends(vault: Vault, named: Named) -> None:
    kept = named("secret/mail#client-secret", 'type = "hashicorp-vault"\ncache = "1 h"')
    at_once = named("secret/mail#client-secret", 'type = "hashicorp-vault"\ncache = "0"')
    assert await kept.read() == await at_once.read() == Secret("one")
    vault.secrets["secret/mail"] = {"client-secret": "two"}
    assert await at_once.read() == Secret("two")
    assert await kept.read() == Secret("one")


async def test_a_server_with_an_unknown_certificate_gets_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: Named
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serving(context, Vault()) as server:
        server.secrets["secret/mail"] = {"client-secret": "one"}
        monkeypatch.setenv("VAULT_ADDR", server.address)
        monkeypatch.setenv("VAULT_TOKEN", server.token)
        with pytest.raises(SecretUnavailable, match=r"TLS with .* failed") as caught:
            await source(REFERENCE).read()
        assert "ca-file" in caught.value.hint
        assert server.asked == []
        beside = named("secret/mail#client-secret", 'type = "hashicorp-vault"\nca-file = "ca.pem"')
        assert await beside.read() == Secret("one")  # a relative path starts at the configuration
        monkeypatch.setenv("VAULT_CACERT", str(tmp_path / "ca.pem"))
        assert await source(REFERENCE).read() == Secret("one")


async def test_a_store_that_does_not_run_is_named(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    with pytest.raises(SecretUnavailable, match=r"Vault: 127\.0\.0\.1:1 cannot be reached") as caught:
        await source(REFERENCE).read()
    assert caught.value.reference == REFERENCE
    assert caught.value.hint


@pytest.mark.parametrize("token", ["hvs.CANARY\nX: y", "hvs.CANARY\0", "hvs.CANARYü"])
async def test_o9_a_token_that_no_header_can_carry_is_not_shown(
    vault: Vault, named: Named, tmp_path: Path, token: str
) -> None:
    (tmp_path / "token").write_text(token)
    secret = named("secret/mail#client-secret", 'type = "hashicorp-vault"\ntoken = "file:token"')
    with pytest.raises(SecretError, match="in the header X-Vault-Token") as caught:
        await secret.read()
    assert_absent("hvs.CANARY", told(caught.value))
    assert vault.asked == []


def test_stores_are_the_same_when_they_read_the_same_place(vault: Vault, named: Named) -> None:
    table = 'type = "hashicorp-vault"\ntoken = "env:VAULT_TOKEN"'
    assert named("secret/mail#x", table) == named("secret/mail#x", table)
    assert named("secret/mail#x", table) != named("secret/mail#x", f'{table}\nnamespace = "other"')
    assert named("secret/mail#x", table) != named("secret/mail#y", table)
    assert len({named("secret/mail#x", table), named("secret/mail#x", table)}) == 1
