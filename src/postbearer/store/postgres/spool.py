"""The spool in a schema of a PostgreSQL database, for as many nodes as share it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import Any

from postbearer.clock import Clock
from postbearer.errors import LeaseLost, StoreError
from postbearer.events import Observer, Silent
from postbearer.message import Content
from postbearer.secret import SecretSource
from postbearer.store.changes import Changes
from postbearer.store.content_cache import ContentCache
from postbearer.store.lease import LEASE, LOCAL, Node, NodeDetails
from postbearer.store.postgres import changes, claiming, nodes, opening, post_steps, reads, restored, tally
from postbearer.store.postgres.accepting import arrival, staged
from postbearer.store.postgres.claiming import ClaimedDelivery
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.contents import PostgresStaging, Spooled, SpooledContent
from postbearer.store.postgres.following import Following
from postbearer.store.postgres.listening import NotificationListener, look_around, wake_others
from postbearer.store.postgres.numbers import LeaseClock, Numbers, WriteTarget
from postbearer.store.postgres.operated import Operated
from postbearer.store.postgres.recipient_page import listed, recipient_page
from postbearer.store.postgres.settling import Ending, Held
from postbearer.store.postgres.transaction import TURN, Transaction
from postbearer.store.postgres.upkeep import upkeep
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.postgres.writer import PostgresWriter, TransactionJob, Work
from postbearer.store.records import (
    Claimed,
    Entry,
    Found,
    IdempotencyKey,
    Incoming,
    Lane,
    LaneKey,
    Message,
    NewDelivery,
    Query,
    RecipientPage,
    Report,
    Settlement,
    Statistics,
    Status,
    Waiting,
)
from postbearer.store.rows import LETTERS
from postbearer.store.staging import Staging
from postbearer.store.unclaimed import Unclaimed
from postbearer.tasks import Tasks

PAGE_OF_EXPORT = 100
UPKEEP = 2.0  # seconds between looks whether a part of the order is full
DOUBTED = 300.0  # seconds in which a commit of unknown fate may still come to stand
SMALL = 64 * 1024  # octets of content that stay near until it was sent
_at_once = attrgetter("at_once")
_READY = LETTERS[Status.READY]


class PostgresSpool(Operated, Following):
    """`Spool` at `url`, for the node `node`. `time` stands in for the clock of the database, in tests."""

    def __init__(
        self,
        url: PostgresUrl,
        *,
        clock: Clock,
        node: str = LOCAL,
        password: SecretSource | None = None,
        observer: Observer | None = None,
        events: bool | None = None,
        time: Callable[[], float] | None = None,
    ) -> None:
        """`observer` is told of each commit. `events`: whether changes are kept; None: as it was before."""
        self.remarks: Sequence[str] = ()
        self._pool = ConnectionPool(url, password)
        self._clock = clock
        self._time = time
        self._observer = observer or Silent()
        self._events = events
        self._node = Node(node)
        self._leases = LeaseClock(self._node, clock)
        self._places = WriteTarget()
        self._alive: dict[int, Held] = {}  # leases that somebody here was told of
        self._writing: PostgresWriter | None = None
        self._recent = ContentCache()
        self._changes = Changes()
        self._unheard = Unclaimed(self._settling, lambda: self._writing is not None, self._changes, clock)
        Following.__init__(self, self._write, self._pool, self._places)
        Operated.__init__(self, self._write, self._pool, self._changes, self._node, clock)
        self._listener = NotificationListener(
            self._pool, nodes.channel(url.schema), ConnectionPool(url.wake, password) if url.wake else None
        )
        self._tasks = Tasks(clock, self._observer)
        self.subscribe = self._changes.subscribe

    @property
    def trouble(self) -> str:
        """Why nothing is written at the moment; empty if all is well."""
        return self._writing.failed if self._writing else ""

    async def open(self, *, read_only: bool = False) -> Found:
        """Raises `StoreError`, `SchemaMismatch`."""
        self._pool.reopen()
        async with self._pool.apart() as connection:
            self.remarks = await opening.examine(self._pool, connection, self._clock.now())
            await opening.migrate(self._pool, connection, read_only=read_only)
            if read_only:
                return Found(clean=True)
            await restored.complete(self._pool, connection)
            await nodes.refuse_namesake(self._pool, connection, self._node)
            series = await self._series(connection)
        if self._node.name:
            self.remarks = (*self.remarks, *await self._listener.remarks())
        self._writing = PostgresWriter(
            self._pool,
            Numbers(self._node, series),
            self._places,
            clock=self._clock,
            observer=self._observer,
            time=self._time,
        )
        self._alive = {}
        self._opened, self._upgraded = self._clock.monotonic(), False
        try:
            found = await self._begin()
        except BaseException:  # also when it is cancelled: no task of a spool that did not open goes on
            await self.close()
            raise
        woke = partial(self._writing.saw, own=True)
        self._tasks.keep(
            partial(wake_others, self._listener, self._writing.stirred, woke), "waking other nodes"
        )
        if self._node.name:
            self._tasks.keep(
                partial(look_around, self._listener, self._look_around), "changes by other nodes"
            )
            self._tasks.keep(self._keep_up, "upkeep of the queue")
        return found

    async def _series(self, connection: Any) -> int:
        await self._pool.begin(connection, hot=False, writes=True)
        series = await connection.fetchval(nodes.NODES["next-run"])
        await self._pool.commit(connection)
        return int(series)

    async def _begin(self) -> Found:
        moment = self._leases.moment()

        async def begin(transaction: Transaction) -> list[str]:
            connection = transaction.connection
            if self._events is not None:
                await connection.execute(nodes.NODES["set"], "events", float(self._events))
            self._place(await reads.meta(connection))
            transaction.places = self._places
            await nodes.begin(transaction, self._node)
            self._writer.saw(await connection.fetchval(nodes.stirred(self._pool.url.schema)))
            rows = await connection.fetch(nodes.NODES["untold"], self._node.name)
            return [row["message"] for row in rows]

        found = await self._writer.submit(begin)
        self._leases.renewed(moment)
        doubtful = tuple(each for each in found if each)
        return Found(clean=len(doubtful) == len(found), unknown=len(doubtful), doubtful=doubtful)

    def _place(self, meta: Mapping[str, float]) -> None:
        self._places.slot = int(meta["slot"])
        self._places.events = bool(meta["events"])

    async def close(self) -> None:
        await self._tasks.stop()
        writer, self._writing = self._writing, None
        if writer is not None:
            holds = bool(self._alive)
            stopped = writer.submit(partial(nodes.stop, node=self._node, holds=holds))
            await writer.stop()
            stopped.exception()
            if writer.stirred.is_set():
                await self._listener.notify()
        await self._listener.close()
        await self._pool.close()

    async def told(self) -> None:
        async def told(transaction: Transaction) -> None:
            await transaction.connection.execute(nodes.NODES["told"], self._node.name)

        await self._writer.submit(told)

    def stage(self, message: str) -> Staging:
        return PostgresStaging()

    async def accept(
        self,
        message: Message,
        content: Staging,
        deliveries: Sequence[NewDelivery],
        *,
        key: IdempotencyKey | None = None,
    ) -> Sequence[Claimed]:
        new = Incoming(message=message, content=content, deliveries=tuple(deliveries), key=key)
        return await self.accept_all([new])

    async def accept_all(self, batch: Sequence[Incoming]) -> Sequence[Claimed]:
        arrivals = [arrival(each) for each in batch]
        new = [one for each in batch for one in each.deliveries]
        leases = any(map(_at_once, new))
        if leases:
            self._renew_if_due()

        def stands(claimed: Sequence[Claimed]) -> None:
            for each in claimed:
                states = _READY * len(each.targets)
                self._alive[each.lease] = Held(states, "0" * len(states), _began(new, each))
            for one in arrivals:
                one.content.accepted = True
            if len(claimed) < len(new):
                self._changes.waits([each.lane for each in new])

        job = TransactionJob(
            asyncio.get_running_loop().create_future(),
            accept=arrivals,
            names=("accept", "attempt") if leases else ("accept",),
            then=stands,
            unclaimed=self._unheard.give_back,
        )
        claimed = await self._waited_for(job)
        for each, content in arrivals:
            if 0 < content.size <= SMALL:
                self._keep_near(each.message, b"".join(content.blocks()))
        return claimed

    def _keep_near(self, message: Message, content: bytes) -> None:
        if not self._recent.content(message.id):
            self._recent.add(hash(message.id), message, content, self._clock.monotonic())

    async def accepted(self, keys: Sequence[IdempotencyKey]) -> Sequence[str]:
        async with self._pool.reading() as connection:
            return await reads.accepted(connection, keys)

    async def room(self, size: int) -> bool:
        """The database says so itself when there is none."""
        return not self._writer.failed

    def time(self) -> float | None:
        return self._writing.time() if self._writing is not None else None

    async def lanes(self, now: float, among: Collection[LaneKey] | None = None) -> Sequence[Lane]:
        async with self._pool.reading(hot=True) as connection:
            return await reads.lanes(connection, among, self._places.cursors, self._time)

    async def claim(self, shares: Mapping[Lane, int], now: float) -> Sequence[Claimed]:
        cursors, taken = self._places.cursors, list[ClaimedDelivery]()
        self._node.next_lease()  # refuses who takes none
        self._renew_if_due()

        async def claim(transaction: Transaction) -> list[Claimed]:
            taken[:] = await claiming.claim(transaction, shares, now, cursors)
            return [each.claimed for each in taken]

        def stands(_: Sequence[Claimed]) -> None:
            for claimed, held, content in taken:
                self._alive[claimed.lease] = held
                if content:
                    self._keep_near(claimed.message, content)

        return await self._waited_for(
            TransactionJob(
                asyncio.get_running_loop().create_future(),
                work=claim,
                plain=True,
                names=("attempt",),
                then=stands,
                unclaimed=self._unheard.give_back,
            )
        )

    async def _waited_for(self, job: TransactionJob) -> Sequence[Claimed]:
        """What is leased in it is given back if nobody waits for it any more."""
        future = self._writer.add(job)
        try:
            claimed: Sequence[Claimed] = await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:  # it came in this very moment
                self._unheard.give_back(future.result())
            raise
        return claimed

    def _renew_if_due(self) -> None:
        if self._leases.due:  # in the same commit
            self._beat(nodes.renew).add_done_callback(_heard)

    async def _keep_up(self) -> None:
        """Have the order in which deliveries wait go on in a new part, when this one is full.

        Who wrote nothing since the last look has nothing to look for.
        """
        commits = 0
        while True:
            await asyncio.sleep(UPKEEP)
            before, commits = commits, self._writer.commits
            if commits == before:
                continue
            with suppress(StoreError):
                await upkeep(self._pool, retire=False)
                async with self._pool.reading() as connection:
                    self._place(await reads.meta(connection))

    async def _look_around(self) -> None:
        """One statement, while nothing happens."""
        stirred = await self._pool.ask(nodes.stirred(self._pool.url.schema))
        if not self._writer.saw(stirred):
            return
        self._changes.anything()
        async with self._pool.reading() as connection:
            asked = await connection.fetchval(nodes.NODES["is-asked"], self._node.run)
        if asked:
            await self._beat(nodes.renew)

    async def heartbeat(self) -> Sequence[str]:
        await self._look_around()
        async with self._pool.reading() as connection:
            alone = not await connection.fetchval(nodes.NODES["others"], self._node.run)
            self._place(await reads.meta(connection))
        if self._clock.monotonic() - self._writer.doubted < DOUBTED:
            await self._give_back_unheard()
        found: Sequence[str] = ()
        if self._alive or not alone:  # there is something to lose, or somebody to take it
            taken: Sequence[str] | None = await self._beat(nodes.heartbeat)
            found = taken or []
            if taken is not None:
                self._changes.waits()  # also what a node accepted that died before it could wake others
        # By then each node that ran when this one began has said that it is there.
        if not self._upgraded and self._clock.monotonic() - self._opened > LEASE:
            self._upgraded = await post_steps.finish(self._pool)
        return found

    def _beat(self, beat: Callable[[Transaction, Node], Any]) -> asyncio.Future[Any]:
        """Have the leases of this node hold from now on."""
        moment = self._leases.moment()
        node = self._node
        return self._writer.submit(
            lambda transaction: beat(transaction, node),
            first=True,
            then=lambda _: self._leases.renewed(moment),
        )

    async def introduce(self, details: NodeDetails) -> None:
        self._node.details = details
        if self._node.name:
            await self._beat(nodes.renew)

    def holds(self, claimed: Claimed) -> bool:
        return self._leases.holds(claimed.lease)

    async def _give_back_unheard(self) -> None:
        """A commit of which nobody knew may have leased something: that is nobody's here."""
        before = self._writer.doubtful
        back = await self._writer.submit(partial(nodes.give_back, before=before, alive=self._alive))
        if back:
            self._changes.waits()

    async def settle(self, claimed: Claimed, settlement: Settlement) -> None:
        try:
            await self._settling(claimed, settlement)
        except LeaseLost:
            self._alive.pop(claimed.lease, None)
            raise

    def _settling(self, claimed: Claimed, settlement: Settlement) -> asyncio.Future[Any]:
        held = self._alive.get(claimed.lease)
        if held is None:
            raise LeaseLost(f"The delivery of {claimed.message.id} is not ours any more.")
        self._recent.drop(claimed.message.id)
        reports = tuple((each, staged(each.content)) for each in settlement.reports)

        def marked(_: None) -> None:
            self._alive.pop(claimed.lease, None)
            for each in reports:
                each[1].accepted = True

        return self._writer.add(
            TransactionJob(
                asyncio.get_running_loop().create_future(),
                ending=Ending(claimed, held, settlement, reports),
                names=("done", "dsn") if reports else ("done",),
                then=marked,
            )
        )

    async def late(self, account: str, before: float, after: int, most: int) -> Sequence[Claimed]:
        async with self._pool.reading() as connection:
            return await reads.late(connection, account, before, after, most)

    async def warn(self, late: Claimed, report: Report | None) -> bool:
        content = staged(report.content) if report is not None else None

        async def warn(transaction: Transaction) -> bool:
            slot = late.delivery & 63
            if not await transaction.connection.fetch(TURN["warn"], slot, late.delivery):
                return False
            if report is not None and content is not None:
                transaction.keep(report.message, content, [report.delivery])
            return True

        warned: bool = await self._writer.submit(warn, names=("dsn",))
        if warned and content is not None:
            content.accepted = True
        return warned

    async def content(self, message: Message) -> Content:
        near = self._recent.content(message.id)
        if near:
            spooled = Spooled()
            spooled.append(near)
        else:
            async with self._pool.reading() as connection:
                spooled = await reads.content(connection, message)
        return SpooledContent(spooled, eight_bit=message.eight_bit, binary=message.binary)

    async def search(self, query: Query) -> Sequence[Entry]:
        async with self._pool.reading() as connection:
            return await listed(connection, query, self._clock.now())

    async def latest(self, before: float, place: int) -> float | None:
        async with self._pool.reading() as connection:
            return await reads.latest(connection, before, place)

    async def show(self, message: str, page: RecipientPage | None = None) -> Entry | None:
        async with self._pool.reading() as connection:
            if page is not None:
                return await recipient_page(connection, message, self._clock.now(), page)
            return await reads.show(connection, message, self._clock.now())

    async def statistics(self) -> Statistics:
        async with self._pool.reading() as connection:
            return await tally.statistics(connection, self._clock.now())

    async def waiting(self) -> Sequence[Waiting]:
        async with self._pool.reading() as connection:
            return await tally.waiting(connection, self._clock.now())

    async def retire(self, before: float) -> int:
        retired, more = 0, True
        while more:
            gone: tally.Retired = await self._writer.submit(
                partial(changes.retire, before=before), names=("purge",)
            )
            retired, more = retired + gone.messages, gone.more
        await self._forget_traffic(self._clock.now())
        await upkeep(self._pool, retire=True)
        async with self._pool.reading() as connection:
            self._place(await reads.meta(connection))
        return retired

    async def export(self) -> AsyncIterator[tuple[Entry, Content]]:
        last = ""
        while True:
            query = Query(after=last, limit=PAGE_OF_EXPORT)
            async with self._pool.reading() as connection:
                now = self._clock.now()
                rows = await reads.matching(connection, query, now, only="where-open")
                entries = await reads.entries_of(connection, rows, now)
            for entry in entries:
                yield entry, await self.content(entry.message)
                last = entry.message.id
            if len(entries) < PAGE_OF_EXPORT:
                return

    async def _write(self, work: Work[Any]) -> Any:
        return await self._writer.submit(work)

    @property
    def _writer(self) -> PostgresWriter:
        if self._writing is None:
            raise StoreError("The spool is not open, or for looking only.")
        return self._writing


def _began(new: Sequence[NewDelivery], claimed: Claimed) -> float:
    """When the attempt began that was opened with its acceptance."""
    recipients = tuple(each.recipient for each in claimed.targets)
    return next(each.due for each in new if each.at_once and each.recipients == recipients)


def _heard(done: asyncio.Future[None]) -> None:
    """That it could not be written is told by what it was to be written with."""
    if not done.cancelled():
        done.exception()
