"""Signed JSON Web Tokens in the compact form (RFC 7515 3.1), by those of RFC 7518 3.1 that we use."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard, cast

from postbearer.secret import Secret
from postbearer.settings import AssertionAlgorithm

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

Algorithm = AssertionAlgorithm


def signed(
    claims: Mapping[str, object],
    key: PrivateKey,
    algorithm: Algorithm,
    header: Mapping[str, str] | None = None,
) -> Secret:
    """`claims` as a token signed by `key`, which is of the kind that `algorithm` takes.

    `header` is what the header says beyond ``alg`` and ``typ``.
    """
    said = {"alg": algorithm, "typ": "JWT", **(header or {})}
    text = f"{_part(said)}.{_part(claims)}"
    return Secret(f"{text}.{encoded(_signature(text.encode(), key, algorithm))}")


def load_key(pem: Secret, password: Secret | None = None) -> PrivateKey | None:
    """The RSA or P-256 private key in `pem`, or None if there is none that can be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    opener = password.reveal().encode() if password else None
    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), opener)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # no key, locked or unlocked, of an unknown kind
        return None
    return key if fits(key) else None


def fits(key: object) -> TypeGuard[PrivateKey]:
    """Whether `key` is one that we can sign with."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, ec.SECP256R1)
    return isinstance(key, rsa.RSAPrivateKey)


def is_rsa(key: PrivateKey) -> bool:
    """Whether `key` signs by RS256 and PS256; the others sign by ES256."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return isinstance(key, rsa.RSAPrivateKey)


def encoded(data: bytes) -> str:
    """base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signature(data: bytes, key: PrivateKey, algorithm: Algorithm) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    digest = hashes.SHA256()
    if algorithm == "ES256":  # RFC 7518 3.4: both numbers, 32 octets each, not the DER of X.509
        der = cast(ec.EllipticCurvePrivateKey, key).sign(data, ec.ECDSA(digest))
        first, second = decode_dss_signature(der)
        return first.to_bytes(32, "big") + second.to_bytes(32, "big")
    # RFC 7518 3.5: MGF1 and the salt as long as the digest.
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    how = pss if algorithm == "PS256" else padding.PKCS1v15()
    return cast(rsa.RSAPrivateKey, key).sign(data, how, digest)


def _part(value: Mapping[str, object]) -> str:
    return encoded(json.dumps(value, separators=(",", ":")).encode())
