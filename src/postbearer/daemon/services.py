"""The services of a relay that stand on parts of other rooms: the queue, the ways in, the control socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from postbearer.account import Account
from postbearer.clock import Clock
from postbearer.control import (
    AccountFinder,
    AlertDesk,
    AuditRecorder,
    ControlServer,
    EditingSettings,
    JobRunner,
    LogDesk,
    Operations,
    Process,
    SharedEdits,
    SignIns,
    TokenDesk,
    WayIn,
    WebhookCalls,
)
from postbearer.daemon.plan import ListenerPlan
from postbearer.daemon.refresher import SignInRefresher
from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.engine import Dispatcher, FlooredClock, Intake
from postbearer.errors import StoreError
from postbearer.events import Observer, PossibleDuplicate, Warned
from postbearer.forecast import gather_all
from postbearer.state import Persistence
from postbearer.store import HEARTBEAT, Found, NodeDetails, PostgresUrl, Spool, open_outbox
from postbearer.submission import (
    ConnectionLimit,
    DropFolder,
    Listener,
    ListenerContext,
    LocalSubmission,
    Logins,
    OutboxCollector,
    RateLimit,
    RejectLog,
    SessionLimits,
)
from postbearer.tasks import Tasks

LATE_LOOK = 300.0  # seconds between looks for mail that waits for too long
FAREWELL = 30.0  # seconds for conversations under way to end


class QueueService(Service):
    """The queue on disk, open while the relay runs. `clock` goes on from what an earlier run has written."""

    def __init__(self, spool: Spool, clock: FlooredClock, state: Persistence) -> None:
        self._state = state
        self.found: Found | None = None  # by the start
        self.behind = 0.0  # seconds that the clock was behind the queue
        self._spool = spool
        self._clock = clock

    async def start(self) -> None:
        await self._state.verify(mark=True)
        self.found = await self._spool.open()
        self.behind = self._clock.start_at(self.found.newest)
        self.keep_time()

    def keep_time(self) -> None:
        """Go by the clock of the store, if it has one: nodes with wrong ones would keep each other's mail."""
        time = self._spool.time()
        if time is not None:
            self._clock.follow(time)

    async def stop(self, patience: float) -> None:
        await self._spool.close()


class LeaseService(Service):
    """Renews the leases of this relay, until the dispatcher has written its marks, and takes over others'."""

    def __init__(self, spool: Spool, queue: QueueService, clock: Clock, observer: Observer) -> None:
        self._spool = spool
        self._queue = queue
        self._clock = clock
        self._observer = observer
        self._tasks = Tasks(clock, observer)

    async def start(self) -> None:
        self._tasks.keep(self._run, "leases")

    async def stop(self, patience: float) -> None:
        await self._tasks.stop()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(HEARTBEAT)
            try:
                await self._beat()
            except StoreError as error:
                text = f"The leases of what is under way cannot be renewed: {error}"
                self._observer.notice(Warned("", text))

    async def _beat(self) -> None:
        taken = await self._spool.heartbeat()
        self._queue.keep_time()
        for identifier in taken:
            self._observer.notice(PossibleDuplicate("", id=identifier, window="DUP-LEASE"))
        if taken:
            await self._spool.told()


