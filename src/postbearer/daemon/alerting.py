"""Watching over the accounts of a relay: what it is made of, from the configuration."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from postbearer.account import Account
from postbearer.alerts import (
    AlertChannel,
    AlertDispatcher,
    AlertMail,
    AlertMonitor,
    AlertPreferences,
    AlertSources,
    AlertState,
    Program,
    Webhook,
)
from postbearer.assembly import Assembly
from postbearer.clock import Clock, event_or_time
from postbearer.config import NotifySettings, WebhookSettings
from postbearer.diagnosis import cures
from postbearer.engine import Dispatcher, IntakeSettings
from postbearer.errors import StoreError
from postbearer.events import Event, Observer, Warned
from postbearer.forecast import Expiry, awaits_sign_in, forecast, gather
from postbearer.state import StateFolder
from postbearer.store import Spool
from postbearer.tasks import defect

NAME = "notices.json"
LOOK_AGAIN = 60.0  # seconds after which a clock that was set is noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPlan:
    """What is watched, and who is told."""

    channels: Mapping[str, AlertChannel]
    sight: AlertSources
    wishes: AlertPreferences


class Alerting:
    """An observer of all that happens. Make it, `use` what `plan` makes of a configuration, `run` it."""

    def __init__(
        self,
        assembly: Assembly,
        spool: Spool,
        dispatcher: Callable[[], Dispatcher],
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._spool = spool
        self._dispatcher = dispatcher
        self._clock = clock
        self._observer = observer
        self._posted = asyncio.Event()
        self._said: set[str] = set()  # what cannot be looked at
        self._notebook = AlertState(Path(assembly.state.path, NAME), observer)
        self._teller = AlertDispatcher(self._notebook, {}, clock, observer)
        self._watch = AlertMonitor(
            self._notebook,
            AlertSources(spool=spool, accounts={}, foresee=_nothing_ahead, cures=_nothing),
            AlertPreferences(),
            clock=clock,
            observer=observer,
            targets=lambda: self._teller.targets,
            posted=self._posted.set,
        )

    def notice(self, event: Event) -> None:
        self._watch.notice(event)

    def load(self) -> None:
        """Take up what an earlier run told. Raises `StoreError`."""
        self._notebook.load()

    def plan(self, assembly: Assembly, accounts: dict[str, Account], settings: IntakeSettings) -> AlertPlan:
        """What another configuration means. Raises `ConfigError`."""
        notify = assembly.configuration.settings.notify
        usual = AlertPreferences()
        after = usual.backlog_after if notify.backlog_after is None else notify.backlog_after
        return AlertPlan(
            channels=self._channels(assembly, notify, accounts, settings),
            sight=AlertSources(
                spool=self._spool,
                accounts={name: account.address for name, account in accounts.items()},
                foresee=partial(self._foresee, tuple(accounts.values()), assembly.state),
                cures=partial(_cures, assembly, accounts),
            ),
            wishes=AlertPreferences(topics=frozenset(notify.events), backlog_after=after),
        )

    def use(self, watched: AlertPlan) -> None:
        """Go by another configuration."""
        self._teller.use(watched.channels)
        self._watch.use(watched.sight, watched.wishes)
        self._posted.set()

    async def _foresee(
        self, accounts: Sequence[Account], state: StateFolder
    ) -> Mapping[str, Sequence[Expiry]]:
        """What will run out; what cannot be looked at is said once."""
        facts = []
        for each in accounts:
            try:
                facts.append(await gather(each, state, self._clock))
            except Exception as error:  # any: of the other accounts it is told all the same
                self._observer.notice(defect(error, "what will run out", account=each.name))
        troubles = {trouble: each.account for each in facts for trouble in each.troubles}
        for trouble in troubles.keys() - self._said:
            self._observer.notice(Warned(troubles[trouble], trouble))
        self._said = set(troubles)
        return {each.account: forecast(each) for each in facts}

    async def watch(self) -> None:
        """Watch until cancelled."""
        await self._watch.run()

    async def finish(self, patience: float) -> None:
        """Tell nothing more, but what is being told right now, for up to `patience` seconds."""
        with suppress(TimeoutError):  # who has not answered by then is told again by the next run
            await asyncio.wait_for(self._teller.finish(), patience)

    async def tell(self) -> None:
        """Tell what there is to tell, until cancelled."""
        while True:
            self._posted.clear()
            try:
                due = await self._teller.deliver()
            except StoreError as error:
                self._observer.notice(Warned("", f"What was told cannot be noted: {error}"))
                due = self._clock.now() + LOOK_AGAIN
            seconds = min(max(due - self._clock.now(), 0.05), LOOK_AGAIN)
            await event_or_time(self._posted, seconds, self._clock)

    def _channels(
        self,
        assembly: Assembly,
        notify: NotifySettings,
        accounts: dict[str, Account],
        settings: IntakeSettings,
    ) -> dict[str, AlertChannel]:
        channels: dict[str, AlertChannel] = {}
        for each in notify.webhooks:
            hook = each if isinstance(each, WebhookSettings) else WebhookSettings(url=each)
            url = hook.url if hook.url.startswith("http") else assembly.secret_source(hook.url)
            secret = assembly.secret_source(hook.secret) if hook.secret else None
            # Named by a digest, as it stands in a file and the address may be a secret.
            digest = hashlib.sha256(hook.url.encode()).hexdigest()[:12]
            channels[f"webhook {digest}"] = Webhook(url, secret, self._clock)
        if notify.command:
            channels["command"] = Program(
                shlex.split(notify.command) if isinstance(notify.command, str) else notify.command
            )
        if notify.mail_to:
            channels["mail"] = AlertMail(
                notify.mail_to,
                notify.account or "",
                accounts,
                spool=self._spool,
                clock=self._clock,
                observer=self._observer,
                settings=settings,
                can_send=partial(self._can_send, accounts, assembly.state),
                wrote=self._notebook.wrote,
                wake=lambda: self._dispatcher().wake(),
            )
        return channels

    async def _can_send(self, accounts: Mapping[str, Account], state: StateFolder, name: str) -> bool:
        account_state = self._dispatcher().account_states.get(name)
        if account_state is None or account_state.paused:
            return False
        return not await awaits_sign_in(accounts[name], state, self._clock)


def _cures(assembly: Assembly, accounts: dict[str, Account], name: str, reason: str) -> Sequence[str]:
    settings = assembly.configuration.account(name)
    return cures(accounts[name], assembly.configuration.preset(settings), reason, settings.tenant or "")


async def _nothing_ahead() -> Mapping[str, Sequence[Expiry]]:
    return {}


def _nothing(name: str, reason: str) -> Sequence[str]:
    return ()
