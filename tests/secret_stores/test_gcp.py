"""``gcp-secret-manager:``, against a server of the tests that speaks as Google's documentation says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import Secret
from postbearer.secrets import source
from secret_stores.conftest import Named
from support.canary import assert_absent
from support.planted import told
from support.tokenserver import Answer, said, serving
from support.vaults import GoogleSecrets

CANARY = "0.AAACANARY~client-secret"
LATEST = "projects/shop/secrets/mail/versions/latest"


@pytest.fixture(scope="module")
def pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none).decode()


@pytest.fixture
def google(tmp_path: Path, pem: str) -> Iterator[GoogleSecrets]:
    account = {"type": "service_account", "client_email": "mailer@shop.example.org", "private_key": pem}
    (tmp_path / "key.json").write_text(json.dumps(account))
    with serving(state=GoogleSecrets()) as server:
        server.secrets[LATEST] = f"{CANARY}\n".encode()
        yield server


@pytest.fixture
def table(google: GoogleSecrets) -> str:
    return (
        f'type = "gcp-secret-manager"\nendpoint = "{google.address}"\ntoken-url = "{google.url}"\n'
        'service-account = "file:key.json"\n'
    )


async def test_a_service_account_acts_as_itself(
    google: GoogleSecrets, named: Named, table: str, pem: str
) -> None:
    secret = named("shop/mail", table)
    assert await secret.read() == Secret(CANARY)
    read = jwt.decode(google.asked[0].form["assertion"], RSAKey.import_key(pem), algorithms=["RS256"])
    assert read.claims["iss"] == "mailer@shop.example.org"
    assert read.claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert "sub" not in read.claims
    google.secrets[LATEST] = b"the new one"
    assert await secret.read() == Secret("the new one")


async def test_an_old_version_and_a_location(google: GoogleSecrets, named: Named, table: str) -> None:
    google.secrets["projects/shop/locations/europe-west3/secrets/mail/versions/3"] = b"an old one"
    given = f'{table}location = "europe-west3"\n'
    assert await named("shop/mail/3", given).read() == Secret("an old one")
    assert "https://secretmanager.europe-west3.rep.googleapis.com" in repr(
        named("shop/mail", 'type = "gcp-secret-manager"\nlocation = "europe-west3"')
    )


async def test_a_machine_of_googles_needs_no_key(
    google: GoogleSecrets, named: Named, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", google.address.removeprefix("http://"))
    bare = table.replace('service-account = "file:key.json"\n', "")
    assert await named("shop/mail", bare).read() == Secret(CANARY)
    assert google.asked[0].path == "/computeMetadata/v1/instance/service-accounts/default/token"


async def test_the_variable_of_googles_own_tools(
    google: GoogleSecrets, named: Named, table: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    bare = table.replace('service-account = "file:key.json"\n', "")
    assert await named("shop/mail", bare).read() == Secret(CANARY)
    assert "assertion" in google.asked[0].form


def test_the_metadata_server_is_no_host_of_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "metadata.google.internal")
    assert "169.254.169.254" in repr(source("gcp-secret-manager:shop/mail"))
    monkeypatch.setenv("GCE_METADATA_HOST", "evil.example.org")
    with pytest.raises(SecretError, match=r"evil\.example\.org cannot be used"):
        source("gcp-secret-manager:shop/mail")


@pytest.mark.parametrize(
    ("code", "status", "hint"),
    [
        (403, "PERMISSION_DENIED", "roles/secretmanager.secretAccessor"),
        (400, "FAILED_PRECONDITION", "Enable this version"),
        (401, "UNAUTHENTICATED", "new key"),
        (404, "NOT_FOUND", "gcloud secrets versions add"),
    ],
)
async def test_a_refusal_names_what_is_missing(
    google: GoogleSecrets, named: Named, table: str, code: int, status: str, hint: str
) -> None:
    google.deny(code, status, "As it says.")
    with pytest.raises(SecretError, match=rf"{LATEST} \(HTTP {code}\): As it says") as caught:
        await named("shop/mail", table).read()
    assert not isinstance(caught.value, SecretUnavailable)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said(503, error={"status": "UNAVAILABLE"}), SecretUnavailable),
        (said(429, error={"status": "RESOURCE_EXHAUSTED"}), SecretUnavailable),
        (Answer(hang_up=True), SecretUnavailable),
        (said(payload={"data": "no base64!"}), SecretError),
        (said(payload={"data": ""}), SecretError),
        (said(payload=[]), SecretError),
    ],
)
async def test_what_else_may_be_answered(
    google: GoogleSecrets, named: Named, table: str, answer: Answer, error: type[SecretError]
) -> None:
    google.script += [said(access_token="access-0"), answer]
    with pytest.raises(SecretError) as caught:
        await named("shop/mail", table).read()
    assert type(caught.value) is error


async def test_a_key_file_of_another_kind(
    google: GoogleSecrets, named: Named, table: str, tmp_path: Path
) -> None:
    (tmp_path / "key.json").write_text(json.dumps({"type": "authorized_user", "refresh_token": CANARY}))
    with pytest.raises(SecretError, match="refresh token of a person's sign-in") as caught:
        await named("shop/mail", table).read()
    assert_absent(CANARY, told(caught.value))


def test_a_wrong_reference() -> None:
    with pytest.raises(SecretError, match="not complete") as caught:
        source("gcp-secret-manager:mail")
    assert caught.value.hint == "Write gcp-secret-manager:project/secret."
