"""What a mailbox was charged with, in order of time: questions are answered by index, however long it is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Protocol

KEEP = 2 * 86_400.0  # seconds a charge can still matter: a day, and a clock that was set back by as much


class Charge(NamedTuple):
    """One attempt: when it began (wall clock, Unix seconds) and for how many recipients."""

    at: float
    recipients: int


class ChargeHistory(Protocol):
    """The charges, the oldest first. None is later than the present."""

    def __len__(self) -> int: ...

    def at(self, index: int) -> float:
        """When the charge `index` was made; -1 is the last."""
        ...

    def total(self, index: int) -> int:
        """For how many recipients those before `index` were."""
        ...

    def since(self, when: float) -> int:
        """The index of the first charge after `when`, found at once where much the same was asked before."""
        ...


def since(past: ChargeHistory, when: float) -> int:
    """The index of the first charge after `when`."""
    return bisect_right(range(len(past)), when, key=past.at)


def freed(past: ChargeHistory, recipients: int) -> int:
    """The index of the charge with which so many `recipients`, counted from the oldest, are over."""
    return bisect_right(range(len(past)), recipients - 1, key=lambda index: past.total(index + 1))


class Charges:
    """The past, in memory."""

    def __init__(self, charges: Sequence[Charge] = ()) -> None:
        self._at: list[float] = []
        self._total = [0]
        for charge in charges:
            self.add(charge)

    def __len__(self) -> int:
        return len(self._at)

    def at(self, index: int) -> float:
        return self._at[index]

    def total(self, index: int) -> int:
        return self._total[index]

    def since(self, when: float) -> int:
        return bisect_right(self._at, when)

    def add(self, charge: Charge) -> None:
        self._at.append(charge.at)
        self._total.append(self._total[-1] + charge.recipients)

    def remove(self, charge: Charge) -> None:
        """Forget a charge; nothing happens if it is not there (any more)."""
        index = find(self, charge)
        if index is not None:
            del self._at[index]
            self._total[index + 1 :] = [total - charge.recipients for total in self._total[index + 2 :]]

    def settle(self, now: float) -> None:
        """What is later than now was made by a clock that ran ahead: it counts as made now."""
        for index in range(since(self, now), len(self)):
            self._at[index] = now

    def forget(self, now: float, spare: int) -> None:
        """Drop what does not matter any more, once that is more than `spare` and more than the rest."""
        old = since(self, now - KEEP)
        if old > max(spare, len(self) // 2):
            del self._at[:old], self._total[:old]


def find(past: ChargeHistory, charge: Charge) -> int | None:
    """The index of a charge that was made at that time for so many; one is as good as another."""
    index = since(past, charge.at) - 1
    while index >= 0 and past.at(index) == charge.at:
        if past.total(index + 1) - past.total(index) == charge.recipients:
            return index
        index -= 1
    return None
