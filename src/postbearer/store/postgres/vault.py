"""The key that all nodes share, as the configuration refers to it."""

from __future__ import annotations

from postbearer.errors import StoreError
from postbearer.secret import SecretSource
from postbearer.state import SealedBox, parse_keys


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