class DispatcherService(Service):
    """The dispatcher at work. At the end it writes all marks."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock, observer: Observer) -> None:
        self._dispatcher = dispatcher
        self._tasks = Tasks(clock, observer)

    async def start(self) -> None:
        self._tasks.keep(self._dispatcher.run, "worker")

    async def reload(self, plan: ServicePlan) -> None:
        await self._dispatcher.reload(plan.channels, plan.rules)

    async def stop(self, patience: float) -> None:
        if self._tasks:
            await self._dispatcher.drain(patience)
        await self._tasks.stop()


class IntakeService(Service):
    """What every way in shares: the intake, who may log in, and how much one client may take."""

    def __init__(self, intake: Intake, plan: ServicePlan, clock: Clock, observer: Observer) -> None:
        self.intake = intake
        self.clock = clock
        self.observer = observer
        self._bounds = SessionLimits()
        self._logins = Logins(plan.relay.access, clock)
        self.rate_limit = RateLimit(clock)
        self.reject_log = RejectLog(clock, observer)
        self.doors = ConnectionLimit(self._bounds, self.reject_log, clock=clock, observer=observer)

    async def reload(self, plan: ServicePlan) -> None:
        self.intake.replace(plan.relay.router, plan.accounts, plan.intake)
        self._logins.use(plan.relay.access)

    def context(self, plan: ServicePlan, door: ListenerPlan) -> ListenerContext:
        """What the sessions of one listener go by."""
        return ListenerContext(
            offer=door.offer,
            intake=self.intake,
            access=plan.relay.access,
            logins=self._logins,
            rate_limit=self.rate_limit,
            clock=self.clock,
            observer=self.observer,
            bounds=self._bounds,
            context=door.context,
            implicit_tls=door.implicit_tls,
            legacy=door.legacy,
            proxies=door.proxies,
            reject_log=self.reject_log,
        )


class ListenerService(Service):
    """The listener at one place among those of the plan."""

    def __init__(self, number: int, plan: ServicePlan, shared: IntakeService) -> None:
        self._number = number
        self._shared = shared
        door = plan.relay.doors[number]
        self._listener = Listener(door.address, shared.context(plan, door), shared.doors)

    @property
    def address(self) -> str:
        return self._listener.address

    async def start(self) -> None:
        await self._listener.start()

    async def reload(self, plan: ServicePlan) -> None:
        self._listener.use(self._shared.context(plan, plan.relay.doors[self._number]))

    async def stop(self, patience: float) -> None:
        await self._listener.stop(min(patience, FAREWELL))


class SubmitSocketService(Service):
    """``submit.sock``, which goes by the first listener."""

    def __init__(self, folder: Path, plan: ServicePlan, shared: IntakeService) -> None:
        self._shared = shared
        context = shared.context(plan, plan.relay.doors[0])
        self._server = LocalSubmission(folder, context, shared.doors, client=plan.local_client)

    async def start(self) -> None:
        await self._server.start()

    async def reload(self, plan: ServicePlan) -> None:
        self._server.use(self._shared.context(plan, plan.relay.doors[0]), plan.local_client)

    async def stop(self, patience: float) -> None:
        await self._server.stop(min(patience, FAREWELL))


class DropFolderService(Service):
    """The drop folder, looked into while the relay runs."""

    def __init__(self, plan: ServicePlan, intake: Intake, clock: Clock, observer: Observer) -> None:
        self._intake = intake
        self._folder = DropFolder(
            plan.assembly.state, intake, clock=clock, observer=observer, client=plan.local_client
        )
        self._tasks = Tasks(clock, observer)

    async def start(self) -> None:
        self._folder.ensure()
        self._tasks.keep(self._folder.run, "drop folder")

    async def reload(self, plan: ServicePlan) -> None:
        self._folder.use(self._intake, plan.local_client)

    async def stop(self, patience: float) -> None:
        await self._tasks.stop()


class OutboxService(Service):
    """The outbox of the database, where the queue is in one."""

    def __init__(self, plan: ServicePlan, shared: IntakeService) -> None:
        assert isinstance(plan.spool, PostgresUrl)
        self._outbox = open_outbox(plan.spool, plan.assembly.spool_password)
        self._collector = OutboxCollector(
            self._outbox,
            shared.intake,
            plan.relay.access,
            shared.rate_limit,
            clock=shared.clock,
            observer=shared.observer,
        )
        self._tasks = Tasks(shared.clock, shared.observer)

    async def start(self) -> None:
        self._tasks.keep(self._collector.run, "outbox")

    async def reload(self, plan: ServicePlan) -> None:
        self._collector.use(plan.relay.access)

    async def stop(self, patience: float) -> None:
        await self._tasks.stop()
        await self._outbox.close()


class ControlService(Service):
    """``control.sock``, and what people do by it."""

    def __init__(
        self,
        folder: Path,
        plan: ServicePlan,
        shared: IntakeService,
        *,
        spool: Spool,
        dispatcher: Dispatcher,
        refresher: SignInRefresher,
        process: Process | None,
        console: Callable[[], str],
        clock: Clock,
        queue_clock: Clock,
        observer: Observer,
        webhooks: WebhookCalls | None = None,
        tokens: TokenDesk | None = None,
        alerts: AlertDesk | None = None,
        log: LogDesk | None = None,
    ) -> None:
        self._shared = shared
        self._tokens = tokens
        self._alerts = alerts
        self._log = log
        self._console = console
        self._spool = spool
        self._webhooks = webhooks
        self._dispatcher = dispatcher
        self._refresher = refresher
        self._process = process
        self._clock = clock
        self._queue_clock = queue_clock
        self._observer = observer
        self._runner = JobRunner(spool, queue_clock, observer, AccountFinder(dispatcher))
        self._edits = SharedEdits()  # one edits the configuration at a time
        self._tasks = Tasks(clock, observer)
        persistence = plan.assembly.persistence
        self._sign_ins = SignIns(
            clock,
            AuditRecorder(spool, queue_clock, observer),
            self._tasks,
            find=AccountFinder(dispatcher),
            store=lambda account: account.token_store(persistence, clock=clock),
            changed=refresher.changed,
        )
        self.operations = self._operations(plan)
        self._server = ControlServer(folder, self.operations, clock, observer, operators=plan.relay.operators)

    async def start(self) -> None:
        await self._server.start()
        self._tasks.keep(self._runner.run, "jobs")

    async def reload(self, plan: ServicePlan) -> None:
        self.operations = self._operations(plan)
        self._server.use(self.operations)

    async def stop(self, patience: float) -> None:
        await self._tasks.stop()
        await self._server.stop(min(patience, FAREWELL))

    def _operations(self, plan: ServicePlan) -> Operations:
        accounts: Mapping[str, Account] = plan.accounts
        return Operations(
            self._spool,
            self._queue_clock,
            self._dispatcher,
            tuple(accounts),
            partial(gather_all, accounts.values(), plan.assembly.persistence, self._clock),
            self._refresher.changed,
            process=self._process,
            observer=self._observer,
            runner=self._runner,
            webhooks=self._webhooks,
            tokens=self._tokens,
            alerts=self._alerts,
            log=self._log,
            configuration=plan.assembly.configuration,
            console=self._console,
            sign_ins=self._sign_ins,
            editing=self._editing(plan),
            way_in=WayIn(self._shared.intake, plan.client, self._shared.rate_limit.admit),
        )

    def _editing(self, plan: ServicePlan) -> EditingSettings:
        http = plan.assembly.configuration.settings.http
        return EditingSettings(
            assembly=plan.assembly,
            editable=http is not None and http.accounts == "editable",
            reload=self._process.reload if self._process is not None else None,
            common=self._edits,
        )


class DelayWarningService(Service):
    """Has senders told of mail that waits for too long."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock, observer: Observer) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._observer = observer
        self._tasks = Tasks(clock, observer)

    async def start(self) -> None:
        self._tasks.keep(self._run, "look for late mail")

    async def stop(self, patience: float) -> None:
        await self._tasks.stop()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(LATE_LOOK)
            try:
                await self._dispatcher.warn_late()
            except StoreError as error:
                self._observer.notice(Warned("", f"Nobody can be told that mail is late: {error}"))


