"""A client that proves itself by a key: what is signed and said, and what is wrong with a key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from postbearer.assembly import Assembly
from postbearer.errors import ConfigError, GrantRefused
from postbearer.oauth import ClientKey, RefreshToken, certificate_ends
from postbearer.secret import Secret
from postbearer.state import StateFolder
from postbearer.testing import ManualClock
from support.tokenserver import TokenServer

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
DAY = 86_400.0
CANARY = "canary-of-a-key"


@dataclass(frozen=True)
class Made:
    """A key and its certificate, good for 30 days around the time of the manual clock."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> str:
        return pem(self.key)

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def thumbprint(self, digest: Callable[..., Any]) -> str:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return base64.urlsafe_b64encode(digest(der).digest()).rstrip(b"=").decode()

    def pkcs12(self, password: bytes = b"", *, name: bytes = b"relay") -> bytes:
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return pkcs12.serialize_key_and_certificates(name, self.key, self.certificate, None, lock)


def pem(key: PrivateKey, password: bytes = b"") -> str:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, lock).decode()


def certified(key: PrivateKey) -> Made:
    now = datetime.fromtimestamp(ManualClock().now(), UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay.example.org")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=15))
        .not_valid_after(now + timedelta(days=15))
        .sign(key, hashes.SHA256())
    )
    return Made(key, certificate)


@pytest.fixture(scope="module")
def made() -> Made:
    return certified(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture(scope="module")
def elliptic() -> Made:
    return certified(ec.generate_private_key(ec.SECP256R1()))


def configured(folder: Path, server: TokenServer, lines: str) -> Assembly:
    path = folder / "postbearer.toml"
    path.write_text(
        '[accounts.alerts]\nprovider = "smtp"\naddress = "alerts@example.org"\nservers = ["127.0.0.1:1"]\n'
        f'token-url = "{server.url}"\nscopes = ["mail.send"]\nclient-id = "relay"\n{lines}\n'
    )
    path.chmod(0o600)
    return Assembly.load(path, {"LOCK": "open sesame"}, StateFolder(folder / "state"))


# --- what is signed -----------------------------------------------------------------------------------


async def test_a_certificate_signs_by_ps256_and_is_named_by_its_thumbprint(
    tmp_path: Path, server: TokenServer, clock: ManualClock, made: Made
) -> None:
    (tmp_path / "client.pem").write_text(made.certificate_pem + made.key_pem)
    lines = 'grant = "client-credentials"\ncertificate = "file:client.pem"'
    await configured(tmp_path, server, lines).token_source("alerts", clock=clock).token()
    (asked,) = server.asked
    read = jwt.decode(
        asked.form.pop("client_assertion"), RSAKey.import_key(made.key_pem), algorithms=["PS256"]
    )
    assert read.header == {"alg": "PS256", "typ": "JWT", "x5t#S256": made.thumbprint(hashlib.sha256)}
    assert asked.form == {
        "grant_type": "client_credentials",
        "scope": "mail.send",
        "client_id": "relay",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    now = int(clock.now())
    assert len(str(read.claims.pop("jti"))) >= 16
    assert read.claims == {
        "iss": "relay",
        "sub": "relay",
        "aud": server.url,
        "iat": now,
        "nbf": now - 60,
        "exp": now + 300,
    }


async def test_rs256_names_the_older_thumbprint_too(
    tmp_path: Path, server: TokenServer, clock: ManualClock, made: Made
) -> None:
    (tmp_path / "client.pem").write_text(made.certificate_pem)
    (tmp_path / "key.pem").write_text(made.key_pem)
    lines = (
        'grant = "client-credentials"\ncertificate = "file:client.pem"\nprivate-key = "file:key.pem"\n'
        'assertion-algorithm = "RS256"\nassertion-audience = "https://login.example.org/"'
    )
    await configured(tmp_path, server, lines).token_source("alerts", clock=clock).token()
    text = server.asked[0].form["client_assertion"]
    read = jwt.decode(text, RSAKey.import_key(made.key_pem), algorithms=["RS256"])
    assert read.header["x5t"] == made.thumbprint(hashlib.sha1)
    assert read.header["x5t#S256"] == made.thumbprint(hashlib.sha256)
    assert read.claims["aud"] == "https://login.example.org/"


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("form", ["binary", "base64"])
async def test_pkcs12_holds_both(
    tmp_path: Path, server: TokenServer, clock: ManualClock, made: Made, form: str, locked: bool
) -> None:
    data = made.pkcs12(b"open sesame" if locked else b"")
    (tmp_path / "client.pfx").write_bytes(data if form == "binary" else base64.encodebytes(data))
    lines = 'grant = "client-credentials"\ncertificate = "file:client.pfx"'
    if locked:
        (tmp_path / "lock").write_text("open sesame\n")
        lines += '\nkey-password = "file:lock"'
    await configured(tmp_path, server, lines).token_source("alerts", clock=clock).token()
    text = server.asked[0].form["client_assertion"]
    read = jwt.decode(text, RSAKey.import_key(made.key_pem), algorithms=["PS256"])
    assert read.header["x5t#S256"] == made.thumbprint(hashlib.sha256)


async def test_a_bare_key_is_named_by_its_id(
    tmp_path: Path, server: TokenServer, clock: ManualClock, made: Made, elliptic: Made
) -> None:
    for key, algorithm in ((made, "RS256"), (elliptic, "ES256")):
        (tmp_path / "key.pem").write_text(key.key_pem)
        lines = 'grant = "client-credentials"\nprivate-key = "file:key.pem"\nkey-id = "k1"'
        source = configured(tmp_path, server, lines).token_source("alerts", clock=clock)
        await source.fresh()
        text = server.asked[-1].form["client_assertion"]
        public = (RSAKey if algorithm == "RS256" else ECKey).import_key(key.key_pem)
        assert jwt.decode(text, public, algorithms=[algorithm]).header == {
            "alg": algorithm,
            "typ": "JWT",
            "kid": "k1",
        }


async def test_a_key_that_was_replaced_signs_the_next_request(
    tmp_path: Path, server: TokenServer, clock: ManualClock, made: Made
) -> None:
    (tmp_path / "key.pem").write_text(made.key_pem)
    lines = 'grant = "client-credentials"\nprivate-key = "file:key.pem"'
    source = configured(tmp_path, server, lines).token_source("alerts", clock=clock)
    await source.fresh()
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "key.pem").write_text(pem(other))
    await source.fresh()
    text = server.asked[1].form["client_assertion"]
    assert jwt.decode(text, RSAKey.import_key(pem(other)), algorithms=["RS256"]).claims["iss"] == "relay"


async def test_a_key_signs_for_a_mailbox(
    tmp_path: Path, server: TokenServer, clock: ManualClock, made: Made
) -> None:
    (tmp_path / "key.pem").write_text(made.key_pem)
    lines = 'grant = "jwt-bearer"\nprivate-key = "file:key.pem"'
    await configured(tmp_path, server, lines).token_source("alerts", clock=clock).token()
    (asked,) = server.asked
    read = jwt.decode(asked.form.pop("assertion"), RSAKey.import_key(made.key_pem), algorithms=["RS256"])
    assert (read.claims["iss"], read.claims["sub"]) == ("relay", "alerts@example.org")
    assert asked.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "client_id": "relay",
        "scope": "mail.send",
    }


