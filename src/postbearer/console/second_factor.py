"""The second factor of a login: codes that change every 30 seconds (TOTP, RFC 6238)."""

from __future__ import annotations

import binascii
import hmac
import secrets
from base64 import b32decode, b32encode
from typing import TYPE_CHECKING
from urllib.parse import quote

from postbearer.errors import SecretError
from postbearer.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP = 30  # seconds; the others are what every authenticator app takes for granted: SHA-1, six digits
DIGITS = 6
_AROUND = (0, -1, 1)  # steps: clocks differ, and typing takes a moment (RFC 6238 5.2)
_KEY = 20  # octets (RFC 4226 4 R6)
_LEAST = 16


def make_key() -> Secret:
    """A new key, as authenticator apps take it: base32."""
    return Secret(b32encode(secrets.token_bytes(_KEY)).decode())


def provisioning_uri(key: Secret, name: str) -> str:
    """The key as the address that apps read from a QR code."""
    label = quote(f"postbearer:{name}", safe=":")
    return f"otpauth://totp/{label}?secret={key.reveal()}&issuer=postbearer&period={STEP}&digits={DIGITS}"


class SecondFactor:
    """Checks codes. Each is good once: who looks over a shoulder comes too late (RFC 6238 5.2)."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}  # login → the last step whose code was taken

    def fits(self, name: str, key: Secret, code: str, now: float) -> bool:
        """Whether `code` belongs to `key` at about `now` (Unix seconds). Raises `SecretError` for no key."""
        totp, given = _totp(key), "".join(code.split())
        if len(given) != DIGITS or not (given.isascii() and given.isdecimal()):
            return False
        for step in (int(now) // STEP + each for each in _AROUND):
            if step > self._last.get(name, -1) and hmac.compare_digest(
                totp.generate(step * STEP), given.encode()
            ):
                self._last[name] = step
                return True
        return False


def _totp(key: Secret) -> TOTP:
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    text = "".join(key.reveal().split()).upper().rstrip("=")
    try:
        octets = b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        octets = b""
    if len(octets) < _LEAST:
        raise SecretError(
            "The key of the second factor is none: it has to be base32, of 128 bits at least.",
            hint="Make one: postbearer secret totp NAME",
        )
    return TOTP(octets, DIGITS, SHA1(), STEP)  # noqa: S303 - what RFC 6238 and every app use
