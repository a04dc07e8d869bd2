"""``azure-key-vault:``, against a server of the tests that speaks as Microsoft's documentation says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import Secret
from postbearer.secrets import source
from secret_stores.conftest import Named
from support.canary import assert_absent
from support.planted import told
from support.tokenserver import Answer, said, serving
from support.vaults import KeyVault

CANARY = "0.AAACANARY~client-secret"
PROOF = "CANARY~of-the-application"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyVault]:
    with serving(state=KeyVault()) as server:
        server.secrets = {"mail": CANARY, "mail/0123abcd": "an old one"}
        monkeypatch.setenv("PROOF", PROOF)
        yield server


@pytest.fixture
def table(vault: KeyVault) -> str:
    return (
        f'type = "azure-key-vault"\nendpoint = "{vault.address}"\ntoken-url = "{vault.url}"\n'
        'client-id = "mailer"\nclient-secret = "env:PROOF"\n'
    )


async def test_an_application_with_a_secret(vault: KeyVault, named: Named, table: str) -> None:
    secret = named("contoso/mail", table)
    assert await secret.read() == Secret(CANARY)
    assert vault.asked[0].form == {
        "grant_type": "client_credentials",
        "client_id": "mailer",
        "client_secret": PROOF,
        "scope": "https://vault.azure.net/.default",
    }
    vault.secrets["mail"] = "the new one"
    assert await secret.read() == Secret("the new one")
    assert [asked.path for asked in vault.asked].count("/token") == 1, "its token is kept"
    assert await named("contoso/mail/0123abcd", table).read() == Secret("an old one")


async def test_a_federated_identity(vault: KeyVault, named: Named, table: str, tmp_path: Path) -> None:
    (tmp_path / "assertion").write_text("from.another.provider\n")
    given = table.replace('client-secret = "env:PROOF"', 'assertion = "file:assertion"\ncloud = "china"')
    assert await named("contoso/mail", given).read() == Secret(CANARY)
    assert vault.asked[0].form["client_assertion"] == "from.another.provider"
    assert vault.asked[0].form["scope"] == "https://vault.azure.cn/.default"


async def test_a_machine_with_an_identity_needs_no_secret(
    vault: KeyVault, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{vault.address}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", PROOF)
    secret = named("contoso/mail", f'type = "azure-key-vault"\nendpoint = "{vault.address}"')
    assert await secret.read() == Secret(CANARY)
    assert vault.asked[0].headers["x-identity-header"] == PROOF
    assert "resource=https%3A%2F%2Fvault.azure.net" in vault.asked[0].path
    assert_absent(PROOF, repr(secret))


async def test_a_certificate(vault: KeyVault, named: Named, table: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    pair = authority.issue_cert("mailer.example.org")
    pair.private_key_and_cert_chain_pem.write_to_path(tmp_path / "mailer.pem")
    given = table.replace('client-secret = "env:PROOF"', 'certificate = "file:mailer.pem"')
    assert await named("contoso/mail", given).read() == Secret(CANARY)
    assert vault.asked[0].form["client_assertion"].count(".") == 2


async def test_the_variables_of_azures_own_tools(
    vault: KeyVault, named: Named, table: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "assertion").write_text("from.another.provider\n")
    for name, value in {"CLIENT_ID": "ours", "FEDERATED_TOKEN_FILE": str(tmp_path / "assertion")}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    bare = "\n".join(line for line in table.splitlines() if not line.startswith("client"))
    assert await named("contoso/mail", bare).read() == Secret(CANARY)
    assert vault.asked[0].form["client_id"] == "ours"
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "a secret goes first")
    assert await named("contoso/mail", bare).read() == Secret(CANARY)
    assert "client_secret" in vault.asked[2].form


def test_without_a_table_the_vault_and_its_tenant_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "contoso.example.org")
    monkeypatch.setenv("AZURE_CLIENT_ID", "mailer")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", PROOF)
    secret = source("azure-key-vault:contoso/mail")
    shown = repr(secret)
    assert "https://contoso.vault.azure.net" in shown
    assert "https://login.microsoftonline.com/contoso.example.org/oauth2/v2.0/token" in shown
    assert_absent(PROOF, shown)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.partner.microsoftonline.cn/")
    shown = repr(source("azure-key-vault:contoso/mail"))
    assert "https://contoso.vault.azure.cn" in shown
    assert "https://login.partner.microsoftonline.cn/" in shown


def forbidden(message: str, code: str) -> Answer:
    return said(403, error={"code": "Forbidden", "message": message, "innererror": {"code": code}})


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        (None, "refuses to find other (HTTP 404): A secret with (name/id) other was not found",
         "az keyvault secret set --vault-name contoso --name other"),
        (forbidden("no get", "ForbiddenByRbac"),
         "refuses to give other (HTTP 403): no get", "Key Vault Secrets User"),
        (forbidden("ip", "ForbiddenByFirewall"),
         "(HTTP 403): ip", "firewall of the vault"),
        (forbidden("off", "SecretDisabled"),
         "(HTTP 403): off", "Enable it"),
        (said(401, error={"code": "Unauthorized", "message": "AKV10032: Invalid issuer."}),
         "AKV10032: Invalid issuer", "another tenant"),
        (said(200, id="https://x"), "has no field value", ""),
    ],
)  # fmt: skip
async def test_a_refusal_names_what_is_missing(
    vault: KeyVault, named: Named, table: str, answer: Answer | None, says: str, hint: str
) -> None:
    secret = named("contoso/other", table)
    vault.script.append(said(access_token="access-0"))
    if answer is not None:
        vault.script.append(answer)
    with pytest.raises(SecretError) as caught:
        await secret.read()
    assert not isinstance(caught.value, SecretUnavailable)
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.reference == "safe:contoso/other"
    assert_absent(PROOF, told(caught.value))


async def test_a_refused_application_is_a_matter_for_a_person(
    vault: KeyVault, named: Named, table: str
) -> None:
    vault.script.append(said(401, error="invalid_client", error_description=f"AADSTS7000215: {PROOF}"))
    with pytest.raises(SecretError, match=r"No token for Azure Key Vault: .*invalid_client") as caught:
        await named("contoso/mail", table).read()
    assert not isinstance(caught.value, SecretUnavailable)
    assert_absent(PROOF, told(caught.value))


@pytest.mark.parametrize(
    "answers",
    [
        [said(503)],  # no token
        [said(access_token="access-0"), said(429, {"Retry-After": "10"}, error={"code": "Throttled"})],
        [said(access_token="access-0"), Answer(hang_up=True)],
    ],
)
async def test_an_outage_passes(vault: KeyVault, named: Named, table: str, answers: list[Answer]) -> None:
    secret = named("contoso/mail", table)
    vault.script += answers
    with pytest.raises(SecretUnavailable):
        await secret.read()


@pytest.mark.parametrize(
    ("rest", "says"),
    [("contoso", "not complete"), ("evil.example.org#/mail", "no name of a vault")],
)
def test_a_wrong_reference(named: Named, table: str, rest: str, says: str) -> None:
    with pytest.raises(SecretError, match=says):
        named(rest, table)


@pytest.mark.parametrize("name", ["CLIENT_ID", "TENANT_ID"])
def test_what_is_not_set_up(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for each in {"CLIENT_ID", "TENANT_ID", "CLIENT_SECRET"} - {name}:
        monkeypatch.setenv(f"AZURE_{each}", "contoso.example.org")
    with pytest.raises(SecretError, match=f"and AZURE_{name} is not set"):
        source("azure-key-vault:contoso/mail")
