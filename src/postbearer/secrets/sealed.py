"""``sealed:v1.…``: a secret in the configuration itself, sealed under the local key."""

from __future__ import annotations

from postbearer.errors import SecretError, StoreError
from postbearer.secret import ByPlace, Secret
from postbearer.secrets.reference import ReferenceContext
from postbearer.state import KeyFile, SealedBox, StateFolder

_PLACE = "postbearer secret"


class SealedSecret(ByPlace):
    """A sealed text, opened with the key of `state` each time."""

    local = True

    def __init__(self, text: str, state: StateFolder) -> None:
        self._text = text
        self._state = state
        self.reference = f"sealed:{text[:16]}…"

    def __repr__(self) -> str:
        return f"SealedSecret({self.reference!r})"

    def place(self) -> tuple[object, ...]:
        return (self._text,)

    async def read(self) -> Secret:
        try:
            return Secret(KeyFile(self._state).existing().unseal(self._text, _PLACE).decode())
        except StoreError as error:
            raise SecretError(
                f"{self.reference} cannot be opened: {error.message}",
                reference=self.reference,
                hint=error.hint or "Seal it again on this machine: postbearer secret seal",
            ) from error


def open_sealed(rest: str, place: ReferenceContext) -> SealedSecret:
    """The source for ``sealed:rest``."""
    return SealedSecret(rest, place.state or StateFolder())


def seal_reference(box: SealedBox, secret: Secret) -> str:
    """`secret` as a ``sealed:`` reference that `box` can open again."""
    return f"sealed:{box.seal(secret.reveal().encode(), _PLACE)}"
