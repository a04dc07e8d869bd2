"""Which accounts pause, and why: as attempts tell, people wish, and changed secrets suggest.

A pause is kept in the spool, so that it outlives the process, and holds in memory also when it cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from postbearer.clock import Clock
from postbearer.engine.outlet import Outlet
from postbearer.engine.settle import FIRST_PROBE, NEXT_PROBE, Ending, Stop
from postbearer.errors import UsageError
from postbearer.observer import AccountPaused, AccountResumed, Observer
from postbearer.store import Pause, Spool

BY_HAND = "Paused by hand."


class Pauses:
    """Of `outlets`, which a reload replaces."""

    def __init__(self, spool: Spool, clock: Clock, observer: Observer, outlets: Mapping[str, Outlet]) -> None:
        self.outlets = outlets
        self._spool = spool
        self._clock = clock
        self._observer = observer
        # By organisation: reasons that stopped all of its accounts, and those that a sister has disproved.
        self._spread: dict[str, set[str]] = {}
        self._disproved: dict[str, set[str]] = {}

    async def remember(self) -> None:
        """Take up the pauses of an earlier run. Raises `StoreError`."""
        for pause in await self._spool.pauses():
            if pause.account in self.outlets:
                self.outlets[pause.account].pause = pause

    def outlet(self, account: str) -> Outlet:
        """Raises `UsageError` if there is no such account."""
        if account not in self.outlets:
            raise UsageError(f"There is no account {account!r}.", hint="`postbearer accounts` lists them.")
        return self.outlets[account]

    async def by_hand(self, account: str) -> None:
        """A person stops an account. Raises `UsageError`, `StoreError`."""
        outlet = self.outlet(account)
        outlet.pause = Pause(account=account, since=self._clock.now(), reason=BY_HAND)
        await self._spool.pause(outlet.pause)
        self._observer.notice(AccountPaused(account, reason=BY_HAND))

    async def resume(self, account: str) -> bool:
        """Let an account send again; False if it was not paused. Raises `UsageError`, `StoreError`."""
        outlet = self.outlet(account)
        outlet.unpause()
        outlet.went_well()
        if (forgive := getattr(outlet.road.transport, "forgive", None)) is not None:
            await forgive()  # a refused password, of which only a person can know that it is right after all
        resumed = await self._spool.resume(account)
        if resumed:
            self._observer.notice(AccountResumed(account))
        return resumed

    def try_again(self, account: str) -> bool:
        """Have it probed at once; False if it is not paused, or by hand. Raises `UsageError`."""
        outlet = self.outlet(account)
        if outlet.pause is None or outlet.pause.reason == BY_HAND:
            return False
        outlet.pause = replace(outlet.pause, probe=self._clock.now())
        return True

    async def learn(self, way: Outlet, ending: Ending, probed: Pause | None) -> None:
        """What an attempt tells about its account; `probed` is the pause it may end. Raises `StoreError`."""
        if self.outlets.get(way.terms.name) is not way:
            return  # replaced by a reload: what it met says nothing about the account as it is now
        if ending.cut:
            way.cut()
        if ending.error:
            way.last_error = ending.error
        way.strikes.update(ending.strikes)
        if way.pause is not None and way.pause is not probed:
            # Paused meanwhile: what was under way says nothing new. Or something changed while it was probed:
            # that it works is true all the same, and that it does not has to be tried again.
            same = probed is not None and probed.since == way.pause.since
            if not same or ending.stop is not None:
                return
        if ending.stop is not None:
            known = way.pause is not None and way.pause.reason == ending.stop.reason
            await self.stop(way, ending.stop)
            if ending.stop.tenant and not known:
                await self._stop_sisters(way, ending.stop)
        elif ending.rest is not None:
            way.rest(ending.rest)
            way.missed = ending.missed
        elif ending.works:
            way.went_well()
            self._disprove(way)
            if way.pause is not None:
                await self._works_again(way, way.pause)

    async def stop(self, way: Outlet, stop: Stop) -> None:
        """The account pauses. Raises `StoreError`."""
        before, now, name = way.pause, self._clock.now(), way.terms.name
        wait = NEXT_PROBE if stop.person and before is not None and stop.seconds is not None else stop.seconds
        way.last_error = stop.reason
        way.pause = Pause(
            account=name,
            since=before.since if before else now,
            reason=stop.reason,
            remedy=stop.remedy,
            probe=None if wait is None else now + wait,
            probes=before.probes + 1 if before else 0,
        )
        await self._spool.pause(way.pause)
        if before is None or before.reason != stop.reason:
            self._observer.notice(
                AccountPaused(
                    name, reason=stop.reason, remedy=stop.remedy, until=way.pause.probe, person=stop.person
                )
            )

    async def _works_again(self, way: Outlet, pause: Pause) -> None:
        """It sends; those of its organisation that paused for the same reason are tried as well."""
        way.unpause()
        await self._spool.resume(way.terms.name)
        self._observer.notice(AccountResumed(way.terms.name))
        for sister in self._sisters(way):
            if sister.pause is not None and sister.pause.reason == pause.reason:
                sister.pause = replace(sister.pause, probe=self._clock.now())

    async def _stop_sisters(self, way: Outlet, stop: Stop) -> None:
        """What reaches the organisation stops all of its accounts: each need not be refused to know it.

        That is what the provider says, and only until a sister works: from then on the same reason is one
        of the account that meets it.
        """
        sisters = self._sisters(way)
        for each in way.terms.organisations if stop.person else ():
            self._spread.setdefault(each, set()).add(stop.reason)
        for sister in sisters:
            if self._works(sister):
                self._disprove(sister)
        if any(stop.reason in self._disproved.get(each, ()) for each in way.terms.organisations):
            return
        for sister in sisters:
            if sister.pause is None:
                await self.stop(sister, stop)

    def _works(self, outlet: Outlet) -> bool:
        """Whether it sent a moment ago, and nothing was said of it since."""
        return outlet.pause is None and self._clock.now() - outlet.worked_at < FIRST_PROBE

    def _disprove(self, way: Outlet) -> None:
        """It sends, so that nothing that a person has to permit is missing for all of its organisation.

        A quota is another matter: it may be spent a moment later, and comes back for everybody.
        """
        for each in way.terms.organisations if self._spread else ():
            if reasons := self._spread.pop(each, None):
                self._disproved.setdefault(each, set()).update(reasons)

    def _sisters(self, way: Outlet) -> list[Outlet]:
        return [
            other
            for other in self.outlets.values()
            if other is not way and other.terms.organisations & way.terms.organisations
        ]
