"""The key a client proves itself with (``private_key_jwt``: RFC 7521 4.2, RFC 7523 2.2 and 3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from postbearer.errors import GrantRefused
from postbearer.oauth.inputs import SecretFields, SecretInput
from postbearer.oauth.jwt import Algorithm, encoded, fits, is_rsa, load_key, signed
from postbearer.secret import Secret

if TYPE_CHECKING:
    from cryptography import x509

    from postbearer.oauth.jwt import PrivateKey

UNFIT_KEY = "unfit_key"  # code of the error for a key or certificate that cannot be used
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 2.2

_LIFETIME = 300  # seconds an assertion is good for: it is used at once, and once
_SLACK = 60  # seconds by which our clock may be ahead of the server's
_BEGIN = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class ClientKey(SecretFields):
    """A private key, and the certificate that the provider knows it by, if it knows it by one.

    `certificate` is PEM, perhaps with the key in it, or PKCS#12 in base64; `key_password` opens what is
    locked. Without an `algorithm` the key decides: PS256 with a certificate, RS256 without, ES256 for a
    P-256 key. `audience` is whom the assertions are for; empty, the token endpoint.
    """

    SECRETS: ClassVar[tuple[str, ...]] = ("certificate", "private_key", "key_password")

    certificate: SecretInput | None = field(default=None, repr=False)
    private_key: SecretInput | None = field(default=None, repr=False)
    key_password: SecretInput | None = field(default=None, repr=False)
    key_id: str = ""
    algorithm: Algorithm | None = None
    audience: str = ""

    def assertion(
        self, claims: Mapping[str, object], given: Mapping[str, Secret], *, now: float, account: str = ""
    ) -> Secret:
        """`claims` signed by the key among the secrets `given`, with the times and the id they need.

        `now` is Unix time. Raises `GrantRefused` for a key or a certificate that cannot be used.
        """
        # Raised from here, where no key lies open in a local variable.
        made = self._signed(claims, given, now)
        if isinstance(made, str):
            raise GrantRefused(
                f"The key of {account or 'the account'} cannot sign: {made}.",
                account=account,
                code=UNFIT_KEY,
                who="app owner" if "expired" in made else "host operator",
                hint=_hint(made),
                configuration=True,
            )
        return made

    def _signed(self, claims: Mapping[str, object], given: Mapping[str, Secret], now: float) -> Secret | str:
        pair = _read(given)
        if isinstance(pair, str):
            return pair
        if trouble := pair.trouble(now):
            return trouble
        algorithm = self.algorithm or pair.algorithm
        if (algorithm == "ES256") is is_rsa(pair.key):
            return f"{algorithm} does not go with the kind of this key"
        times = {
            "jti": secrets.token_urlsafe(16),
            "iat": int(now),
            "nbf": int(now) - _SLACK,
            "exp": int(now) + _LIFETIME,
        }
        return signed({**claims, **times}, pair.key, algorithm, self._header(pair.certificate, algorithm))

    def _header(self, certificate: x509.Certificate | None, algorithm: Algorithm) -> dict[str, str]:
        header = {"kid": self.key_id} if self.key_id else {}
        if certificate is None:
            return header
        der = _der(certificate)
        # RFC 7515 4.1.8: RS256 goes with the older thumbprint at servers that know no other.
        header["x5t#S256"] = encoded(hashlib.sha256(der).digest())
        if algorithm == "RS256":
            header["x5t"] = encoded(hashlib.sha1(der, usedforsecurity=False).digest())
        return header


def client_assertion(
    key: ClientKey, client_id: str, given: Mapping[str, Secret], *, token_url: str, now: float, account: str
) -> dict[str, str | Secret]:
    """The fields of a token request by which `client_id` proves itself (RFC 7523 2.2)."""
    claims = {"iss": client_id, "sub": client_id, "aud": key.audience or token_url}
    assertion = key.assertion(claims, given, now=now, account=account)
    return {"client_assertion_type": CLIENT_ASSERTION, "client_assertion": assertion}


def certificate_ends(given: Mapping[str, Secret]) -> float | None:
    """When the certificate among the secrets `given` expires (Unix seconds); None without one."""
    pair = _read(given)
    if isinstance(pair, str) or pair.certificate is None:
        return None
    return pair.certificate.not_valid_after_utc.timestamp()


def key_trouble(given: Mapping[str, Secret]) -> str:
    """Why nothing can be signed with the secrets `given`, whenever that is; empty if it can."""
    pair = _read(given)
    return pair if isinstance(pair, str) else ""


@dataclass(frozen=True, slots=True)
class _Pair:
    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate | None = None

    @property
    def algorithm(self) -> Algorithm:
        if not is_rsa(self.key):
            return "ES256"
        return "PS256" if self.certificate else "RS256"

    def trouble(self, now: float) -> str:
        """Why the server would not take what this key signs at `now`; empty when it will."""
        if self.certificate is None:
            return ""
        at = datetime.fromtimestamp(now, UTC)
        begins, ends = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        if at >= ends:
            return f"its certificate expired on {ends:%Y-%m-%d %H:%M} UTC"
        if at < begins:
            return f"its certificate is not valid before {begins:%Y-%m-%d %H:%M} UTC"
        return ""


def _hint(trouble: str) -> str:
    if "expired" in trouble:
        return "Make a new certificate, register it at the provider, and put it where the old one was."
    if "not valid before" in trouble:
        return "Wait until then, or set this machine's clock right."
    return "Check certificate, private-key and key-password."


def _read(given: Mapping[str, Secret]) -> _Pair | str:
    """The key and its certificate, or what is wrong with them."""
    password = given.get("key_password")
    container = given.get("certificate")
    if container is not None and _BEGIN not in container.reveal():
        if "private_key" in given:
            return "certificate is PKCS#12, which has its own key, and there is a private-key beside it"
        return _read_pkcs12(container, password)
    found = _certificates(container) if container is not None else []
    if isinstance(found, str):
        return found
    if container is not None and not found and "private_key" in given:
        return "certificate holds no certificate"
    key = load_key(given.get("private_key") or container or Secret(""), password)
    if key is None:
        where = "private-key" if "private_key" in given else "certificate"
        state = "that key-password opens" if password else "that is not locked"
        return f"{where} holds no RSA or P-256 private key in PEM {state}"
    return _matched(key, found)


def _read_pkcs12(container: Secret, password: Secret | None) -> _Pair | str:
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        data = base64.b64decode("".join(container.reveal().split()), validate=True)
    except (binascii.Error, ValueError):
        return "certificate is neither PEM nor PKCS#12 in base64"
    try:
        found = pkcs12.load_pkcs12(data, password.reveal().encode() if password else None)
    except ValueError:
        return "certificate is no PKCS#12 that " + (
            "key-password opens" if password else "needs no key-password"
        )
    if found.cert is None:
        return "the PKCS#12 holds no certificate"
    if not fits(found.key):
        return "the PKCS#12 holds no RSA or P-256 private key"
    return _matched(found.key, [found.cert.certificate])


def _certificates(container: Secret) -> list[x509.Certificate] | str:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(container.reveal().encode())
    except ValueError:
        if "CERTIFICATE" in container.reveal():
            return "certificate holds a damaged certificate"
        return []


def _matched(key: PrivateKey, certificates: list[x509.Certificate]) -> _Pair | str:
    """`key` with its certificate, which stands first in a chain but need not."""
    ours = key.public_key()
    for certificate in certificates:
        if certificate.public_key() == ours:
            return _Pair(key, certificate)
    return "the private key does not belong to the certificate" if certificates else _Pair(key)


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)