async def test_an_assertion_made_elsewhere_is_shown_as_it_is(
    tmp_path: Path, server: TokenServer, clock: ManualClock
) -> None:
    (tmp_path / "assertion").write_text("made.elsewhere.x\n")
    for grant, field in (("jwt-bearer", "assertion"), ("client-credentials", "client_assertion")):
        lines = f'grant = "{grant}"\nassertion = "file:assertion"'
        await configured(tmp_path, server, lines).token_source("alerts", clock=clock).fresh()
        assert server.asked[-1].form[field] == "made.elsewhere.x"


# --- what is wrong with a key -------------------------------------------------------------------------


def refusal(key: ClientKey, *, days: float = 0) -> GrantRefused:
    given = {name: getattr(key, name) for name in key.SECRETS if getattr(key, name) is not None}
    now = ManualClock().now() + days * DAY
    with pytest.raises(GrantRefused) as caught:
        key.assertion({"iss": "relay"}, given, now=now, account="alerts")
    error = caught.value
    assert error.configuration
    assert error.hint
    assert "alerts" in error.message
    assert CANARY not in f"{error} {error.hint}"
    return error


def test_a_certificate_past_its_days_is_named_with_the_date(made: Made) -> None:
    key = ClientKey(certificate=Secret(made.certificate_pem + made.key_pem))
    late, early = refusal(key, days=16), refusal(key, days=-16)
    assert f"expired on {made.certificate.not_valid_after_utc:%Y-%m-%d}" in late.message
    assert "new certificate" in late.hint
    assert f"not valid before {made.certificate.not_valid_before_utc:%Y-%m-%d}" in early.message
    assert "clock" in early.hint


