"""The metrics of a relay: an observer of all that is counted, and a look at the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from postbearer.clock import Clock
from postbearer.control import WebhookCalls, WebhookStatus
from postbearer.daemon.plan import relay_settings
from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.engine import Dispatcher
from postbearer.events import Event, Observer
from postbearer.forecast import Expiry, end_of_certificate, forecast, gather_all
from postbearer.metrics import Exposition, ReadingSources, WebhookReading
from postbearer.store import Spool


class Metering(Service):
    """Counts from its making on, and makes the page for whoever asks."""

    def __init__(
        self,
        plan: ServicePlan,
        spool: Spool,
        dispatcher: Dispatcher,
        webhooks: WebhookCalls,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._spool = spool
        self._dispatcher = dispatcher
        self._webhooks = webhooks
        self._clock = clock
        self._accounts: frozenset[str] = frozenset()
        self.exposition = Exposition(self._sources(plan), clock, observer)
        self._use(plan)

    def hears(self, kind: type[Event]) -> bool:
        return self.exposition.counters.hears(kind)

    def notice(self, event: Event) -> None:
        self.exposition.counters.notice(event)

    async def start(self) -> None:
        self.exposition.start()

    async def reload(self, plan: ServicePlan) -> None:
        self._use(plan)
        self.exposition.use(self._sources(plan))

    async def stop(self, patience: float) -> None:
        await self.exposition.stop()

    def _use(self, plan: ServicePlan) -> None:
        for name in self._accounts - plan.accounts.keys():
            self.exposition.counters.forget(name)
        self._accounts = frozenset(plan.accounts)
        for name in self._accounts:
            self.exposition.counters.expect(name)

    def _sources(self, plan: ServicePlan) -> ReadingSources:
        accounts, state = tuple(plan.accounts.values()), plan.assembly.state

        async def foresee() -> Mapping[str, Sequence[Expiry]]:
            found = await gather_all(accounts, state, self._clock)
            return {name: forecast(facts) for name, facts in found.items()}

        async def webhooks() -> Sequence[WebhookReading]:
            return [_reading(each, self._clock.now()) for each in await self._webhooks.list()]

        return ReadingSources(
            spool=self._spool,
            states=lambda: self._dispatcher.account_states,
            foresee=foresee,
            certificates=_certificates(plan),
            folder=plan.spool.folder or Path(plan.assembly.state.path),
            webhooks=webhooks,
        )


def _reading(status: WebhookStatus, now: float) -> WebhookReading:
    return WebhookReading(
        name=status.name,
        waiting=status.waiting,
        oldest=None if status.age is None else now - status.age,
        failing=status.since if status.state == "failing" else None,
        disabled=status.state == "disabled",
        dropped=status.dropped,
    )


def _certificates(plan: ServicePlan) -> Mapping[str, float]:
    """When the certificates that the listeners have loaded end, by address."""
    http = plan.assembly.configuration.settings.http
    files = {each.address: each.certificate for each in relay_settings(plan.assembly).listeners}
    files |= dict.fromkeys(plan.relay.http.addresses, http.certificate) if http and plan.relay.http else {}
    found = {}
    for address, file in files.items():
        if file:
            at = end_of_certificate((plan.assembly.folder / file).read_text("ascii", "replace"))
            if at is not None:
                found[address] = at
    return found
