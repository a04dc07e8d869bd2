"""Secret stores that other packages bring, by the entry-point group ``postbearer.secret_stores``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, cast

from postbearer.errors import PostbearerError, SecretError
from postbearer.secret import ByPlace, Secret, SecretSource

if TYPE_CHECKING:
    from postbearer.secrets.reference import ReferenceContext, SecretStore


def plugged(entry: EntryPoint) -> SecretStore:
    """The store that `entry` names. What is unforeseen in its code is a `SecretError` that names it."""
    scheme = entry.name
    try:
        load = cast("SecretStore", entry.load())
    except Exception as error:  # a plug-in may fail in any way when it is imported
        raise SecretError(
            f"The secret store {scheme}: could not be loaded: {type(error).__name__}: {error}",
            reference=f"{scheme}:…",
            hint="Install what it needs, or remove it.",
        ) from error

    def store(rest: str, place: ReferenceContext) -> SecretSource:
        reference = f"{place.scheme}:{rest}"
        with _blamed(entry, reference):
            return PluggedSecret(load(rest, place), entry, reference)

    return store


class PluggedSecret(ByPlace):
    """A source of the package that `entry` names."""

    def __init__(self, source: SecretSource, entry: EntryPoint, reference: str) -> None:
        self._source = source
        self._entry = entry
        self.reference = source.reference or reference
        self.local = bool(getattr(source, "local", False))

    def __repr__(self) -> str:
        return f"PluggedSecret({self.reference!r})"

    def place(self) -> tuple[object, ...]:
        return (self._source,)

    async def read(self) -> Secret:
        with _blamed(self._entry, self.reference):
            secret = await self._source.read()
            if not isinstance(secret, Secret):
                raise TypeError("no Secret was returned")
            return secret


@contextmanager
def _blamed(entry: EntryPoint, reference: str) -> Iterator[None]:
    try:
        yield
    except PostbearerError:
        raise
    except Exception as error:  # a plug-in may fail in any way; the text may hold the secret
        raise SecretError(
            f"The secret store {entry.name} ({entry.value}) has a defect: {type(error).__name__}.",
            reference=reference,
            hint="Report it to whoever wrote it; with -v its traceback is shown.",
        ) from error