def test_a_key_of_another_certificate_is_named(made: Made, elliptic: Made) -> None:
    for other in (elliptic, certified(rsa.generate_private_key(public_exponent=65537, key_size=2048))):
        key = ClientKey(certificate=Secret(made.certificate_pem), private_key=Secret(other.key_pem))
        assert "does not belong to the certificate" in refusal(key).message


def test_the_certificate_of_the_key_may_stand_anywhere_in_the_chain(made: Made, elliptic: Made) -> None:
    chain = Secret(elliptic.certificate_pem + made.certificate_pem + made.key_pem)
    assert ClientKey(certificate=chain).assertion({}, {"certificate": chain}, now=ManualClock().now())


def _cases(made: Made, elliptic: Made) -> list[tuple[ClientKey, str]]:
    certificate, locked = Secret(made.certificate_pem), Secret(pem(made.key, b"open sesame"))
    container = Secret(base64.b64encode(made.pkcs12(b"open sesame")).decode())
    large = Secret(pem(ec.generate_private_key(ec.SECP384R1())))
    damaged = made.certificate_pem.replace(made.certificate_pem[64:128], "A" * 64)
    return [
        (ClientKey(), "private"),
        (ClientKey(private_key=Secret(CANARY)), "private-key holds no RSA or P-256 private key"),
        (ClientKey(private_key=locked), "that is not locked"),
        (ClientKey(private_key=locked, key_password=Secret(CANARY)), "that key-password opens"),
        (ClientKey(private_key=large), "private-key holds no RSA or P-256 private key"),
        (ClientKey(certificate=certificate), "certificate holds no RSA or P-256 private key"),
        (ClientKey(certificate=Secret(CANARY)), "neither PEM nor PKCS#12"),
        (ClientKey(certificate=Secret("AAAA")), "no PKCS#12 that needs no key-password"),
        (ClientKey(certificate=container), "no PKCS#12 that needs no key-password"),
        (ClientKey(certificate=container, key_password=Secret(CANARY)), "no PKCS#12 that key-password opens"),
        (ClientKey(certificate=container, private_key=Secret(made.key_pem)), "has its own key"),
        (ClientKey(certificate=Secret(damaged), private_key=Secret(made.key_pem)), "damaged certificate"),
        (
            ClientKey(certificate=Secret(elliptic.key_pem), private_key=Secret(made.key_pem)),
            "holds no certificate",
        ),
        (ClientKey(private_key=Secret(made.key_pem), algorithm="ES256"), "ES256 does not go with"),
        (ClientKey(private_key=Secret(elliptic.key_pem), algorithm="PS256"), "PS256 does not go with"),
    ]


def test_what_cannot_sign_is_named(made: Made, elliptic: Made) -> None:
    for key, why in _cases(made, elliptic):
        assert why in refusal(key).message


def test_the_end_of_a_certificate_can_be_told(made: Made) -> None:
    given = {"certificate": Secret(made.certificate_pem + made.key_pem)}
    assert certificate_ends(given) == made.certificate.not_valid_after_utc.timestamp()
    assert certificate_ends({"private_key": Secret(made.key_pem)}) is None


# --- configuration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "key", "why"),
    [
        (
            'grant = "client-credentials"\nclient-authentication = "private-key-jwt"',
            "client-secret",
            "is missing",
        ),
        (
            'grant = "client-credentials"\nclient-secret = "env:S"\n'
            'client-authentication = "private-key-jwt"',
            "private-key",
            "is missing",
        ),
        (
            'grant = "client-credentials"\nprivate-key = "env:K"\nassertion-algorithm = "HS256"',
            "assertion-algorithm",
            "",
        ),
        (
            'grant = "jwt-bearer"\nprivate-key = "env:K"\nassertion = "env:A"',
            "assertion",
            "is another way to an assertion beside private-key",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_at_load(
    tmp_path: Path, server: TokenServer, lines: str, key: str, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, server, lines)
    assert f"accounts.alerts.{key}" in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize(("provider", "header"), [("yahoo", True), ("microsoft", False)])
def test_the_provider_says_where_the_secret_goes(
    tmp_path: Path, server: TokenServer, provider: str, header: bool
) -> None:
    path = tmp_path / "postbearer.toml"
    path.write_text(
        f'[accounts.alerts]\nprovider = "{provider}"\naddress = "alerts@example.org"\n'
        'tenant = "example.org"\ngrant = "refresh-token"\nclient-id = "relay"\n'
        'client-secret = "env:S"\nrefresh-token = "env:R"\n'
    )
    path.chmod(0o600)
    grant = Assembly.load(path, {}, StateFolder(tmp_path / "state")).account("alerts").grant
    assert isinstance(grant, RefreshToken)
    assert grant.authentication == ("basic" if header else "post")
