"""How the connections that a provider lets a mailbox have are shared out among all who send from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

TURN = 60.0  # seconds for which who has a connection keeps it, though others of the same queue want one …
SHORT_TURN = 2.0  # … or somebody whose mail nobody else sends
PATIENCE = 20.0  # seconds after which who does not ask again wants none any more


class ConnectionShare(Protocol):
    """The connections that may be open here, of one mailbox's. All but `ask` is instant.

    `held` never exceeds what is left by all others; it is 0 once that is not certain any more.
    """

    @property
    def held(self) -> int:
        """So many may be open."""
        ...

    @property
    def over(self) -> int:
        """So many of those that are open are to be closed, as others wait for them."""
        ...

    @property
    def may_ask(self) -> float:
        """Seconds after which it makes sense to ask for more."""
        ...

    def take(self) -> bool:
        """One more is about to be opened; False: it may not be."""
        ...

    def free(self) -> None:
        """One is closed."""
        ...

    def forget(self) -> None:
        """Those that are open are no matter of this process, or of this event loop, any more."""
        ...

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever something may be given, or is to go back."""
        ...

    async def ask(self, wanted: int) -> None:
        """Want so many open ones: more, if they can be had, or fewer: then others get the rest.

        Raises `StoreError`.
        """
        ...

    async def look(self, wanted: int) -> None:
        """Once a second while any is open: keep what is held, and see whether others wait. `ask` if need be.

        Raises `StoreError`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """Who holds connections of a mailbox, or wants some. `since` it holds any, or waits for one.

    `alone`: nobody else can send what it has to send.
    """

    held: int
    wanted: int
    since: float
    alone: bool = False


def allotted(claimants: Sequence[Claimant], most: int, now: float) -> list[int]:
    """How many of the `most` connections are for each of them: the same for all who want them, by turns.

    Who has one keeps it for its turn, then it goes to the one that waits for longest.
    """
    waiting = [each for each in claimants if each.wanted > 0 and not each.held]
    turn = SHORT_TURN if any(each.alone for each in waiting) else TURN

    def rank(place: int) -> tuple[int, float]:
        each = claimants[place]
        return (1 if not each.held else 0 if now - each.since < turn else 2), each.since

    order = sorted(range(len(claimants)), key=rank)
    found = [0] * len(claimants)
    while most > 0:
        lacking = [place for place in order if found[place] < claimants[place].wanted]
        if not lacking:
            break
        for place in lacking[:most]:
            found[place] += 1
        most -= len(lacking[:most])
    return found
