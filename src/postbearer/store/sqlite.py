"""The spool in one SQLite file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import apsw

from postbearer.clock import Clock
from postbearer.errors import LeaseLost, StoreError, StoreFull
from postbearer.events import Observer, Silent
from postbearer.message import Content
from postbearer.store import auditing, history, nodes, reads, webhooks, writes
from postbearer.store.auditing import SqliteAudit
from postbearer.store.changes import Changes
from postbearer.store.content_cache import ContentCache
from postbearer.store.contents import SqliteContent, SqliteStaging
from postbearer.store.jobs import SqliteJobs
from postbearer.store.lease import LOCAL, Node, NodeDetails
from postbearer.store.opening import Opening
from postbearer.store.operating import AuditRecord, NodeRecord
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
    Pause,
    Query,
    RecipientPage,
    Report,
    Settlement,
    StateChange,
    Statistics,
    Status,
    TrafficCount,
    Waiting,
    WaitingEvent,
    WebhookRow,
)
from postbearer.store.staging import Staging
from postbearer.store.unclaimed import Unclaimed
from postbearer.store.writer import Work, Writer

T = TypeVar("T")

LONGEST_LOG = 16_384  # pages, 64 MiB: beyond, a reader that does not end keeps the log from being reused
SPARE_PAGES = 16_384  # pages nobody needs that stay in the file; more are given back
SHRINK = 4_096  # pages given back at a time
PAGE_OF_EXPORT = 100
QUICK = 20  # recipients of a message that the loop itself writes down
_at_once, _lease = attrgetter("at_once"), attrgetter("lease")


def _nothing(claimed: Sequence[Claimed]) -> None:
    """Nobody wants to hear of it."""


class SqliteSpool:
    """`Spool` in the file `path`, for one process at a time.

    `reserve` is how many octets of the disk are kept free; None: 64 MiB or 5 % of it, the larger.
    `allow_ephemeral` takes a file system that is gone with the next start of a container or machine.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Clock,
        node: str = LOCAL,
        reserve: int | None = None,
        allow_ephemeral: bool = False,
        observer: Observer | None = None,
        events: bool | None = None,
    ) -> None:
        """`observer` is told of each commit. `events`: whether changes are kept; None: as it was before."""
        self._clock = clock
        self._observer = observer or Silent()
        self._node = Node(node)
        self._opening = Opening(
            Path(path), reserve, clock, self._node, allow_ephemeral=allow_ephemeral, events=events
        )
        self._alive: set[int] = set()  # leases that somebody here was told of
        self._writing: Writer | None = None
        self._numbers = count(1)
        self._recent = ContentCache()
        self._changes = Changes()
        self._unheard = Unclaimed(self._settling, lambda: self._writing is not None, self._changes, clock)
        self.subscribe = self._changes.subscribe
        self.audit = SqliteAudit(self._write, self._read)
        self.jobs = SqliteJobs(self._write, self._read, self._changes.waits, clock.now)

    @property
    def remarks(self) -> Sequence[str]:
        """What a person should know about the place of the file."""
        return self._opening.remarks

    @property
    def trouble(self) -> str:
        """Why nothing is written at the moment; empty if all is well."""
        return self._writing.failed if self._writing else ""

    async def open(self, *, read_only: bool = False) -> Found:
        """With `read_only` nothing is written: what a start would put in order, and tell, is left to it."""
        if read_only:
            return await asyncio.to_thread(self._opening.look)
        writer = Writer(self._opening, self._clock, self._observer)
        opened = await writer.start()
        self._alive = opened.alive
        self._recent = ContentCache()
        self._numbers = count(opened.next_number)
        self._writing = writer
        return opened.found

    async def close(self) -> None:
        writer, self._writing = self._writing, None
        if writer is None:
            self._opening.close(None)
        else:
            await writer.stop()

    async def told(self) -> None:
        await self._writer.submit(writes.told)

    def stage(self, message: str) -> Staging:
        return SqliteStaging(self._writer, self._opening.readers, next(self._numbers))

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
        staged = [(each, *_staged(each.content)) for each in batch]
        new, next_lease = [one for each in batch for one in each.deliveries], self._node.next_lease

        def take(connection: apsw.Connection) -> list[Claimed]:
            for each in batch:
                if each.key is not None:
                    writes.take_key(connection, each.key, each.message)
            return [
                claimed
                for each, number, rest in staged
                for claimed in writes.keep(
                    connection, number, each.message, rest, each.deliveries, next_lease
                )
            ]

        def waits(claimed: Sequence[Claimed]) -> None:
            if len(claimed) < len(new):
                self._changes.waits([each.lane for each in new])

        claimed = await self._leasing(
            take,
            names=("accept", "attempt") if any(map(_at_once, new)) else ("accept",),
            quick=sum([len(each.message.envelope.recipients) for each in batch]) <= QUICK,
            done=waits,
        )
        for each, number, rest in staged:
            if len(rest) == 1 and rest[0][0] == 0 and each.message.send_at is None:  # all of it, and soon
                self._recent.add(number, each.message, rest[0][1], self._clock.monotonic())
        return claimed

    async def accepted(self, keys: Sequence[IdempotencyKey]) -> Sequence[str]:
        return await self._read(lambda connection: [reads.keyed(connection, each) for each in keys])

    def time(self) -> float | None:
        return None

    async def room(self, size: int) -> bool:
        writer = self._writer
        if writer.failed or writer.pages > LONGEST_LOG:
            try:
                await writer.submit(lambda connection: None)  # opens the file anew, and brings the log home
            except StoreError:
                return False
            if writer.pages > LONGEST_LOG:
                return False
        missing = self._opening.room.missing(size)
        return missing == 0 or missing <= await self._read(_free)

    async def lanes(self, now: float, among: Collection[LaneKey] | None = None) -> Sequence[Lane]:
        # Not in another thread: it takes less time than to ask one, as these rows are always in memory.
        while True:
            once = among is not None and len(among) == 1
            own = self._writing.at_hand if self._writing is not None else None
            with self._opening.readers.reading(once=once, other=own) as connection:
                found, damaged = reads.lanes(connection, among)
            if not damaged:
                return found
            await self._writer.submit(partial(writes.hold_damaged, delivery=damaged, now=now))

    async def claim(self, shares: Mapping[Lane, int], now: float) -> Sequence[Claimed]:
        """Raises `StoreFull` when so little room is left that a delivery could not be marked."""
        if self._opening.room.tight():
            raise StoreFull("Too little room to note what is delivered.", hint="Free some disk space.")
        next_lease, known = self._node.next_lease, self._recent.message
        return await self._leasing(
            lambda connection: writes.claim(connection, shares, now, next_lease, known),
            names=("attempt",),
            quick=True,
            urgent=True,
        )

    async def _leasing(
        self,
        run: Work[list[Claimed]],
        *,
        names: tuple[str, ...],
        quick: bool,
        urgent: bool = False,
        done: Callable[[Sequence[Claimed]], None] = _nothing,
    ) -> Sequence[Claimed]:
        """`done` hears what was leased, also when nobody waits for it any more."""
        alive = self._alive
        if "attempt" in names and self._node.due(self._clock.now()):  # in the same commit
            self._beat(nodes.renew).add_done_callback(_heard)
        leased = self._writer.submit(
            run,
            names=names,
            then=lambda claimed: alive.update(map(_lease, claimed)),
            unclaimed=partial(self._unclaimed, done),
            quick=quick,
            urgent=urgent,
        )
        try:
            claimed: Sequence[Claimed] = await leased
        except asyncio.CancelledError:
            if not leased.cancelled() and leased.exception() is None:  # it came in this very moment
                self._unclaimed(done, leased.result())
            raise
        done(claimed)
        return claimed

    def _unclaimed(self, done: Callable[[Sequence[Claimed]], None], claimed: Sequence[Claimed]) -> None:
        done(claimed)
        self._unheard.give_back(claimed)

    async def heartbeat(self) -> Sequence[str]:
        if self._writer.others_wrote():
            self._changes.anything()
        if not self._alive:
            with self._opening.readers.reading() as connection:
                if not nodes.others(connection, self._node):
                    return ()  # nobody else, and nothing to lose: the disk may sleep
        taken = await self._beat(nodes.heartbeat)
        if taken:
            self._changes.waits()
        return taken

    def _beat(self, beat: Callable[[apsw.Connection, Node, float], T]) -> asyncio.Future[T]:
        """Have the leases of this node hold from now on."""
        node, now = self._node, self._clock.now()

        def renewed(_: T) -> None:
            node.renewed = now

        return self._writer.submit(lambda connection: beat(connection, node, now), then=renewed, quick=True)

    def holds(self, claimed: Claimed) -> bool:
        return self._node.holds(claimed.lease, self._clock.now())

    async def settle(self, claimed: Claimed, settlement: Settlement) -> None:
        try:
            await self._settling(claimed, settlement)
        except LeaseLost:
            self._alive.discard(claimed.lease)
            raise

    def _settling(self, claimed: Claimed, settlement: Settlement) -> asyncio.Future[None]:
        alive, next_lease = self._alive, self._node.next_lease
        self._recent.drop(claimed.message.id)
        reports = [(*_staged(each.content), each) for each in settlement.reports]

        def settle(connection: apsw.Connection) -> None:
            for number, rest, report in reports:
                writes.keep(connection, number, report.message, rest, [report.delivery], next_lease)
            writes.settle(connection, claimed, settlement)

        def mark(connection: apsw.Connection) -> None:
            writes.settle(connection, claimed, settlement, texts=False)

        return self._writer.submit(
            settle,
            names=("done", "dsn") if reports else ("done",),
            scarce=None if reports else mark,
            then=lambda _: alive.discard(claimed.lease),
            quick=not reports and len(settlement.results) <= QUICK,
            patient=True,
        )

    async def late(self, account: str, before: float, after: int, most: int) -> Sequence[Claimed]:
        return await self._read(lambda connection: reads.late(connection, account, before, after, most))

    async def warn(self, late: Claimed, report: Report | None) -> bool:
        staged, next_lease = _staged(report.content) if report is not None else None, self._node.next_lease

        def warn(connection: apsw.Connection) -> bool:
            if not writes.warn(connection, late):
                return False
            if report is not None and staged is not None:
                writes.keep(connection, staged[0], report.message, staged[1], [report.delivery], next_lease)
            return True

        return await self._writer.submit(warn, names=("dsn",))

    async def content(self, message: Message) -> Content:
        return SqliteContent(self._opening.readers, message, self._recent.content(message.id))

    async def pause(self, pause: Pause, *, audit: AuditRecord | None = None) -> None:
        def stop(connection: apsw.Connection) -> None:
            writes.pause(connection, pause)
            auditing.append(connection, audit)

        await self._write(stop)
        self._changes.paused()

    async def resume(self, account: str, *, audit: AuditRecord | None = None) -> bool:
        def go_on(connection: apsw.Connection) -> bool:
            resumed = writes.resume(connection, account)
            auditing.append(connection, audit if resumed else None)
            return resumed

        resumed = await self._write(go_on)
        if resumed:
            self._changes.paused()
        return resumed

    async def pauses(self) -> Sequence[Pause]:
        return await self._read(reads.pauses)

    async def search(self, query: Query) -> Sequence[Entry]:
        now = self._clock.now()
        return await self._read(lambda connection: reads.search(connection, query, now))

    async def latest(self, before: float, place: int) -> float | None:
        return await self._read(partial(reads.latest, before=before, place=place))

    async def show(self, message: str, page: RecipientPage | None = None) -> Entry | None:
        now = self._clock.now()

        def show(connection: apsw.Connection) -> Entry | None:
            number = reads.number_of(connection, message)
            if number is None or page is None:
                return None if number is None else reads.entry(connection, number, now)
            return reads.page(connection, number, now, page)

        return await self._read(show)

    async def change(
        self,
        message: str,
        status: Status,
        now: float,
        address: str = "",
        *,
        audit: AuditRecord | None = None,
    ) -> int:
        change = partial(writes.change, message=message, status=status, now=now, address=address)
        changed = await self._write(partial(_audited, audit, change))
        if changed and status is Status.READY:
            self._changes.waits()
        return changed

    async def move(self, message: str, account: str, now: float, *, audit: AuditRecord | None = None) -> int:
        move = partial(writes.move, message=message, target=account, now=now)
        changed = await self._write(partial(_audited, audit, move))
        if changed:
            self._changes.waits()
        return changed

    async def introduce(self, details: NodeDetails) -> None:
        self._node.details = details

    async def nodes(self) -> Sequence[NodeRecord]:
        return await self._read(lambda connection: nodes.all_(connection, self._node))

    async def statistics(self) -> Statistics:
        return await self._read(partial(reads.statistics, now=self._clock.now()))

    async def waiting(self) -> Sequence[Waiting]:
        return await self._read(partial(reads.waiting, now=self._clock.now()))

    async def retire(self, before: float) -> int:
        total, more = 0, True
        while more:
            some, more = await self._writer.submit(partial(writes.retire, before=before), names=("purge",))
            total += some
        while await self._writer.submit(partial(history.forget, before=before)):
            pass
        await self._writer.submit(partial(history.forget_traffic, now=self._clock.now()))
        await self._writer.submit(writes.drop_empty_counts)
        if total:
            await self._writer.submit(lambda connection: writes.shrink(connection, SPARE_PAGES, SHRINK))
        return total

    async def keep_history(self) -> None:
        await self._writer.submit(partial(history.begin, clock=self._clock))

    async def history(self, after: int, most: int, message: str = "") -> Sequence[StateChange]:
        return await self._read(partial(history.changes, after=after, most=most, message=message))

    async def history_kept(self) -> tuple[int, int]:
        return await self._read(history.bounds)

    async def history_since(self, at: float) -> int:
        return await self._read(partial(history.first_since, at=at))

    async def webhooks(self) -> Mapping[str, tuple[WebhookRow, Sequence[WaitingEvent]]]:
        return await self._read(
            lambda connection: {
                row.name: (row, webhooks.waiting(connection, row.name)) for row in webhooks.all_(connection)
            }
        )

    async def keep_webhook(
        self, row: WebhookRow, again: Collection[WaitingEvent] = (), done: Collection[int] = ()
    ) -> None:
        def keep(connection: apsw.Connection) -> None:
            webhooks.keep(connection, row, again, done)

        await self._writer.submit(keep, names=("webhook",), patient=True)

    async def drop_webhook(self, name: str) -> None:
        await self._writer.submit(partial(webhooks.drop, name=name))

    async def traffic(self, since: float, width: int) -> Sequence[TrafficCount]:
        """Counts of recipients by the state they came into, in spans of `width` seconds."""
        return await self._read(partial(history.traffic, since=since, width=width))

    async def export(self) -> AsyncIterator[tuple[Entry, Content]]:
        last = 0
        while numbers := await self._read(partial(reads.open_messages, after=last, most=PAGE_OF_EXPORT)):
            for last in numbers:
                entry = await self._read(partial(reads.entry, number=last, now=self._clock.now()))
                yield entry, await self.content(entry.message)

    @property
    def _writer(self) -> Writer:
        if self._writing is None:
            raise StoreError("The spool is not open, or for looking only.")
        return self._writing

    async def _write(self, run: Work[T]) -> T:
        return await self._writer.submit(run)

    async def _read(self, reads: Callable[[apsw.Connection], T]) -> T:
        def read() -> T:
            with self._opening.readers.reading() as connection:
                return reads(connection)

        return await asyncio.to_thread(read)


def _audited(
    audit: AuditRecord | None, act: Callable[[apsw.Connection], int], connection: apsw.Connection
) -> int:
    """Do it, and record it with how many it changed, if any."""
    changed = act(connection)
    auditing.append(connection, audit, count=changed)
    return changed


def _staged(content: Staging) -> tuple[int, list[writes.Chunk]]:
    """The number of the message it is for, and what of it is not in the file yet."""
    if not isinstance(content, SqliteStaging):
        raise StoreError("This content was staged in another spool.")
    return content.number, content.rest


def _heard(done: asyncio.Future[None]) -> None:
    """That it could not be written is told by what it was to be written with."""
    if not done.cancelled():
        done.exception()


def _free(connection: apsw.Connection) -> int:
    """Octets inside the file that can be written again."""
    return int(connection.pragma("freelist_count") * connection.pragma("page_size"))