class NodeService(Service):
    """Shows this relay to the others that work on its queue, and to whoever asks any of them."""

    def __init__(
        self,
        plan: ServicePlan,
        spool: Spool,
        dispatcher: Dispatcher,
        addresses: Callable[[], Sequence[str]],
        observer: Observer,
    ) -> None:
        self._plan = plan
        self._spool = spool
        self._dispatcher = dispatcher
        self._addresses = addresses
        self._observer = observer

    async def start(self) -> None:
        await self.reload(self._plan)

    async def reload(self, plan: ServicePlan) -> None:
        details = NodeDetails(
            address=", ".join(self._addresses()),
            configuration=plan.checksum,
            busy=lambda: self._dispatcher.busy,
        )
        try:
            await self._spool.introduce(details)
        except StoreError as error:  # the next heartbeat tells
            self._observer.notice(Warned("", f"Other relays cannot see how this one is: {error}"))


class RemarksService(Service):
    """Says what a person should know of the configuration, and what the start found in the queue."""

    def __init__(self, plan: ServicePlan, spool: Spool, queue: QueueService, observer: Observer) -> None:
        self._plan = plan
        self._spool = spool
        self._queue = queue
        self._observer = observer

    async def start(self) -> None:
        found = self._queue.found
        self._say_all(self._plan, self._of_queue(found) if found is not None else ())
        for identifier in found.doubtful if found is not None else ():  # their attempts were under way
            self._observer.notice(PossibleDuplicate("", id=identifier, window="DUP-MARK"))
        await self._spool.told()

    async def reload(self, plan: ServicePlan) -> None:
        self._say_all(plan, ())

    def _of_queue(self, found: Found) -> Iterator[str]:
        yield from self._spool.remarks
        if behind := self._queue.behind:
            yield (
                f"The clock is {behind:.0f} seconds behind what the queue was written at last. The queue "
                "goes on from there until the clock has caught up: set it right."
            )
        if found.restored:
            yield found.what_is_held
        if not found.clean:
            yield "The last run did not end properly; the queue was put in order."

    def _say_all(self, plan: ServicePlan, of_queue: Iterable[str]) -> None:
        for text in (
            *plan.relay.warnings,
            *plan.relay.recipients.doubts,
            *plan.assembly.configuration.warnings(),
            *of_queue,
        ):
            self._observer.notice(Warned("", str(text)))
