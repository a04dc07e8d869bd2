"""Who wants to hear of changes in a queue, and hears of them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from postbearer.store.records import LaneKey

Waits = Callable[[Collection[LaneKey] | None], None]  # something came to wait in these lanes; None: anywhere


class Changes:
    """Tells all that subscribed, at once. They take a note of it, and no more."""

    def __init__(self) -> None:
        self._subscribed: list[tuple[Waits, Callable[[], None]]] = []

    def subscribe(self, waits: Waits, paused: Callable[[], None]) -> None:
        """`paused` hears that accounts were paused or resumed."""
        self._subscribed.append((waits, paused))

    def waits(self, lanes: Collection[LaneKey] | None = None) -> None:
        """Something came to wait."""
        for waits, _ in self._subscribed:
            waits(lanes)

    def paused(self) -> None:
        """Some account was paused, or resumed."""
        for _, paused in self._subscribed:
            paused()

    def anything(self) -> None:
        """Nobody knows what."""
        self.waits()
        self.paused()
