"""The header fields of Standard Webhooks 1.0.0, by which a receiver knows who calls, and what it had already.

The signature is the symmetric one: HMAC-SHA256 over id, time and body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from postbearer.secret import Secret

PREFIX: Final = "whsec_"  # what base64 of a key begins with
SHORTEST, LONGEST = 24, 64  # octets of a key, as the specification wants them


def fields(identifier: str, now: float, body: bytes, secrets: Sequence[Secret] = ()) -> dict[str, str]:
    """The header of a POST of `body` (JSON) at `now` (Unix seconds), signed with each of `secrets`.

    With two of them a receiver that knows either takes it, so that one can be replaced by the other.
    """
    at = str(int(now))
    made = {"content-type": "application/json", "webhook-id": identifier, "webhook-timestamp": at}
    if secrets:
        made["webhook-signature"] = " ".join(signature(each, identifier, at, body) for each in secrets)
    return made


def signature(secret: Secret, identifier: str, at: str, body: bytes) -> str:
    """One signature, ``v1,…``. A secret ``whsec_…`` holds its key in base64; any other is it."""
    key = key_of(secret)
    signed = f"{identifier}.{at}.".encode() + body
    made = hmac.new(secret.reveal().encode() if key is None else key, signed, hashlib.sha256)
    return "v1," + base64.b64encode(made.digest()).decode()


def key_of(secret: Secret) -> bytes | None:
    """The key in a secret ``whsec_…``; None for any other text."""
    text = secret.reveal()
    if not text.startswith(PREFIX):
        return None
    try:
        return base64.b64decode(text[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        return None
