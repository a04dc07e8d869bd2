"""Sealing: AES-256-GCM under a local key, bound to the place a thing belongs to.

A sealed text is ``v1.KEYID.BASE64URL(nonce + ciphertext)``. The place (account, field) goes in as
additional authenticated data, so a text moved to another place does not open. This module is on the
path of ``postbearer token``: it imports next to nothing, and cryptography only when a key is used.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from postbearer.errors import StoreError

KEY_OCTETS = 32
_NONCE_OCTETS = 12  # NIST SP 800-38D 5.2.1.1
_FORMAT = "v1"


class Key:
    """A key with the id that sealed texts name it by. Printing it shows the id only."""

    __slots__ = ("id", "octets")

    def __init__(self, id: str, octets: bytes) -> None:
        if len(octets) != KEY_OCTETS or not id.isalnum():
            raise StoreError("A key is damaged: it must have an id and 32 octets.")
        self.id = id
        self.octets = octets

    def __repr__(self) -> str:
        return f"Key({self.id!r})"

    @classmethod
    def generate(cls) -> Key:
        """A new random key."""
        return cls(os.urandom(4).hex(), os.urandom(KEY_OCTETS))

    def line(self) -> str:
        """The key as a line of a key file."""
        return f"{_FORMAT} {self.id} {base64.b64encode(self.octets).decode()}\n"


def parse_keys(text: str) -> list[Key]:
    """The keys of a key file, or one key in bare base64. Raises `StoreError`, showing none of it."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) == 1 and len(lines[0]) == 1:
        lines = [[_FORMAT, "given", lines[0][0]]]
    keys = [_key(words) for words in lines]
    if not keys or None in keys:
        raise StoreError(
            "The key is damaged.", hint="Restore it from a backup; a bare key is 32 octets in base64."
        )
    return [key for key in keys if key is not None]


def _key(words: list[str]) -> Key | None:
    try:
        version, name, text = words
        return Key(name, base64.b64decode(text, validate=True)) if version == _FORMAT else None
    except (ValueError, StoreError):
        return None


class SealedBox:
    """Seals under the first of `keys`, opens what any of them sealed."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = {key.id: key for key in reversed(keys)}
        self._current = keys[0]

    def __repr__(self) -> str:
        return f"SealedBox({self._current.id!r})"

    def seal(self, plain: bytes, place: str) -> str:
        """`plain`, sealed for `place`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_OCTETS)
        sealed = AESGCM(self._current.octets).encrypt(nonce, plain, place.encode())
        return f"{_FORMAT}.{self._current.id}.{base64.urlsafe_b64encode(nonce + sealed).decode().rstrip('=')}"

    def unseal(self, text: str, place: str) -> bytes:
        """What was sealed for `place`. Raises `StoreError` if it was not, or not by one of these keys."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            version, name, data = text.split(".")
            octets = base64.b64decode(data + "=" * (-len(data) % 4), b"-_", validate=True)
        except ValueError:
            raise StoreError("The sealed text is damaged.") from None
        key = self._keys.get(name)
        if version != _FORMAT or key is None:
            raise StoreError(f"It was sealed under the key {name[:16]!r}, which is not among ours.")
        try:
            return AESGCM(key.octets).decrypt(octets[:_NONCE_OCTETS], octets[_NONCE_OCTETS:], place.encode())
        except (InvalidTag, ValueError):
            raise StoreError("The sealed text is damaged, or was sealed for another place.") from None
