"""The accounts of a configuration by their names: those of the relay that runs, else made when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from postbearer.errors import UsageError
from postbearer.suggestion import did_you_mean

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.engine import Dispatcher


class AccountFinder:
    """`make` makes one where no relay runs. Raises `UsageError` for what is none, and what `make` raises."""

    def __init__(
        self,
        dispatcher: Dispatcher | None,
        configured: Sequence[str] = (),
        make: Callable[[str], Account] | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._configured = configured
        self._make = make

    def __call__(self, name: str) -> Account:
        states = self._dispatcher.account_states if self._dispatcher is not None else {}
        if name in states:
            return states[name].account
        if self._make is not None and name in self._configured:
            return self._make(name)
        known = [*states, *self._configured]
        raise UsageError(f"There is no account {name!r:.80}.", hint=did_you_mean(name, known))
