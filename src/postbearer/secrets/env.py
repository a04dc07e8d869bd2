"""``env:NAME``: a secret in an environment variable."""

from __future__ import annotations

import os

from postbearer.errors import SecretError
from postbearer.secret import ByPlace, Secret
from postbearer.secrets.reference import ReferenceContext


class EnvironmentSecret(ByPlace):
    """The value of a variable. Set but empty counts as missing: it is what a typo in a unit file gives."""

    local = True

    def __init__(self, name: str, place: ReferenceContext | None = None) -> None:
        self._name = name
        self.reference = f"env:{name}"

    def __repr__(self) -> str:
        return f"EnvironmentSecret({self._name!r})"

    async def read(self) -> Secret:
        value = os.environ.get(self._name)
        if not value:
            raise SecretError(
                f"The environment variable {self._name} is {'not set' if value is None else 'empty'}.",
                reference=self.reference,
                hint="A service has its own environment: set it in the unit file, or use file: or systemd:.",
            )
        return Secret(value)
