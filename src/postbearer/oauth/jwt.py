"""Signed JSON Web Tokens in the compact form (RFC 7515 3.1), by RS256 (RFC 7518 3.3): all we issue."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from postbearer.errors import UsageError
from postbearer.secret import Secret


def signed(claims: Mapping[str, object], key: Secret, *, key_id: str = "") -> Secret:
    """`claims` as a token signed by `key`, an RSA private key in PEM. Raises `UsageError`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    try:
        private = serialization.load_pem_private_key(key.reveal().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # no key, encrypted, of a kind nobody knows
        private = None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise UsageError("This is no unencrypted RSA private key in PEM.")
    text = f"{_part(header)}.{_part(claims)}"
    signature = private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return Secret(f"{text}.{_encoded(signature)}")


def _part(value: Mapping[str, object]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
