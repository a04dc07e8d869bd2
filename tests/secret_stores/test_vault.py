"""``hashicorp-vault:``, against a server of the tests that speaks as Vault's documentation says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import Secret
from postbearer.secrets import source
from secret_stores.conftest import Named
from support.canary import assert_absent
from support.planted import told
from support.tokenserver import Answer, said, serving
from support.vaults import Vault

CANARY = "0.AAACANARY~client-secret"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """A Vault with two secrets in it; the environment names it as for Vault's own command."""
    with serving(state=Vault()) as server:
        server.secrets = {
            "secret/mail": {"client-secret": CANARY, "user": "alerts"},
            "old/mail": {"password": CANARY},
        }
        monkeypatch.setenv("VAULT_ADDR", server.address)
        monkeypatch.setenv("VAULT_TOKEN", server.token)
        yield server


@pytest.mark.parametrize(
    "reference",
    [
        "hashicorp-vault:secret/mail#client-secret",
        "hashicorp-vault:/secret/mail#client-secret",
        "hashicorp-vault:secret/data/mail#client-secret",  # as in the API and in policies
        "hashicorp-vault:old/mail#password",
    ],
)
async def test_the_environment_of_vaults_own_command_is_enough(vault: Vault, reference: str) -> None:
    assert await source(reference).read() == Secret(CANARY)


async def test_a_new_value_is_read_at_once(vault: Vault) -> None:
    secret = source("hashicorp-vault:secret/mail#client-secret")
    await secret.read()
    vault.secrets["secret/mail"] = {"client-secret": "the new one"}
    assert await secret.read() == Secret("the new one")


async def test_the_token_that_vault_login_left(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".vault-token").write_text(vault.token)
    assert await source("hashicorp-vault:secret/mail#user").read() == Secret("alerts")


