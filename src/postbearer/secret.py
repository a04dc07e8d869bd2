"""Secrets that do not leak by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn, Protocol

MASK = "***"


class Secret:
    """A secret value. Printing, formatting, pickling or comparing it never shows the value.

    Ask for it by name, `reveal()`, and only where it leaves for its destination.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself."""
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied: pass the reference it came from")


class SecretSource(Protocol):
    """Where a secret is read from, each time it is needed."""

    @property
    def reference(self) -> str:
        """What to call this secret in messages (``env:NAME``); never the value."""
        ...

    async def read(self) -> Secret:
        """The value now. Raises `SecretError` when it cannot be had."""
        ...


class ByPlace:
    """Base of secret sources that are equal when they read the same place, whatever stands there now.

    So an account that was configured anew can be seen to be the same. `local`: the place is on this machine,
    and reading it often costs nothing.
    """

    local: bool = False

    def place(self) -> tuple[object, ...]:
        """What distinguishes it from others of its kind."""
        return (repr(self),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByPlace) and type(self) is type(other) and self.place() == other.place()

    def __hash__(self) -> int:
        return hash((type(self), self.place()))


class GivenSecret(ByPlace):
    """A `SecretSource` for a value the program already holds."""

    local = True

    def __init__(self, secret: Secret, reference: str = "a value given by the program") -> None:
        self._secret = secret
        self.reference = reference

    def __repr__(self) -> str:
        return f"Given({self.reference!r})"

    def place(self) -> tuple[object, ...]:
        return (self._secret,)

    async def read(self) -> Secret:
        return self._secret
