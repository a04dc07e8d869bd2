"""The secrets a grant is given: a `Secret`, a `SecretSource`, or the text of a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar, cast

from postbearer.errors import SecretError, UsageError
from postbearer.secret import GivenSecret, Secret, SecretSource

_ONE_LINE = ("client_secret", "password", "refresh_token")  # others are keys in PEM, or JSON
SecretInput = str | Secret | SecretSource
Anything = TypeVar("Anything")


class SecretFields:
    """What has fields that hold secrets: the grants, and the key they sign with."""

    __slots__ = ()
    SECRETS: ClassVar[tuple[str, ...]] = ()
    PARTS: ClassVar[tuple[str, ...]] = ()  # fields that have such fields in their turn

    def given(self) -> Mapping[str, object]:
        """The secrets as they were given, by field."""
        return {name: getattr(self, name) for name in self.SECRETS}

    def sources(self) -> Mapping[str, SecretSource]:
        """The secrets to read before a request, by field, those of the parts too."""
        found = {name: _source(name, value) for name, value in self.given().items() if value is not None}
        for name in self.PARTS:
            part = getattr(self, name)
            if part is not None:
                found |= part.sources()
        return found


async def read_secrets(sources: Mapping[str, SecretSource]) -> dict[str, Secret]:
    """What stands in `sources` now, by field. Raises `SecretError`."""
    return {name: await read_secret(name, source) for name, source in sources.items()}


async def read_secret(name: str, source: SecretSource) -> Secret:
    """What stands in the source for the field `name` now. Raises `SecretError`."""
    secret = await source.read()
    if name in _ONE_LINE and "\n" in secret.reveal():
        raise SecretError(
            f"{name.replace('_', '-')} has more than one line.",
            reference=source.reference,
            hint="Let it hold the secret alone, as by: command:sh -c 'pass show mail | head -1'",
        )
    return secret


def resolved(holder: Anything, resolve: Callable[[str], SecretSource]) -> Anything:
    """`holder` with every secret reference in it turned into a source by `resolve`."""
    if not isinstance(holder, SecretFields):
        return holder
    changes: dict[str, object] = {
        name: resolve(value) if isinstance(value, str) else _source(name, value)
        for name, value in holder.given().items()
        if value is not None
    }
    for name in holder.PARTS:
        part = getattr(holder, name)
        if part is not None:
            changes[name] = resolved(part, resolve)
    return cast(Anything, replace(cast(Any, holder), **changes)) if changes else holder


def is_source(value: object) -> bool:
    """Whether `value` is a `SecretSource`."""
    return callable(getattr(value, "read", None))


def _source(name: str, value: object) -> SecretSource:
    if isinstance(value, Secret):
        return GivenSecret(value, f"the given {name.replace('_', '-')}")
    if is_source(value):
        return cast(SecretSource, value)
    wrong = (
        "a secret reference that nobody resolved" if isinstance(value, str) else f"no {type(value).__name__}"
    )
    raise UsageError(
        f"{name.replace('_', '-')} is {wrong}.",
        hint='Give Secret("…") or a secret source.',
    )
