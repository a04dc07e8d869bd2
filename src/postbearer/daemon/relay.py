"""The relay as one object: a list of services, started, reloaded and stopped in their order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from postbearer.api import ApiTokens
from postbearer.assembly import Assembly
from postbearer.clock import Clock, SystemClock
from postbearer.control import Process
from postbearer.daemon.alerting import Alerting, AlertNotebook
from postbearer.daemon.heartbeat import HeartbeatService
from postbearer.daemon.log_service import LogService
from postbearer.daemon.plan import relay_settings
from postbearer.daemon.recent_log import RecentLog
from postbearer.daemon.refresher import SignInRefresher
from postbearer.daemon.service import Service, Services, Together
from postbearer.daemon.service_plan import ServicePlan
from postbearer.daemon.services import (
    ControlService,
    DelayWarningService,
    DispatcherService,
    DropFolderService,
    IntakeService,
    LeaseService,
    ListenerService,
    NodeService,
    OutboxService,
    QueueService,
    RemarksService,
    SubmitSocketService,
)
from postbearer.daemon.tracing_service import TracingService
from postbearer.daemon.webhook_service import WebhookService
from postbearer.engine import Dispatcher, FlooredClock, Intake
from postbearer.errors import ConfigError
from postbearer.events import Observer, Several
from postbearer.store import PostgresUrl, open_spool
from postbearer.tracking import Feed

if TYPE_CHECKING:
    from postbearer.daemon.http_service import HttpService

DRAIN = 660.0  # seconds: the longest wait for a final reply (RFC 5321 4.5.3.2.6), and some for the marks


class Relay:
    """Submission, queue and delivery in one process. Start it, reload it, stop it."""

    def __init__(
        self,
        assembly: Assembly,
        *,
        observer: Observer,
        clock: Clock | None = None,
        runtime: Path | None = None,
        process: Process | None = None,
    ) -> None:
        """`runtime` is the folder of the sockets; the state folder unless given.

        `process` is what people reload and stop, where the relay has one to itself. Raises `ConfigError`,
        `StoreError`.
        """
        clock = self._clock = clock or SystemClock()
        events = self._observer = Several(observer, clock=clock)
        queue_clock = self._queue_clock = FlooredClock(clock)
        plan = self._plan = self._plan_of(assembly)
        folder = runtime or Path(assembly.state.path)
        assembly.state.ensure()
        self.spool = spool = open_spool(
            plan.spool,
            clock=queue_clock,
            node=plan.node,
            password=assembly.spool_password,
            allow_ephemeral=assembly.configuration.settings.allow_ephemeral
            or relay_settings(assembly).allow_ephemeral,
            observer=events,
            events=plan.relay.http is not None or bool(plan.webhooks),
        )
        self.dispatcher = dispatcher = Dispatcher(
            spool, plan.channels, clock=queue_clock, observer=events, rules=plan.rules
        )
        self.intake = Intake(
            spool,
            plan.relay.router,
            plan.accounts,
            clock=queue_clock,
            observer=events,
            settings=plan.intake,
            starter=dispatcher,
        )
        shared = IntakeService(self.intake, plan, clock, events)
        self._listeners = [ListenerService(number, plan, shared) for number in range(len(plan.relay.doors))]
        self._http: HttpService | None = None
        self._services = self._list(plan, shared, folder, process)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens."""
        http = self._http.addresses if self._http is not None else ()
        return (*(listener.address for listener in self._listeners), *http)

    def open_console(self) -> str:
        """An address at which a browser on this machine opens the console, once; empty if there is none."""
        return self._http.open_console() if self._http is not None else ""

    def add(self, service: Service) -> None:
        """`service` starts after all others, and stops before them. Before `start` only."""
        self._services.add(service)

    async def start(self) -> None:
        """Open the queue, begin to deliver, then to listen. Raises `ConfigError` or `StoreError`."""
        await self._services.start()

    async def reload(self, assembly: Assembly) -> None:
        """Go by another configuration, without dropping a connection or forgetting a budget.

        Raises `ConfigError`, and then nothing has changed. Addresses to listen on and the place of the spool
        are read at the start only.
        """
        plan = self._plan_of(assembly)
        plan.check_places(self._plan)
        try:
            await self._services.reload(plan)
        except Exception:  # a defect: those before it go back, and those after it have not changed
            await self._services.reload(self._plan_of(self._plan.assembly))
            raise
        self._plan = plan

    async def stop(self, patience: float = DRAIN) -> None:
        """Take nothing more, finish what is under way for up to `patience` seconds, write all marks."""
        await self._services.stop(patience)

    def _list(
        self, plan: ServicePlan, shared: IntakeService, folder: Path, process: Process | None
    ) -> Services:
        """All services, in the order in which they start."""
        clock, events, spool, dispatcher = self._clock, self._observer, self.spool, self.dispatcher
        persistence = plan.assembly.persistence
        queue = QueueService(spool, self._queue_clock, persistence)
        notebook = AlertNotebook(persistence, events)
        alerting = Alerting(plan, notebook, spool, dispatcher, clock, events)
        refresher = SignInRefresher(persistence, spool, dispatcher, clock, events, plan.accounts)
        events.add(alerting)
        events.add(refresher)
        feed = Feed(spool, clock, events)
        webhooks = WebhookService(plan, spool, feed, clock, events)
        tokens = ApiTokens(plan.assembly.state) if plan.relay.http is not None else None
        log = RecentLog.of(events) if tokens is not None else None
        control = ControlService(
            *(folder, plan, shared),
            spool=spool,
            dispatcher=dispatcher,
            refresher=refresher,
            process=process,
            console=self.open_console,
            clock=clock,
            queue_clock=self._queue_clock,
            observer=events,
            webhooks=webhooks,
            tokens=tokens,
            alerts=alerting,
            log=log,
        )
        by_http: tuple[Service, ...] = ()
        if tokens is not None:
            by_http = self._over_http(plan, shared, control, feed, webhooks, tokens=tokens)
        around = [  # what takes mail in, and what looks after the queue: one line each
            SubmitSocketService(folder, plan, shared),
            control,
            *self._listeners,
            *by_http,
            DropFolderService(plan, self.intake, clock, events),
            *([OutboxService(plan, shared)] if isinstance(plan.spool, PostgresUrl) else []),
            alerting,
            refresher,
            DelayWarningService(dispatcher, clock, events),
            HeartbeatService(plan, self.intake, clock, events),
            webhooks,
        ]
        services = [
            LogService(plan, events),
            *([TracingService(plan.assembly.environ, events)] if plan.traced else []),
            queue,
            notebook,
            LeaseService(spool, queue, clock, events),
            DispatcherService(dispatcher, clock, events),
            shared,
            Together(around, events),
            RemarksService(plan, spool, queue, events),
            NodeService(plan, spool, dispatcher, lambda: self.addresses, events),
        ]
        return Services(services, events)

    def _plan_of(self, assembly: Assembly) -> ServicePlan:
        return ServicePlan.of(
            assembly, clock=self._clock, queue_clock=self._queue_clock, observer=self._observer
        )

    def _over_http(
        self,
        plan: ServicePlan,
        shared: IntakeService,
        control: ControlService,
        feed: Feed,
        webhooks: WebhookService,
        *,
        tokens: ApiTokens,
    ) -> tuple[Service, ...]:
        """The API, and what it alone shows. Who has no API loads nothing for it."""
        try:
            from postbearer.daemon.http_service import HttpService
            from postbearer.daemon.metering import Metering
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"The HTTP API needs the package {error.name}.",
                key="http",
                hint="Install it: pip install 'postbearer[relay]'",
            ) from None
        metering = Metering(
            *(plan, self.spool, self.dispatcher, webhooks, self._queue_clock, self._observer),
        )
        self._observer.add(metering)
        self._http = HttpService(
            *(shared, control, metering, self.dispatcher, feed, plan), spool=self.spool, tokens=tokens
        )
        return metering, self._http
