"""Watching over the accounts of a relay, and telling who wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from postbearer.account import Account
from postbearer.alerts import (
    AlertChannel,
    AlertDispatcher,
    AlertMail,
    AlertMonitor,
    AlertPreferences,
    AlertSources,
    AlertState,
    Notes,
)
from postbearer.assembly import Assembly
from postbearer.clock import Clock, event_or_time
from postbearer.control import AlertStatus, OpenAlert, ToldAlert, WaitingAlert
from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.diagnosis import cures
from postbearer.engine import Dispatcher
from postbearer.errors import StoreError
from postbearer.events import Event, Observer, Warned
from postbearer.forecast import Expiry, awaits_sign_in, forecast, gather
from postbearer.state import Persistence
from postbearer.store import Spool
from postbearer.tasks import Tasks, defect

DOCUMENT = "notices"
LOOK_AGAIN = 60.0  # seconds after which a clock that was set is noticed
TELLING = 5.0  # seconds a notice that is being told may take at the end


class AlertNotebook(Service):
    """What an earlier run told, taken up before anything happens that could be told again."""

    def __init__(self, state: Persistence, observer: Observer) -> None:
        self.notes = AlertState(state.document(DOCUMENT), observer)

    async def start(self) -> None:
        await self.notes.load()


class Alerting(Service):
    """An observer of all that happens, which looks at the queue too."""

    def __init__(
        self,
        plan: ServicePlan,
        notebook: AlertNotebook,
        spool: Spool,
        dispatcher: Dispatcher,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._spool = spool
        self._dispatcher = dispatcher
        self._clock = clock
        self._observer = observer
        self._tasks = Tasks(clock, observer)
        self._posted = asyncio.Event()
        self._said: set[str] = set()  # what cannot be looked at
        self._notebook = notebook.notes
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
        self._use(plan)

    def hears(self, kind: type[Event]) -> bool:
        return self._watch.hears(kind)

    def notice(self, event: Event) -> None:
        self._watch.notice(event)

    async def start(self) -> None:
        self._tasks.keep(self._watch.run, "watch over the accounts")
        self._tasks.keep(self._tell, "notices")

    async def reload(self, plan: ServicePlan) -> None:
        self._use(plan)

    async def stop(self, patience: float) -> None:
        """Tell nothing more but what is being told right now, for a few seconds."""
        if self._tasks:
            with suppress(TimeoutError):  # who has not answered by then is told again by the next run
                async with asyncio.timeout(min(patience, TELLING)):
                    await self._teller.finish()
        await self._tasks.stop()

    def status(self) -> AlertStatus:
        """What is open, on its way, and was told."""
        notes, names = self._notebook.notes, self._teller.names
        return AlertStatus(
            channels=tuple(names.values()),
            open=tuple(_open(notes)),
            waiting=tuple(
                WaitingAlert(
                    title=post.notice.title,
                    account=post.notice.account,
                    to=names.get(each.to, each.to),
                    since=each.since,
                    tries=each.tries,
                    due=each.due,
                )
                for post in notes.outbox
                for each in post.targets
            ),
            told=tuple(
                ToldAlert(
                    at=each.at,
                    kind=each.notice.kind,
                    account=each.notice.account,
                    title=each.notice.title,
                    text=each.notice.text,
                    to=each.to,
                    error=each.error,
                )
                for each in reversed(notes.done)
            ),
        )

    def _use(self, plan: ServicePlan) -> None:
        assembly, accounts = plan.assembly, plan.accounts
        sources = AlertSources(
            spool=self._spool,
            accounts={name: account.address for name, account in accounts.items()},
            foresee=partial(self._foresee, tuple(accounts.values()), assembly.persistence),
            cures=partial(_cures, assembly, accounts),
        )
        self._teller.use(self._channels(plan))
        self._watch.use(sources, plan.alerts.preferences)
        self._posted.set()

    async def _foresee(
        self, accounts: Sequence[Account], state: Persistence
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

    async def _tell(self) -> None:
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

    def _channels(self, plan: ServicePlan) -> Mapping[str, AlertChannel]:
        alerts, accounts = plan.alerts, plan.accounts
        if not alerts.mail_to:
            return alerts.channels
        mail = AlertMail(
            alerts.mail_to,
            alerts.mail_account,
            accounts,
            spool=self._spool,
            clock=self._clock,
            observer=self._observer,
            settings=plan.intake,
            can_send=partial(self._can_send, accounts, plan.assembly.persistence),
            wrote=self._notebook.wrote,
            wake=self._dispatcher.wake,
        )
        return {**alerts.channels, "mail": mail}

    async def _can_send(self, accounts: Mapping[str, Account], state: Persistence, name: str) -> bool:
        account_state = self._dispatcher.account_states.get(name)
        if account_state is None or account_state.paused:
            return False
        return not await awaits_sign_in(accounts[name], state, self._clock)


def _open(notes: Notes) -> Iterator[OpenAlert]:
    """What was told and is still so."""
    for name, sent in notes.paused.items():
        yield OpenAlert(
            what="paused", account=name, since=sent.since, text=sent.reasons[-1] if sent.reasons else ""
        )
    for key, level in notes.levels.items():
        name, _, what = key.partition(" ")
        yield OpenAlert(what="runs-out", account=name, since=level.at, text=what, level=level.days)
    for name, since in notes.backlog.items():
        yield OpenAlert(what="backlog", account=name, since=since, text="")


def _cures(assembly: Assembly, accounts: Mapping[str, Account], name: str, reason: str) -> Sequence[str]:
    settings = assembly.configuration.account(name)
    return cures(accounts[name], assembly.configuration.preset(settings), reason, settings.tenant or "")


async def _nothing_ahead() -> Mapping[str, Sequence[Expiry]]:
    return {}


def _nothing(name: str, reason: str) -> Sequence[str]:
    return ()
