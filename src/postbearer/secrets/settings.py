"""The settings of a store: from its ``[secret-stores.NAME]`` table, else from its usual variables."""

from __future__ import annotations

import os
from typing import Never

from postbearer.errors import SecretError, UsageError
from postbearer.http import check_url
from postbearer.secret import SecretSource
from postbearer.secrets.reference import ReferenceContext


class StoreSettings:
    """What was set for the store in `place`, which the configuration has checked.

    Each setting is looked up by the key of the table, then by the environment variables given with it.
    """

    def __init__(self, place: ReferenceContext, reference: str) -> None:
        self._place = place
        self.reference = reference

    def text(self, key: str, *variables: str, default: str = "") -> str:
        """The value of `key`, or `default`."""
        given = self._place.settings.get(key)
        if given is not None:
            return str(given)
        return next((value for name in variables if (value := os.environ.get(name))), default)

    def path(self, key: str, *variables: str) -> str:
        """The file that `key` names, in the table from the configuration's folder on; empty for none."""
        given = self._place.settings.get(key)
        if given is not None and self._place.base is not None:
            return str(self._place.base / str(given))
        return self.text(key, *variables)

    def needed(self, key: str, *variables: str) -> str:
        """The value of `key`. Raises `SecretError` if there is none."""
        return self.text(key, *variables) or self._missing(key, variables)

    def number(self, key: str) -> int:
        """The value of `key`, or 0."""
        return int(self.text(key, default="0"))

    def url(self, key: str, *variables: str, default: str = "") -> str:
        """The URL in `key`, without a slash at its end. Raises `SecretError` if secrets must not go there."""
        text = self.text(key, *variables, default=default) or self._missing(key, variables)
        try:
            check_url(text)
        except UsageError as error:
            raise SecretError(
                f"{self._name(key, variables)} cannot be used: {error.message}",
                reference=self.reference,
                hint=error.hint,
            ) from None
        return text.rstrip("/")

    def secret(self, key: str, *variables: str) -> SecretSource | None:
        """Where the secret of `key` is: what the table refers to, or the first variable that is set."""
        given = self._place.settings.get(key)
        if given is not None:
            return self.source(str(given))
        return next((self.source(f"env:{name}") for name in variables if os.environ.get(name)), None)

    def needed_secret(self, key: str, *variables: str) -> SecretSource:
        """Where the secret of `key` is. Raises `SecretError` if nothing says so."""
        return self.secret(key, *variables) or self._missing(key, variables)

    def secret_file(self, key: str, variable: str) -> SecretSource | None:
        """Where the secret of `key` is: what the table refers to, or the file that the variable names."""
        path = os.environ.get(variable)
        return self.secret(key) or (self.file(path) if path else None)

    def file(self, path: str) -> SecretSource:
        """A file at `path`, as another program's variable names it."""
        return self.source(f"file:{path}")

    def source(self, reference: str) -> SecretSource:
        """Where a secret of the store's own is."""
        return self._place.source(reference)

    def _missing(self, key: str, variables: tuple[str, ...]) -> Never:
        unset = f", and {variables[0]} is not set" if variables else ""
        raise SecretError(
            f"The store has no {key}{unset}.",
            reference=self.reference,
            hint=f"Add {key} to a table [secret-stores.NAME], and write NAME:… for the secret"
            + (f"; or set {variables[0]}." if variables else "."),
        )

    def _name(self, key: str, variables: tuple[str, ...]) -> str:
        if key in self._place.settings:
            return key
        return next((name for name in variables if os.environ.get(name)), key)
