"""The HTTP API and the console as a service of the relay."""

from __future__ import annotations

import asyncio

from postbearer.api import (
    CONSOLE,
    ENDPOINTS,
    PROBED,
    ApiServices,
    ApiTokens,
    Cursors,
    HttpServer,
    application,
)
from postbearer.console import ConsoleServices, ConsoleSettings, ConsoleState, OneTimeCodes, Passkeys, console
from postbearer.daemon.http_plan import HttpPlan
from postbearer.daemon.metering import Metering
from postbearer.daemon.plan import relay_settings, spool_url
from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.daemon.services import FAREWELL, ControlService, IntakeService
from postbearer.engine import Dispatcher
from postbearer.http_guard import Application
from postbearer.store import DurableSpool, SpoolUrl
from postbearer.tracking import Feed


class HttpService(Service):
    """The API at its addresses, and its health endpoints at theirs."""

    def __init__(
        self,
        shared: IntakeService,
        control: ControlService,
        metering: Metering,
        dispatcher: Dispatcher,
        feed: Feed,
        plan: ServicePlan,
        *,
        spool: DurableSpool,
        tokens: ApiTokens,
    ) -> None:
        self._spool = spool
        self._shared = shared
        self._control = control
        self._metering = metering
        self._dispatcher = dispatcher
        self._feed = feed
        self._tokens = tokens
        self._cursors = Cursors()
        self._stopping = asyncio.Event()
        http = _plan(plan)
        clock, observer = shared.clock, shared.observer
        services = self._services(plan)
        self._codes = OneTimeCodes(clock)
        self._state = ConsoleState(services, self._codes, Passkeys(plan.assembly.state, clock))
        self._base_path = http.base_path
        self._secure = http.context is not None
        self._server = HttpServer(
            http.addresses,
            self._application(services, plan),
            http.context,
            key="http.listen",
            clock=clock,
            observer=observer,
        )
        self._probes = HttpServer(
            http.health,
            application(services, PROBED, hosts=None, open_to_all=True),
            None,
            key="http.health-listen",
            clock=clock,
            observer=observer,
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, as URLs, but for probes."""
        return tuple(
            each if each.startswith("unix:") else f"http{'s' if self._secure else ''}://{each}"
            for each in self._server.addresses
        )

    async def start(self) -> None:
        await asyncio.to_thread(self._tokens.ensure_first, self._shared.clock.now())
        await self._server.start()
        await self._probes.start()

    async def reload(self, plan: ServicePlan) -> None:
        http, services = _plan(plan), self._services(plan)
        self._base_path = http.base_path
        self._server.use(self._application(services, plan), http.context)
        self._probes.use(application(services, PROBED, hosts=None, open_to_all=True), None)

    async def stop(self, patience: float) -> None:
        self._stopping.set()
        await self._state.stop()
        await self._feed.stop()
        patience = min(patience, FAREWELL)
        await asyncio.gather(self._server.stop(patience), self._probes.stop(patience))

    def open_console(self) -> str:
        """An address at which a browser on this machine opens the console, once; empty if there is none."""
        found = next((each for each in self._server.addresses if not each.startswith("unix:")), "")
        if not found:
            return ""
        host, _, port = found.rpartition(":")
        host = "localhost" if host in ("0.0.0.0", "[::]") else host  # noqa: S104 - a comparison
        scheme = "https" if self._secure else "http"
        return f"{scheme}://{host}:{port}{self._base_path}{CONSOLE}/login?code={self._codes.make()}"

    def _application(self, services: ApiServices, plan: ServicePlan) -> Application:
        http = _plan(plan)
        shown = ConsoleServices(api=services, spool=self._spool, settings=_shown(plan), state=self._state)
        return application(
            services,
            ENDPOINTS,
            hosts=http.hosts,
            proxies=http.proxies,
            base_path=http.base_path,
            console=console(shown, hosts=http.hosts, base_path=http.base_path),
        )

    def _services(self, plan: ServicePlan) -> ApiServices:
        return ApiServices(
            intake=self._shared.intake,
            operations=self._control.operations,
            dispatcher=self._dispatcher,
            access=plan.relay.access,
            rate_limit=self._shared.rate_limit,
            reject_log=self._shared.reject_log,
            tokens=self._tokens,
            clock=self._shared.clock,
            observer=self._shared.observer,
            metrics=self._metering.exposition.page,
            cursors=self._cursors,
            feed=self._feed,
            stopping=self._stopping,
        )


def _shown(plan: ServicePlan) -> ConsoleSettings:
    alerts, relay = plan.alerts, relay_settings(plan.assembly)
    ephemeral = relay.allow_ephemeral or plan.assembly.configuration.settings.allow_ephemeral
    return ConsoleSettings(
        relay=plan.relay.hostname,
        on_disk=not ephemeral,
        alerts=(*alerts.mail_to, *alerts.channels),
        bounces_to=plan.relay.bounces_to,
        state=plan.assembly.state.path if isinstance(spool_url(plan.assembly), SpoolUrl) else "",
        logins=_plan(plan).logins,
        codes_anywhere=_plan(plan).codes_anywhere,
    )


def _plan(plan: ServicePlan) -> HttpPlan:
    assert plan.relay.http is not None, "it does not come or go while the relay runs"
    return plan.relay.http
