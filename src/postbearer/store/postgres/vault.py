"""The key that all nodes share, as the configuration refers to it."""

from __future__ import annotations

from postbearer.errors import ConfigError, StoreError
from postbearer.secret import SecretSource
from postbearer.state import SealedBox, parse_keys

MISSING = ConfigError(
    "is needed with a spool on PostgreSQL: what nodes share is sealed under one key.",
    key="vault.key",
    hint='Make one by `openssl rand -base64 32`, and refer to it: key = "file:/etc/postbearer/key".',
)


class Vault:
    """Reads the key anew at each use, so that a rotation is seen at once."""

    def __init__(self, key: SecretSource) -> None:
        self._key = key

    async def box(self) -> SealedBox:
        """Raises `SecretError`, or `StoreError` for what is no key."""
        text = (await self._key.read()).reveal()
        try:
            return SealedBox(parse_keys(text))
        except StoreError as error:
            raise StoreError(
                f"The key of the vault, {self._key.reference}, is none: {error.message}",
                hint=error.hint,
                configuration=True,
            ) from None
