"""One thing that may be asked of a relay. What there is to ask is declared beside what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from postbearer.control.principal import Principal, Right

if TYPE_CHECKING:
    from postbearer.control.operations import Operations

Text = Annotated[str, Meta(max_length=1000)]


class Nothing(Struct, forbid_unknown_fields=True, frozen=True):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Method:
    """Its parameters, its answer, the right it needs, and what it does."""

    takes: type[Struct]
    answers: Any  # a type that `msgspec` knows
    needs: Right
    do: Callable[[Operations, Any, Principal], Awaitable[Any]]
