"""The HTTP API as a service of the relay."""

from __future__ import annotations

import asyncio

from postbearer.api import ENDPOINTS, PROBED, ApiServices, ApiTokens, Cursors, HttpServer, application
from postbearer.daemon.http_plan import HttpPlan
from postbearer.daemon.metering import Metering
from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.daemon.services import FAREWELL, ControlService, IntakeService
from postbearer.engine import Dispatcher
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
    ) -> None:
        self._shared = shared
        self._control = control
        self._metering = metering
        self._dispatcher = dispatcher
        self._feed = feed
        self._tokens = ApiTokens(plan.assembly.state)
        self._cursors = Cursors()
        self._stopping = asyncio.Event()
        http = _plan(plan)
        clock, observer = shared.clock, shared.observer
        services = self._services(plan)
        self._secure = http.context is not None
        self._server = HttpServer(
            http.addresses,
            application(
                services, ENDPOINTS, hosts=http.hosts, proxies=http.proxies, base_path=http.base_path
            ),
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
        self._server.use(
            application(
                services, ENDPOINTS, hosts=http.hosts, proxies=http.proxies, base_path=http.base_path
            ),
            http.context,
        )
        self._probes.use(application(services, PROBED, hosts=None, open_to_all=True), None)

    async def stop(self, patience: float) -> None:
        self._stopping.set()
        await self._feed.stop()
        patience = min(patience, FAREWELL)
        await asyncio.gather(self._server.stop(patience), self._probes.stop(patience))

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


def _plan(plan: ServicePlan) -> HttpPlan:
    assert plan.relay.http is not None, "it does not come or go while the relay runs"
    return plan.relay.http
