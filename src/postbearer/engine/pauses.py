"""Which accounts pause, and why: as attempts tell, people wish, and changed secrets suggest.

A pause is kept in the spool, so that it outlives the process and others know of it, and holds in memory also
when it cannot be. What others change there is read once the spool tells that they did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from postbearer.clock import Clock
from postbearer.engine.account_state import AccountState
from postbearer.engine.disposition import FIRST_PROBE, NEXT_PROBE, AttemptResult, PauseOrder
from postbearer.errors import StoreError, UsageError
from postbearer.events import AccountPaused, AccountResumed, Observer
from postbearer.store import BY_HAND, AuditRecord, Pause, Spool


class Pauses:
    """Of `account_states`, which a reload replaces."""

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        observer: Observer,
        account_states: Mapping[str, AccountState],
        look_at: Callable[[str], None],
    ) -> None:
        """`look_at` hears of each account whose mail may go on now, or by a substitute."""
        self.account_states = account_states
        self._spool = spool
        self._clock = clock
        self._observer = observer
        self._look_at = look_at
        # By organisation: reasons that stopped all of its accounts, and those that a sister has disproved.
        self._spread: dict[str, set[str]] = {}
        self._disproved: dict[str, set[str]] = {}
        self._known: dict[str, Pause] = {}  # what the spool holds
        self.stale = True  # what the spool holds may be other than is known
        self._first = True

    async def read(self) -> None:
        """Take up the pauses of an earlier run, and what others changed since. Raises `StoreError`.

        A pause that holds in memory alone, since it could not be written, stays.
        """
        found = self._known
        while self.stale:  # also what changed while it was read
            self.stale = False
            try:
                found = {pause.account: pause for pause in await self._spool.pauses()}
            except StoreError:
                self.stale = True
                raise
        before, self._known = self._known, found
        for name, account_state in tuple(self.account_states.items()):  # a reload may come between
            pause = found.get(name)
            if pause != before.get(name) and pause != account_state.pause:
                await self._take_up(account_state, pause, told=self._first)
        self._first = False

    async def _take_up(self, account_state: AccountState, pause: Pause | None, *, told: bool) -> None:
        """Somebody else paused the account, or let it send again; an earlier run has `told` it already."""
        name, before = account_state.account.name, account_state.pause
        if pause is None:
            await self._let_go(account_state)
        else:
            account_state.pause = pause
        self._look_at(name)
        if told:
            return
        if pause is None:
            self._observer.notice(AccountResumed(name))
        elif before is None or before.reason != pause.reason:
            paused = AccountPaused(name, reason=pause.reason, remedy=pause.remedy, until=pause.probe)
            self._observer.notice(paused)

    async def _let_go(self, account_state: AccountState) -> None:
        account_state.unpause()
        account_state.went_well()
        await account_state.channel.transport.forgive()  # only a person can know that a password is right

    def known(self, account: str) -> Pause | None:
        """The pause that the spool holds."""
        return self._known.get(account)

    async def _write(self, pause: Pause, audit: AuditRecord | None = None) -> None:
        await self._spool.pause(pause, audit=audit)
        self._known[pause.account] = pause

    async def _remove(self, account: str, audit: AuditRecord | None = None) -> bool:
        removed = await self._spool.resume(account, audit=audit)
        self._known.pop(account, None)
        return removed

    def account_state(self, account: str) -> AccountState:
        """Raises `UsageError` if there is no such account."""
        if account not in self.account_states:
            raise UsageError(f"There is no account {account!r}.", hint="`postbearer accounts` lists them.")
        return self.account_states[account]

    async def by_hand(self, account: str, audit: AuditRecord | None = None) -> None:
        """A person stops an account, as the `audit` is to tell. Raises `UsageError`, `StoreError`."""
        account_state = self.account_state(account)
        account_state.pause = Pause(account=account, since=self._clock.now(), reason=BY_HAND)
        await self._write(account_state.pause, audit)
        self._observer.notice(AccountPaused(account, reason=BY_HAND))

    async def resume(self, account: str, audit: AuditRecord | None = None) -> bool:
        """Let an account send again; False if it was not paused. Raises `UsageError`, `StoreError`."""
        account_state = self.account_state(account)
        await self._let_go(account_state)
        resumed = await self._remove(account, audit)
        if resumed:
            self._observer.notice(AccountResumed(account))
        return resumed

    def try_again(self, account: str) -> bool:
        """Have it probed at once; False if it is not paused, or by hand. Raises `UsageError`."""
        account_state = self.account_state(account)
        if account_state.pause is None or account_state.pause.reason == BY_HAND:
            return False
        account_state.pause = replace(account_state.pause, probe=self._clock.now())
        return True

    async def learn(self, account_state: AccountState, ending: AttemptResult, probed: Pause | None) -> None:
        """What an attempt tells about its account; `probed` is the pause it may end. Raises `StoreError`."""
        if self.account_states.get(account_state.account.name) is not account_state:
            return  # replaced by a reload: what it met says nothing about the account as it is now
        if ending.cut:
            account_state.cut()
        if ending.error:
            account_state.last_error = ending.error
        account_state.strikes.update(ending.strikes)
        if account_state.pause is not None and account_state.pause is not probed:
            # Paused meanwhile: what was under way says nothing new. Or something changed while it was probed:
            # that it works is true all the same, and that it does not has to be tried again.
            same = probed is not None and probed.since == account_state.pause.since
            if not same or ending.stop is not None:
                return
        if ending.stop is not None:
            known = account_state.pause is not None and account_state.pause.reason == ending.stop.reason
            await self.stop(account_state, ending.stop)
            if ending.stop.tenant and not known:
                await self._stop_sisters(account_state, ending.stop)
        elif ending.rest is not None:
            account_state.rest(ending.rest)
            account_state.missed = ending.missed
        elif ending.works:
            account_state.went_well()
            if self._spread:
                self._disprove(account_state)
            if account_state.pause is not None:
                await self._works_again(account_state, account_state.pause)

    async def stop(self, account_state: AccountState, stop: PauseOrder) -> None:
        """The account pauses. Raises `StoreError`."""
        before, now, name = account_state.pause, self._clock.now(), account_state.account.name
        wait = NEXT_PROBE if stop.person and before is not None and stop.seconds is not None else stop.seconds
        account_state.last_error = stop.reason
        account_state.pause = Pause(
            account=name,
            since=before.since if before else now,
            reason=stop.reason,
            remedy=stop.remedy,
            probe=None if wait is None else now + wait,
            probes=before.probes + 1 if before else 0,
            passes=not stop.person,
        )
        self._look_at(name)
        await self._write(account_state.pause)
        if before is None or before.reason != stop.reason:
            self._observer.notice(
                AccountPaused(
                    name,
                    reason=stop.reason,
                    remedy=stop.remedy,
                    until=account_state.pause.probe,
                    person=stop.person,
                )
            )

    async def _works_again(self, account_state: AccountState, pause: Pause) -> None:
        """It sends; those of its organisation that paused for the same reason are tried as well."""
        account_state.unpause()
        await self._remove(account_state.account.name)
        self._observer.notice(AccountResumed(account_state.account.name))
        for sister in self._sisters(account_state):
            if sister.pause is not None and sister.pause.reason == pause.reason:
                sister.pause = replace(sister.pause, probe=self._clock.now())
                self._look_at(sister.account.name)

    async def _stop_sisters(self, account_state: AccountState, stop: PauseOrder) -> None:
        """What reaches the organisation stops all of its accounts: each need not be refused to know it.

        That is what the provider says, and only until a sister works: from then on the same reason is one
        of the account that meets it.
        """
        sisters = self._sisters(account_state)
        for each in account_state.account.organisations if stop.person else ():
            self._spread.setdefault(each, set()).add(stop.reason)
        for sister in sisters:
            if self._works(sister):
                self._disprove(sister)
        if any(stop.reason in self._disproved.get(each, ()) for each in account_state.account.organisations):
            return
        for sister in sisters:
            if sister.pause is None:
                await self.stop(sister, stop)

    def _works(self, account_state: AccountState) -> bool:
        """Whether it sent a moment ago, and nothing was said of it since."""
        return account_state.pause is None and self._clock.now() - account_state.worked_at < FIRST_PROBE

    def _disprove(self, account_state: AccountState) -> None:
        """It sends, so that nothing that a person has to permit is missing for all of its organisation.

        A quota is another matter: it may be spent a moment later, and comes back for everybody.
        """
        for each in account_state.account.organisations:
            if reasons := self._spread.pop(each, None):
                self._disproved.setdefault(each, set()).update(reasons)

    def _sisters(self, account_state: AccountState) -> list[AccountState]:
        return [
            other
            for other in self.account_states.values()
            if other is not account_state
            and other.account.organisations & account_state.account.organisations
        ]