async def test_a_table_says_it_all(
    vault: Vault, named: Named, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(vault.token)
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example.org")
    monkeypatch.delenv("VAULT_TOKEN")
    vault.namespace = "team/mail"
    vault.mounts["deep/kv"] = 2
    vault.secrets["deep/kv/shop/mail"] = {"password": CANARY}
    table = f'type = "hashicorp-vault"\naddress = "{vault.address}/"\n'
    table += 'namespace = "team/mail"\ntoken = "file:token"'
    secret = named("deep/kv/shop/mail#password", table)
    assert secret.reference == "safe:deep/kv/shop/mail#password"
    assert await secret.read() == Secret(CANARY)
    told_version = named("deep/kv/shop/mail#password", f'{table}\nmount = "deep/kv"\nkv-version = 2')
    vault.asked.clear()
    assert await told_version.read() == Secret(CANARY)
    assert [asked.path for asked in vault.asked] == ["/v1/deep/kv/data/shop/mail"], "no need to ask first"


@pytest.mark.parametrize(
    ("path", "expected", "table"),
    [
        (
            "auth/approle/login",
            {"role_id": "mailer", "secret_id": "CANARY-secret-id"},
            'auth = "approle"\nrole-id = "mailer"\nsecret-id = "env:SECRET_ID"',
        ),
        (
            "auth/machines/login",
            {"role_id": "mailer", "secret_id": "CANARY-secret-id"},
            'auth = "approle"\nauth-path = "machines"\nrole-id = "mailer"\nsecret-id = "env:SECRET_ID"',
        ),
        (
            "auth/kubernetes/login",
            {"role": "mailer", "jwt": "CANARY-secret-id"},
            'auth = "kubernetes"\nrole = "mailer"\njwt = "env:SECRET_ID"',
        ),
        (
            "auth/jwt/login",
            {"role": "mailer", "jwt": "CANARY-secret-id"},
            'auth = "jwt"\nrole = "mailer"\njwt = "env:SECRET_ID"',
        ),
    ],
)
async def test_logins(
    vault: Vault,
    named: Named,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    expected: dict[str, str],
    table: str,
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("SECRET_ID", "CANARY-secret-id")
    vault.logins[path] = expected
    secret = named("secret/mail#client-secret", f'type = "hashicorp-vault"\n{table}')
    assert await secret.read() == Secret(CANARY)
    assert await secret.read() == Secret(CANARY)
    assert [asked.path for asked in vault.asked].count(f"/v1/{path}") == 1, "its token is kept"
    vault.token = "hvs.CANARY-after-a-restart"
    assert await secret.read() == Secret(CANARY)
    vault.logins[path] = {}
    vault.token = "hvs.CANARY-after-another"
    with pytest.raises(SecretError, match=f"refuses to log us in at {path.removesuffix('/login')}") as caught:
        await secret.read()
    assert "invalid role or secret ID" in caught.value.message
    assert_absent("CANARY-secret-id", told(caught.value))


async def test_an_agent_adds_the_token_itself(vault: Vault, named: Named) -> None:
    secret = named("old/mail#password", 'type = "hashicorp-vault"\nauth = "agent"\nkv-version = 1')
    vault.script.append(said(data={"password": CANARY}))
    assert await secret.read() == Secret(CANARY)
    (asked,) = vault.asked
    assert "x-vault-token" not in asked.headers
    assert asked.headers["x-vault-request"] == "true"


async def test_a_vault_from_before_versions(vault: Vault) -> None:
    vault.script.append(said(404, errors=[]))
    assert await source("hashicorp-vault:old/mail#password").read() == Secret(CANARY)


@pytest.mark.parametrize(
    ("path", "says", "hint"),
    [
        ("secret/mail#password", "has no field password in secret/data/mail; its fields: client-secret, user",
         "vault kv put secret/mail password="),
        ("secret/none#x", "has nothing at secret/data/none", "vault kv put secret/none x="),
        ("old/none#x", "has nothing at old/none", "vault kv put old/none x="),
        ("secret/gone#x", "deleted at 2026-03-01T12:00:00Z", "vault kv put"),
        ("secret/odd#number", "has no text in the field number", ""),
        ("secret/odd#empty", "has nothing in the field empty", ""),
        ("nowhere/mail#x", "refuses to say what is mounted at nowhere/mail", 'path "nowhere/mail"'),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_told_with_its_place(
    vault: Vault, path: str, says: str, hint: str
) -> None:
    vault.secrets["secret/odd"] = {"number": 5, "empty": ""}
    vault.deleted["secret/gone"] = "2026-03-01T12:00:00Z"
    with pytest.raises(SecretError, match=re.escape(says)) as caught:
        await source(f"hashicorp-vault:{path}").read()
    assert not isinstance(caught.value, SecretUnavailable)
    assert caught.value.message.startswith(f"Vault at {vault.address.removeprefix('http://')} ")
    assert hint in caught.value.hint
    assert_absent(CANARY, told(caught.value))


async def test_a_denial_names_the_policy_that_is_missing(vault: Vault) -> None:
    secret = source("hashicorp-vault:secret/mail#client-secret")
    vault.script += [
        said(data={"path": "secret/", "type": "kv", "options": {"version": "2"}}),
        said(403, errors=["1 error occurred:\n\t* permission denied\n\n"]),
    ]
    with pytest.raises(SecretError, match=r"refuses to read secret/data/mail.*permission denied") as caught:
        await secret.read()
    assert 'path "secret/data/mail" { capabilities = ["read"] }' in caught.value.hint
    assert_absent(vault.token, told(caught.value))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (said(503, errors=["Vault is sealed"]), r"cannot answer now \(HTTP 503\): Vault is sealed"),
        (said(429, errors=["request path quota exceeded"]), "quota exceeded"),
        (said(500, errors=["internal error"]), "HTTP 500"),
        (Answer(hang_up=True), "Vault: .*"),
    ],
)
async def test_an_outage_passes(vault: Vault, answer: Answer, says: str) -> None:
    secret = source("hashicorp-vault:secret/mail#client-secret")
    vault.script.append(answer)
    with pytest.raises(SecretUnavailable, match=says):
        await secret.read()
    assert await secret.read() == Secret(CANARY)


async def test_it_says_how_long_to_wait(vault: Vault) -> None:
    vault.script.append(said(429, {"Retry-After": "7"}))
    with pytest.raises(SecretUnavailable) as caught:
        await source("hashicorp-vault:secret/mail#client-secret").read()
    assert caught.value.retry_after == 7


async def test_a_standby_that_sends_us_elsewhere_gets_no_token_to_follow(vault: Vault) -> None:
    vault.script.append(Answer(307, b"", {"Location": "https://vault-1.example.org/v1/x?list=true"}))
    with pytest.raises(SecretError, match=r"elsewhere, to https://vault-1\.example\.org/v1/x"):
        await source("hashicorp-vault:secret/mail#client-secret").read()


@pytest.mark.parametrize(
    ("reference", "environ", "says"),
    [
        ("hashicorp-vault:secret/mail", {}, "not complete"),
        ("hashicorp-vault:#x", {}, "not complete"),
        ("hashicorp-vault:secret/mail#x", {"VAULT_ADDR": ""}, "no address, and VAULT_ADDR is not set"),
        ("hashicorp-vault:secret/mail#x", {"VAULT_TOKEN": ""}, "no token, and VAULT_TOKEN is not set"),
        ("hashicorp-vault:secret/mail#x", {"VAULT_ADDR": "http://vault.example.org"},
         "VAULT_ADDR cannot be used: http:// is not safe"),
    ],
)  # fmt: skip
def test_what_is_not_set_up(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, reference: str, environ: dict[str, str], says: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SecretError, match=says):
        source(reference)


async def test_a_path_stays_below_its_mount(vault: Vault) -> None:
    with pytest.raises(SecretError, match="is no path"):
        await source("hashicorp-vault:secret/../sys/seal#x").read()
    assert vault.asked == []
