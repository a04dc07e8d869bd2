"""Tending the sign-ins of a relay: one that changed is taken up at once, one that idles is used in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from postbearer.account import Account
from postbearer.clock import Clock, event_or_time
from postbearer.daemon.fingerprint import LOOK, Fingerprints
from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.engine import Dispatcher
from postbearer.errors import (
    CredentialError,
    PostbearerError,
    SecretError,
    StoreError,
    TokenUnavailable,
    UsageError,
)
from postbearer.events import AccountPaused, Event, Observer, Warned
from postbearer.forecast import Facts, renewal_due
from postbearer.oauth import CachedSource
from postbearer.state import Persistence
from postbearer.store import BY_HAND, Spool
from postbearer.tasks import Tasks, defect

IDLE_LOOK = 600.0  # seconds between looks for a sign-in that idles


class SignInRefresher(Service):
    """An observer that acts: it looks at what paused accounts prove themselves with, and at idle ones.

    Secrets are read while an account is paused only, and of them no more than a digest is kept, in memory.
    """

    def __init__(
        self,
        state: Persistence,
        spool: Spool,
        dispatcher: Dispatcher,
        clock: Clock,
        observer: Observer,
        accounts: Mapping[str, Account],
    ) -> None:
        self._state = state
        self._spool = spool
        self._dispatcher = dispatcher
        self._clock = clock
        self._observer = observer
        self._accounts = accounts
        self._tasks = Tasks(clock, observer)
        self._fingerprints = Fingerprints(state, clock)
        self._wake = asyncio.Event()
        self._seen: dict[str, str] = {}  # of paused accounts: what they could not prove themselves with
        self._began: set[str] = set()  # accounts that paused while we looked on
        self._idle_at = 0.0
        self._recheck = False  # the configuration was read anew, so a secret may be another

    async def start(self) -> None:
        self._tasks.keep(self._run, "care for sign-ins")

    async def reload(self, plan: ServicePlan) -> None:
        self.use(plan.accounts)

    async def stop(self, patience: float) -> None:
        await self._tasks.stop()

    def use(self, accounts: Mapping[str, Account]) -> None:
        """Go by another configuration. The dispatcher has paused accounts tried then by itself."""
        self._accounts = accounts
        self._began |= accounts.keys()
        self._recheck = True
        self._seen.clear()
        self._fingerprints.hurry()
        self._wake.set()

    def hears(self, kind: type[Event]) -> bool:
        return kind is AccountPaused

    def notice(self, event: Event) -> None:
        if isinstance(event, AccountPaused):
            self._began.add(event.account)
            self._fingerprints.hurry(event.account)
            self._wake.set()

    async def _run(self) -> None:
        """Look at once when an account pauses, and every quarter of a minute while one does."""
        while True:
            self._wake.clear()
            try:
                await self.look()
            except StoreError as error:
                self._observer.notice(Warned("", f"The sign-ins cannot be looked after: {error}"))
            paused = any(map(self._stopped, self._accounts))
            wait = LOOK if paused else max(LOOK, self._idle_at - self._clock.now())
            await event_or_time(self._wake, wait, self._clock)

    async def look(self) -> None:
        """Look once. Raises `StoreError`."""
        recheck, self._recheck = self._recheck, False
        idle = self._clock.now() >= self._idle_at
        if idle:
            self._idle_at = self._clock.now() + IDLE_LOOK
        for account in self._accounts.values():
            try:
                await self._look(account, recheck=recheck, idle=idle)
            except UsageError:  # a reload took the account away meanwhile, and has us look again
                continue
            except StoreError:
                raise
            except Exception as error:  # any: the other accounts are looked after all the same
                self._observer.notice(defect(error, "care for sign-ins", account=account.name))

    async def _look(self, account: Account, *, recheck: bool, idle: bool) -> None:
        name = account.name
        if self._stopped(name):
            await self._compare(account)
        else:
            self._seen.pop(name, None)
            self._fingerprints.hurry(name)
        if recheck:
            await self._take_up_secrets(name)
        if idle and not self._stopped(name):
            await self._keep_warm(account)

    async def changed(self, name: str) -> bool:
        """Somebody signed in for the account, or changed its secret: it is tried again at once.

        With no mail to try it with, a new token is the proof. False if it was not paused. Raises `UsageError`
        and `StoreError`.
        """
        self._fingerprints.hurry(name)
        if not self._dispatcher.try_again(name):
            return False
        source = self._dispatcher.account_states[name].channel.source
        if source is not None and not any(each.account == name for each in await self._spool.waiting()):
            try:
                await source.fresh()
            except PostbearerError as error:
                self._observer.notice(Warned(name, f"It still gets no token: {error}"))
            else:
                await self._dispatcher.resume(name)
        return True

    def _stopped(self, name: str) -> bool:
        """Whether it is paused, and not by hand."""
        account_state = self._dispatcher.account_states.get(name)
        return (
            account_state is not None
            and account_state.pause is not None
            and account_state.pause.reason != BY_HAND
        )

    async def _compare(self, account: Account) -> None:
        name, now = account.name, await self._fingerprints.of(account)
        before, self._seen[name] = self._seen.get(name, now), now
        # Of one that paused before this process began nobody knows; but a refused password is not tried for
        # a "perhaps", as that locks mailboxes.
        perhaps = name not in self._began and not account.password_login
        self._began.add(name)
        if perhaps or before != now:
            await self.changed(name)

    async def _take_up_secrets(self, name: str) -> None:
        """Get a token with a secret that is another now; the one in use stays if that fails."""
        account_state = self._dispatcher.account_states.get(name)
        if account_state is None or account_state.pause is not None or account_state.channel.source is None:
            return
        try:
            if await account_state.channel.source.outdated():
                await account_state.channel.source.fresh()
        except PostbearerError as error:
            text = f"With what its secrets are now it gets no token; the one in use stays: {error}"
            self._observer.notice(Warned(name, text))

    async def _keep_warm(self, account: Account) -> None:
        """Use the refresh token of an account that sends nothing, before it dies of idleness."""
        account_state = self._dispatcher.account_states.get(account.name)  # none: only just named by a reload
        source = account_state.channel.source if account_state is not None else None
        if source is None or account.grant is None or not account.grant.keeps_refresh_token:
            return
        kept = await account.token_store(self._state, clock=self._clock).load()
        facts = Facts(
            account=account.name,
            refreshed=kept.refreshed,
            refresh_expires=kept.refresh_expires,
            refresh_idle=account.refresh_idle,
        )
        due = renewal_due(facts)
        if due is not None and due <= self._clock.now():
            await self._renew(account.name, source)

    async def _renew(self, name: str, source: CachedSource) -> None:
        try:
            await source.fresh()
        except (TokenUnavailable, SecretError, StoreError) as error:  # it is tried again at the next look
            self._observer.notice(Warned(name, f"Its idle sign-in could not be renewed yet: {error}"))
        except CredentialError as error:
            await self._dispatcher.refused(name, error)
