"""Tokens for an assertion: what a service account signs, and what another identity provider made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from postbearer.assembly import Assembly
from postbearer.errors import ConfigError, GrantRefused
from postbearer.oauth import GrantContext, JwtBearer
from postbearer.secret import Secret
from postbearer.state import StateFolder
from support.tokenserver import TokenServer

CANARY = "canary"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> str:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, lock).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(private_key: str, **changes: object) -> dict[str, object]:
    return {
        "type": "service_account",
        "client_email": "relay@project.example.org",
        "private_key_id": "k1",
        "private_key": private_key,
        "token_uri": "https://elsewhere.example.org/token",
        **changes,
    }


def assembled(folder: Path, server: TokenServer, lines: str, environ: Mapping[str, str]) -> Assembly:
    path = folder / "postbearer.toml"
    path.write_text(
        '[accounts.alerts]\nprovider = "smtp"\naddress = "alerts@example.org"\n'
        f'servers = ["127.0.0.1:1"]\ntoken-url = "{server.url}"\nscopes = ["mail.send"]\n{lines}\n'
    )
    path.chmod(0o600)
    return Assembly.load(path, environ, StateFolder(folder / "state"))


async def test_a_service_account_signs_for_the_mailbox(
    tmp_path: Path, server: TokenServer, key: rsa.RSAPrivateKey
) -> None:
    (tmp_path / "key.json").write_text(json.dumps(key_file(pem(key))))
    lines = 'grant = "jwt-bearer"\nservice-account = "file:key.json"'
    token = await assembled(tmp_path, server, lines, {}).token_source("alerts").token()
    assert token.access == Secret("access-1")
    (asked,) = server.asked  # the configured endpoint, not the one in the file
    assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    read = jwt.decode(asked.form["assertion"], RSAKey.import_key(pem(key)), algorithms=["RS256"])
    assert read.header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    issued = read.claims["iat"]
    assert isinstance(issued, int)
    assert read.claims == {
        "iss": "relay@project.example.org",
        "sub": "alerts@example.org",
        "aud": server.url,
        "scope": "mail.send",
        "iat": issued,
        "exp": issued + 3600,
    }


async def test_a_service_account_stands_in_for_the_token_user(
    tmp_path: Path, server: TokenServer, key: rsa.RSAPrivateKey
) -> None:
    (tmp_path / "key.json").write_text(json.dumps(key_file(pem(key))))
    lines = 'grant = "jwt-bearer"\nservice-account = "file:key.json"\ntoken-user = "person@example.org"'
    await assembled(tmp_path, server, lines, {}).token_source("alerts").token()
    read = jwt.decode(server.asked[0].form["assertion"], RSAKey.import_key(pem(key)), algorithms=["RS256"])
    assert read.claims["sub"] == "person@example.org"


def refusal(file: str) -> GrantRefused:
    grant = JwtBearer(Secret(file), "alerts@example.org")
    context = GrantContext(
        "https://login.example.org/token", "alerts", {"service_account": Secret(file)}, now=0.0
    )
    with pytest.raises(GrantRefused) as caught:
        next(grant.request(context))
    assert caught.value.configuration
    assert "service-account" in caught.value.hint
    assert CANARY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (CANARY, "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "it is no JSON object"),
        ("{}", 'its type is not "service_account"'),
        (json.dumps({"type": CANARY}), 'its type is not "service_account"'),
        (json.dumps({"type": "authorized_user"}), "its type is authorized_user"),
        (json.dumps({"type": "external_account"}), "has no key"),
        (json.dumps(key_file("x", client_email="")), "client_email is missing"),
        (json.dumps(key_file("")), "private_key is missing"),
        (json.dumps(key_file(CANARY)), "no unencrypted RSA key in PEM"),
    ],
)
def test_a_file_of_another_kind_is_named(file: str, why: str) -> None:
    assert why in str(refusal(file))


def test_a_key_that_cannot_sign_is_named(key: rsa.RSAPrivateKey) -> None:
    for text in (pem(ec.generate_private_key(ec.SECP256R1())), pem(key, b"password")):
        assert "no unencrypted RSA key in PEM" in str(refusal(json.dumps(key_file(text))))


async def test_a_workload_shows_what_its_platform_gave_it_and_reads_it_again(
    tmp_path: Path, server: TokenServer
) -> None:
    file = tmp_path / "federated"
    file.write_text("first.assertion.x\n")
    lines = 'grant = "workload-identity"\nclient-id = "relay"\nassertion = "file:federated"'
    source = assembled(tmp_path, server, lines, {}).token_source("alerts")
    first = await source.token()
    file.write_text("second.assertion.x\n")
    await source.invalidate(first)
    await source.token()
    assert [asked.form["client_assertion"] for asked in server.asked] == [
        "first.assertion.x",
        "second.assertion.x",
    ]
    assert server.asked[0].form == {
        "grant_type": "client_credentials",
        "client_id": "relay",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "first.assertion.x",
        "scope": "mail.send",
    }


async def test_the_platform_names_client_and_assertion(
    tmp_path: Path, server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "federated").write_text("platform.assertion.x")
    environ = {
        "AZURE_CLIENT_ID": "pod",
        "AZURE_TENANT_ID": "example.org",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "federated"),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    await assembled(tmp_path, server, 'grant = "workload-identity"', environ).token_source("alerts").token()
    (asked,) = server.asked
    assert (asked.form["client_id"], asked.form["client_assertion"]) == ("pod", "platform.assertion.x")


POD = """
[accounts.alerts]
provider = "microsoft"
address = "alerts@example.org"
grant = "workload-identity"
client-id = "pod"
tenant = "example.org"
assertion = "file:federated"
"""


@pytest.mark.parametrize(
    ("authority", "keys", "host", "server"),
    [
        ("https://login.microsoftonline.com/", "", "login.microsoftonline.com", "smtp.office365.com"),
        (
            "https://login.partner.microsoftonline.cn",
            "",
            "login.partner.microsoftonline.cn",
            "smtp.partner.outlook.cn",
        ),
        (
            "https://login.microsoftonline.us/",
            'cloud = "dod"',
            "login.microsoftonline.us",
            "outlook-dod.office365.us",
        ),
        (
            "https://login.microsoftonline.us/",
            'cloud = "global"',
            "login.microsoftonline.com",
            "smtp.office365.com",
        ),
        ("https://login.example.org/", "", "login.microsoftonline.com", "smtp.office365.com"),
    ],
)
def test_the_platform_names_the_cloud(
    tmp_path: Path, authority: str, keys: str, host: str, server: str
) -> None:
    account = pod(tmp_path, authority, keys).account("alerts")
    assert urlsplit(account.endpoint.url).hostname == host
    assert account.smarthost.servers[0].host == server
    (scope,) = getattr(account.grant, "scopes", ())
    assert scope.endswith("/.default")
    assert (scope == "https://partner.outlook.cn/.default") == host.endswith(".cn")


def test_a_login_server_of_two_clouds_leaves_the_choice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AZURE_AUTHORITY_HOST fits the clouds gcc-high and dod") as caught:
        pod(tmp_path, "https://login.microsoftonline.us/").account("alerts")
    assert caught.value.key == "accounts.alerts.cloud"
    assert 'cloud = "gcc-high"' in caught.value.hint


def pod(folder: Path, authority: str, keys: str = "") -> Assembly:
    (folder / "postbearer.toml").write_text(f"{POD}{keys}\n")
    return Assembly.load(folder / "postbearer.toml", environ={"AZURE_AUTHORITY_HOST": authority})
