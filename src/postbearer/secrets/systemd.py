"""``systemd:NAME``: a credential that systemd gave to the service (systemd.exec(5), LoadCredential=)."""

from __future__ import annotations

import os
from pathlib import Path

from postbearer.errors import SecretError
from postbearer.secret import ByPlace, Secret
from postbearer.secrets.file import FileSecret
from postbearer.secrets.reference import ReferenceContext


class CredentialSecret(ByPlace):
    """A file in ``CREDENTIALS_DIRECTORY``, looked up when it is read."""

    local = True

    def __init__(self, name: str) -> None:
        self._name = name
        self.reference = f"systemd:{name}"

    def __repr__(self) -> str:
        return f"CredentialSecret({self._name!r})"

    async def read(self) -> Secret:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise SecretError(
                "CREDENTIALS_DIRECTORY is not set: this is no systemd service with credentials.",
                reference=self.reference,
                hint=f"Add LoadCredential={self._name}:/path to the unit, or use file: outside of systemd. "
                "A relay that has it takes mail by sendmail, and gives tokens by token --relay.",
            )
        return await FileSecret(Path(folder) / self._name, self.reference).read()


def open_credential(rest: str, place: ReferenceContext) -> CredentialSecret:
    """The source for ``systemd:rest``. Raises `SecretError` for what is no credential name."""
    if "/" in rest or rest in (".", ".."):
        raise SecretError("A credential has a name, not a path.", reference=f"systemd:{rest}")
    return CredentialSecret(rest)
