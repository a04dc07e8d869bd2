"""The relay as one object: everything it is made of, started, reloaded and stopped in the right order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from postbearer.account import Account
from postbearer.assembly import Assembly
from postbearer.clock import Clock, SystemClock
from postbearer.control import ControlServer, Operations, Process
from postbearer.daemon.alerting import Alerting
from postbearer.daemon.plan import ListenerPlan, RelayPlan, relay_settings, spool_path
from postbearer.daemon.refresher import SignInRefresher
from postbearer.engine import (
    AttemptSettings,
    Channel,
    Dispatcher,
    FlooredClock,
    Intake,
    IntakeSettings,
    Reporter,
    Submitter,
)
from postbearer.errors import ConfigError, StoreError
from postbearer.events import Observer, PossibleDuplicate, Several, Warned
from postbearer.forecast import gather_all
from postbearer.oauth import CachedSource
from postbearer.store import Found, SqliteSpool
from postbearer.submission import (
    LOCAL,
    ConnectionLimit,
    DropFolder,
    Listener,
    ListenerContext,
    LocalSubmission,
    Logins,
    RateLimit,
    RejectLog,
    SessionLimits,
)
from postbearer.tasks import Tasks, defect
from postbearer.transport import SmtpTransport

DRAIN = 660.0  # seconds: the longest wait for a final reply (RFC 5321 4.5.3.2.6), and some for the marks
TELLING = 5.0  # seconds a notice that is being told may take at the end
LATE_LOOK = 300.0  # seconds between looks for mail that waits for too long


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

        `process` is what people reload and stop, where the relay has one to itself.
        """
        self._process = process
        self._assembly = assembly
        self._observer = Several(observer)
        self._clock = clock or SystemClock()
        self._time = FlooredClock(self._clock)  # of all that is written in the queue
        self._runtime = runtime or Path(assembly.state.path)
        self._bounds = SessionLimits()
        self._reject_log = RejectLog(self._clock, self._observer)
        self._doors = ConnectionLimit(self._bounds, self._reject_log)
        self._rate_limit = RateLimit(self._clock)
        self._listeners: list[Listener] = []
        self._tasks = Tasks(self._clock, self._observer)
        self._working = Tasks(self._clock, self._observer)
        self._local: Sequence[LocalSubmission | ControlServer] = ()
        self._alerting: Alerting
        self._refresher: SignInRefresher
        self.spool: SqliteSpool
        self.dispatcher: Dispatcher
        self.intake: Intake
        self.operations: Operations

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens."""
        return tuple(listener.address for listener in self._listeners)

    async def start(self) -> Found:
        """Open the spool, begin to deliver, then to listen. Raises `ConfigError` or `StoreError`."""
        plan = RelayPlan.of(self._assembly)
        accounts = self._accounts(self._assembly)
        self._assembly.state.ensure()
        self.spool = SqliteSpool(
            spool_path(self._assembly),
            clock=self._time,
            allow_ephemeral=self._assembly.configuration.settings.allow_ephemeral
            or relay_settings(self._assembly).allow_ephemeral,
        )
        found = await self.spool.open()
        behind = self._time.start_at(found.newest)
        try:
            await self._begin(plan, accounts)
        except BaseException:
            await self.stop(0.0)
            raise
        self._tell(plan, found, behind)
        await self.spool.told()
        return found

    async def reload(self, assembly: Assembly) -> None:
        """Go by another configuration, without dropping a connection or forgetting a budget.

        Raises `ConfigError`, and then nothing has changed. Addresses to listen on and the place of the spool
        are read at the start only.
        """
        plan = RelayPlan.of(assembly)
        accounts = self._accounts(assembly)
        channels = self._roads(assembly, accounts)
        watched = self._alerting.plan(assembly, accounts, _intake_settings(plan))
        if spool_path(assembly) != spool_path(self._assembly) or self._moved(plan):
            raise ConfigError(
                "The spool, the addresses to listen on and the operators cannot change while the relay runs.",
                key="relay",
                hint="Restart it for that; nothing was changed now.",
            )
        self._assembly = assembly
        self._alerting.use(watched)
        self._refresher.use(accounts)
        self.intake.replace(plan.router, accounts, _intake_settings(plan))
        await self.dispatcher.reload(channels, self._rules(plan))
        self.operations = self._operations(accounts)
        self._plan = plan
        self._logins.use(plan.access)
        for listener, door in zip(self._listeners, plan.doors, strict=True):
            listener.use(self._context(plan, door))
        local = self._local_client(plan)
        self._handover.use(self._context(plan, plan.doors[0]), local)
        self._drop.use(self.intake, local)
        self._control.use(self.operations)
        self._tell(plan, None)

    async def stop(self, patience: float = DRAIN) -> None:
        """Take nothing more, finish what is under way for up to `patience` seconds, write all marks."""
        ending = [each.stop(min(patience, 30.0)) for each in (*self._listeners, *self._local)]
        if self._tasks:
            ending.append(self._alerting.finish(min(patience, TELLING)))
        for error in await asyncio.gather(*ending, return_exceptions=True):
            if isinstance(error, Exception):  # what comes next is to be done all the same
                self._observer.notice(defect(error, "stop"))
        await self._tasks.stop()
        if self._working:
            await self.dispatcher.drain(patience)
            await self._working.stop()
        await self.spool.close()

    # How it is put together -----------------------------------------------------------------

    async def _begin(self, plan: RelayPlan, accounts: dict[str, Account]) -> None:
        self._plan = plan
        self._logins = Logins(plan.access, self._clock)
        self._alerting = Alerting(
            self._assembly, self.spool, lambda: self.dispatcher, self._clock, self._observer
        )
        self._alerting.load()
        self._alerting.use(self._alerting.plan(self._assembly, accounts, _intake_settings(plan)))
        self._observer.add(self._alerting)
        self._refresher = SignInRefresher(
            self._assembly.state, self.spool, lambda: self.dispatcher, self._clock, self._observer
        )
        self._refresher.use(accounts)
        self._observer.add(self._refresher)
        self.dispatcher = Dispatcher(
            self.spool,
            self._roads(self._assembly, accounts),
            clock=self._time,
            observer=self._observer,
            rules=self._rules(plan),
        )
        self.intake = Intake(
            self.spool,
            plan.router,
            accounts,
            clock=self._time,
            observer=self._observer,
            settings=_intake_settings(plan),
            starter=self.dispatcher,
        )
        self.operations = self._operations(accounts)
        self._working.keep(self.dispatcher.run, "worker")
        self._listeners = [
            Listener(door.address, self._context(plan, door), self._doors) for door in plan.doors
        ]
        listener_context, local = self._context(plan, plan.doors[0]), self._local_client(plan)
        self._handover = LocalSubmission(self._runtime, listener_context, self._doors, client=local)
        self._control = ControlServer(
            self._runtime, self.operations, self._clock, self._observer, operators=plan.operators
        )
        self._local = (self._handover, self._control)
        for server in self._local:
            await server.start()
        for listener in self._listeners:
            await listener.start()
        self._drop = DropFolder(
            self._assembly.state, self.intake, clock=self._clock, observer=self._observer, client=local
        )
        self._drop.ensure()
        self._tasks.keep(self._drop.run, "drop folder")
        self._tasks.keep(self._alerting.watch, "watch over the accounts")
        self._tasks.keep(self._alerting.tell, "notices")
        self._tasks.keep(self._refresher.run, "care for sign-ins")
        self._tasks.keep(self._warn_late, "look for late mail")

    async def _warn_late(self) -> None:
        while True:
            await self._clock.sleep(LATE_LOOK)
            try:
                await self.dispatcher.warn_late()
            except StoreError as error:
                self._observer.notice(Warned("", f"Nobody can be told that mail is late: {error}"))

    def _operations(self, accounts: dict[str, Account]) -> Operations:
        foresee = partial(gather_all, accounts.values(), self._assembly.state, self._clock)
        return Operations(
            self.spool,
            self._time,
            self.dispatcher,
            tuple(accounts),
            foresee,
            self._refresher.changed,
            process=self._process,
        )

    def _accounts(self, assembly: Assembly) -> dict[str, Account]:
        return {name: assembly.account(name) for name in assembly.names}

    def _roads(self, assembly: Assembly, accounts: dict[str, Account]) -> dict[str, Channel]:
        return {name: self._channel(assembly, account) for name, account in accounts.items()}

    def _channel(self, assembly: Assembly, account: Account) -> Channel:
        credential = account.credential(assembly.state, clock=self._clock, observer=self._observer)
        transport = SmtpTransport(
            account.smarthost,
            credential,
            account=account.name,
            clock=self._clock,
            observer=self._observer,
        )
        ledger = account.ledger(assembly.state, clock=self._time)
        if isinstance(credential, CachedSource):
            return Channel(account, transport, ledger, credential)
        return Channel(account, transport, ledger)

    def _rules(self, plan: RelayPlan) -> AttemptSettings:
        reporter = Reporter(
            hostname=plan.hostname,
            bounces_to=plan.bounces_to,
            retry=plan.retry,
            clients={client.name: client for client in plan.access.clients},
        )
        return AttemptSettings(plan.retry, reporter, random.SystemRandom().random)

    def _context(self, plan: RelayPlan, door: ListenerPlan) -> ListenerContext:
        return ListenerContext(
            offer=door.offer,
            intake=self.intake,
            access=plan.access,
            logins=self._logins,
            rate_limit=self._rate_limit,
            clock=self._clock,
            observer=self._observer,
            bounds=self._bounds,
            context=door.context,
            implicit_tls=door.implicit_tls,
            legacy=door.legacy,
            reject_log=self._reject_log,
        )

    @staticmethod
    def _local_client(plan: RelayPlan) -> Submitter:
        return plan.access.by_network("") or LOCAL

    def _moved(self, plan: RelayPlan) -> bool:
        def places(doors: Sequence[ListenerPlan]) -> list[tuple[str, bool]]:
            return [(door.address, door.implicit_tls) for door in doors]

        return places(plan.doors) != places(self._plan.doors) or plan.operators != self._plan.operators

    def _tell(self, plan: RelayPlan, found: Found | None, behind: float = 0.0) -> None:
        texts = [*plan.warnings, *self._assembly.configuration.warnings()]
        if found is not None:
            texts += self.spool.remarks
            if behind:
                texts.append(
                    f"The clock is {behind:.0f} seconds behind what the queue was written at last. The queue "
                    "goes on from there until the clock has caught up: set it right."
                )
            if found.restored:
                texts.append(found.what_is_held)
            if not found.clean:
                texts.append("The last run did not end properly; the queue was put in order.")
        for text in texts:
            self._observer.notice(Warned("", str(text)))
        for identifier in found.doubtful if found is not None else ():  # their attempts were under way
            self._observer.notice(PossibleDuplicate("", id=identifier, window="DUP-MARK"))


def _intake_settings(plan: RelayPlan) -> IntakeSettings:
    return IntakeSettings(
        hostname=plan.hostname,
        postmaster=plan.bounces_to,
        size=plan.size,
        expire_after=plan.retry.expire_after,
    )
