"""The short way through the queue: what comes in while its account is free begins with its own commit.

The commit that makes a message durable then leases it, too: one sync before the 250, and none between
it and the first word to the provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from postbearer.engine.account_state import AccountState
from postbearer.store import Claimed, Priority


class Starter(Protocol):
    """Who begins attempts."""

    def reserve(self, account: str, priority: Priority) -> AccountState | None:
        """A slot for a delivery that may begin at once; None: it has to wait for its turn."""
        ...

    def start(self, claimed: Claimed, account_state: AccountState) -> None:
        """Begin an attempt in a slot that was reserved."""
        ...

    def give_back(self, account_state: AccountState) -> None:
        """Free a slot that was reserved for nothing."""
        ...


class Reservations:
    """The slots reserved for the deliveries of one message, from before its commit until after it."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._reserved: list[AccountState] = []

    def take(self, account: str, priority: Priority) -> bool:
        """Reserve a slot for a delivery if it may begin at once; else it goes into the queue."""
        account_state = self._starter.reserve(account, priority)
        if account_state is None:
            return False
        self._reserved.append(account_state)
        return True

    def begin(self, claimed: Sequence[Claimed]) -> None:
        """The message is accepted: begin what was leased."""
        for each in claimed:
            [account_state, *_] = [state for state in self._reserved if state.account.name == each.account]
            self._reserved.remove(account_state)
            self._starter.start(each, account_state)
        if self._reserved:
            self.give_back()

    def give_back(self) -> None:
        """Free the slots for which nothing was leased."""
        for account_state in self._reserved:
            self._starter.give_back(account_state)
        self._reserved.clear()


class NoReservations:
    """A starter for an intake that nothing is sent from."""

    def reserve(self, account: str, priority: Priority) -> AccountState | None:
        return None

    def start(self, claimed: Claimed, account_state: AccountState) -> None:
        """Never asked, as no slot is ever reserved."""

    def give_back(self, account_state: AccountState) -> None:
        """Never asked either."""
