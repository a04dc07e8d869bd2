"""Which account may carry what waits in a lane, and when: its own, or a substitute."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from postbearer.clock import Clock
from postbearer.engine.account_state import AccountState
from postbearer.events import Observer, Warned
from postbearer.store import Lane

LONGEST_WAIT = 2 * 86_400.0  # a due time further away, that nobody named, is the trace of a clock set back


class Carriers:
    """Chooses among `account_states`, which a reload replaces."""

    def __init__(self, account_states: Mapping[str, AccountState], clock: Clock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self.use(account_states)

    def use(self, account_states: Mapping[str, AccountState]) -> None:
        """Go by others from now on."""
        self._account_states = account_states
        self._homeless: set[str] = set()
        self._concerned: dict[str, set[str]] = defaultdict(set)
        mailboxes: dict[str, set[str]] = defaultdict(set)
        for name, each in account_states.items():
            mailboxes[each.account.mailbox].add(name)
            for substitute in (each.account.settings.fallback, each.account.settings.overflow):
                if substitute:
                    self._concerned[substitute].add(name)
        for each in account_states.values():
            if len(sharing := mailboxes[each.account.mailbox]) > 1:
                self._concerned[each.account.name] |= sharing

    def concerned(self, account: str) -> set[str]:
        """Whose mail may go when `account` gets a free slot."""
        return self._concerned.get(account, set()) | {account}

    def carrier(self, lane: Lane, now: float) -> AccountState | None:
        """The account that may carry the first message of this lane now."""
        if not is_due(lane, now):
            return None
        found = [each for each in self._all(lane, now) if each.free(lane.priority, now)]
        return found[0] if found else None

    def ready(self, lanes: Sequence[Lane], account: str | None = None) -> list[Lane]:
        """Those something may be claimed from now; only lanes of `account` are looked at, if one is named."""
        now = self._clock.now()
        return [
            lane
            for lane in lanes
            if (account is not None and lane.account != account) or self.carrier(lane, now) is not None
        ]

    def alike(self, lane: Lane, lanes: Sequence[Lane], carrier: AccountState, now: float) -> list[Lane]:
        """Those of `lanes` that are due, and that `carrier` may carry in the same turn as `lane`."""
        return [
            each
            for each in lanes
            if (each.account, each.priority) == (lane.account, lane.priority)
            and each.due <= now
            and self.carrier(each, now) is carrier
        ]

    def time_of(self, lane: Lane, now: float) -> float:
        """When this lane can go on, by the clock alone."""
        times = [each.free_at(lane.priority, now) for each in self._all(lane, now)]
        home = self._account_states.get(lane.account)
        if home is not None and not home.paused and len(times) == 1:
            settings = home.account.settings
            if other := self._account_states.get(settings.overflow or ""):
                waited = lane.due + settings.overflow_after + 0.01
                times.append(max(waited, other.free_at(lane.priority, now)))
        return max(now if is_due(lane, now) else lane.due, min(times, default=math.inf))

    def _all(self, lane: Lane, now: float) -> Sequence[AccountState]:
        """The accounts that may carry it at all, the best first: its own, then a substitute."""
        home = self._account_states.get(lane.account)
        if home is None:
            if lane.account not in self._homeless:
                self._homeless.add(lane.account)
                text = f"Mail waits for the account {lane.account}, which is not configured."
                self._observer.notice(Warned(lane.account, text))
            return ()
        settings, substitute = home.account.settings, None
        if home.paused or (home.missed and settings.fallback_when == "unreachable"):
            substitute = settings.fallback
        elif settings.overflow and _overflows(lane, home, now):
            substitute = settings.overflow
        other = self._account_states.get(substitute or "")
        return (home,) if other is None or other.paused else (home, other)


def _overflows(lane: Lane, home: AccountState, now: float) -> bool:
    """Whether its budget will be spent for too long, or was."""
    opens, patience = home.budget_opens(lane.priority), home.account.settings.overflow_after
    return opens > now and max(opens - now, now - lane.due) > patience


def is_due(lane: Lane, now: float) -> bool:
    return lane.due <= now or (lane.due > now + LONGEST_WAIT and not lane.timed)
