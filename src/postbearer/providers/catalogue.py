"""The rules of a provider, read when the first reply has to be explained: most runs never need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import overload

from postbearer.providers.ids import Ids
from postbearer.providers.rules import Rule

Read = Callable[[str], Sequence[Rule]]


class Catalogue(Sequence[Rule]):
    """A provider's own rules, then those of the catalogues it names, then the generic ones.

    `ids` says for whom remedies are written.
    """

    def __init__(
        self,
        own: Sequence[Rule],
        names: Sequence[str],
        read: Callable[[str], Sequence[Rule]],
        ids: Ids | None = None,
    ) -> None:
        self.ids = ids or Ids()
        self._own = tuple(own)
        self._names = tuple(names)
        self._read = read

    def written_for(self, ids: Ids) -> Catalogue:
        """The same rules, with remedies for one account."""
        return Catalogue(self._own, self._names, self._read, ids)

    @cached_property
    def _all(self) -> tuple[Rule, ...]:
        return (*self._own, *(rule for name in (*self._names, "generic") for rule in self._read(name)))

    @overload
    def __getitem__(self, index: int) -> Rule: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Rule, ...]: ...
    def __getitem__(self, index: int | slice) -> Rule | tuple[Rule, ...]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Catalogue):
            return NotImplemented
        return (self._own, self._names) == (other._own, other._names)

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        return f"Catalogue({len(self._own)} own rules, {', '.join(self._names) or 'generic'})"
