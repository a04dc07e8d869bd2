"""A spool that lives as long as its process: for tests, and for trying things out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from postbearer._version import __version__
from postbearer.clock import Clock
from postbearer.errors import LeaseLost, StoreError
from postbearer.message import BytesContent, Content
from postbearer.store.keys import refuse_repeated
from postbearer.store.lease import INTERRUPTED, LEASE, LOCAL, Node, NodeDetails, run_of
from postbearer.store.memory_queue import (
    MemoryDelivery,
    MemoryMessage,
    MemoryQueue,
    MemoryRecipient,
    fits,
    part_of,
)
from postbearer.store.memory_staging import MemoryStaging
from postbearer.store.operating import AuditLog, AuditRecord, JobStore, NodeRecord
from postbearer.store.records import (
    KEYS_KEPT,
    LISTED,
    Attempt,
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
    Priority,
    Query,
    RecipientPage,
    Report,
    Settlement,
    Statistics,
    Status,
    Target,
    Waiting,
    first_of,
)
from postbearer.store.staging import Staging


class MemorySpool:
    """`Spool` without a disk: nothing survives the process, all else is as promised there."""

    remarks: Sequence[str] = ()

    def __init__(self, clock: Clock, *, node: str = LOCAL, beside: MemorySpool | None = None) -> None:
        """`beside` is another node's, of the same queue."""
        self._clock = clock
        self._node = Node(node)
        self._queue: MemoryQueue = MemoryQueue(clock.now) if beside is None else beside._queue
        self._kept = self._queue.kept
        self._deliveries = self._queue.deliveries
        self._pauses = self._queue.pauses
        self.subscribe = self._queue.changes.subscribe
        self.audit: AuditLog = self._queue.audit
        self.jobs: JobStore = self._queue.jobs

    async def open(self, *, read_only: bool = False) -> Found:
        if not read_only:
            self._take_over(self._node.name)
            if self._node.name:
                self._enter()
        untold = tuple(self._queue.untold)
        return Found(clean=not untold, unknown=len(untold), doubtful=untold)

    async def told(self) -> None:
        self._queue.untold.clear()

    async def close(self) -> None:
        pass

    def stage(self, message: str) -> Staging:
        return MemoryStaging()

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
        for each in batch:  # nothing is kept before all of it can be
            if each.key is not None:
                refuse_repeated(each.key, self._queue.keys.get((each.key.client, each.key.key)))
            self._refuse_known(each.message, each.content)
        return [claimed for each in batch for claimed in self._accept(each)]

    async def accepted(self, keys: Sequence[IdempotencyKey]) -> Sequence[str]:
        return [self._queue.keys.get((each.client, each.key), ("", ""))[1] for each in keys]

    def _accept(self, new: Incoming) -> Sequence[Claimed]:
        message, deliveries, key = new.message, new.deliveries, new.key
        kept = self._keep(message, new.content, deliveries)
        if key is not None:
            self._queue.keys[key.client, key.key] = key.digest, message.id
        if any(each.at_once for each in deliveries):
            self._renew_if_due()
        pairs = zip(kept.deliveries, deliveries, strict=True)
        claimed = [self._lease(kept, made, new.due) for made, new in pairs if new.at_once]
        if len(claimed) < len(deliveries):
            self._queue.changes.waits([each.lane for each in deliveries])
        return claimed

    def _refuse_known(self, message: Message, content: Staging) -> MemoryStaging:
        if not isinstance(content, MemoryStaging):
            raise StoreError("This content was staged in another spool.")
        if message.id in self._kept:
            raise StoreError(f"There is a message {message.id} already.")
        return content

    def _keep(self, message: Message, content: Staging, deliveries: Iterable[NewDelivery]) -> MemoryMessage:
        kept = MemoryMessage(message, self._refuse_known(message, content).octets, [])
        for new in deliveries:
            status = Status.HELD if new.held else Status.READY
            recipients = [MemoryRecipient(next(self._queue.numbers), each, status) for each in new.recipients]
            number = next(self._queue.numbers)
            made = MemoryDelivery(number, new.account, new.priority, new.client, new.due, recipients)
            kept.deliveries.append(made)
            self._deliveries[made.id] = kept, made
        self._kept[message.id] = kept
        return kept

    def time(self) -> float | None:
        return None

    async def room(self, size: int) -> bool:
        return True

    async def lanes(self, now: float, among: Collection[LaneKey] | None = None) -> Sequence[Lane]:
        lanes: dict[tuple[str, Priority, str], list[tuple[float, bool]]] = {}
        for kept, each in self._deliveries.values():
            if each.ended is None and not each.lease and each.waiting:
                lanes.setdefault((each.account, each.priority, each.client), []).append(
                    (each.due, each.due == kept.message.send_at)
                )
        return [
            Lane(
                account=account,
                priority=priority,
                client=client,
                due=min(due)[0],
                timed=min(due)[1],
                waiting=len(due),
            )
            for (account, priority, client), due in sorted(lanes.items())
            if among is None or (account, priority, client) in among
        ]

    async def claim(self, shares: Mapping[Lane, int], now: float) -> Sequence[Claimed]:
        self._renew_if_due()
        return [claimed for lane, most in shares.items() for claimed in self._claim(lane, most, now)]

    def _claim(self, lane: Lane, most: int, now: float) -> Sequence[Claimed]:
        wanted = (lane.account, lane.priority, lane.client)
        due = [
            (each.due, each.id, kept, each)
            for kept, each in self._deliveries.values()
            if each.ended is None
            and not each.lease
            and each.due <= now
            and (each.account, each.priority, each.client) == wanted
            and each.waiting
        ]
        return [
            self._lease(kept, each, now) for _, _, kept, each in sorted(due, key=lambda row: row[:2])[:most]
        ]

    def _lease(self, kept: MemoryMessage, delivery: MemoryDelivery, now: float) -> Claimed:
        delivery.lease = self._node.next_lease()
        delivery.attempts.append(Attempt(number=len(delivery.attempts) + 1, delivery=delivery.id, began=now))
        return Claimed(
            delivery=delivery.id,
            lease=delivery.lease,
            attempt=len(delivery.attempts),
            account=delivery.account,
            priority=delivery.priority,
            client=delivery.client,
            message=kept.message,
            targets=tuple(Target(row=each.row, recipient=each.recipient) for each in delivery.waiting),
            warned=delivery.warned,
        )

    async def heartbeat(self) -> Sequence[str]:
        if self._node.name:
            self._renew()
        taken = self._take_over()
        if taken:
            self._queue.changes.waits()
        return taken

    def holds(self, claimed: Claimed) -> bool:
        return self._node.holds(claimed.lease, self._clock.now())

    def _renew_if_due(self) -> None:
        if self._node.due(self._clock.now()):
            self._renew()

    def _renew(self) -> None:
        now = self._node.renewed = self._clock.now()
        if self._node.run in self._queue.nodes:
            self._queue.nodes[self._node.run] = self._node.name, now + LEASE
        else:
            self._enter()

    def _enter(self) -> None:
        now = self._node.renewed = self._clock.now()
        self._node.run = next(self._queue.numbers)
        self._queue.nodes[self._node.run] = self._node.name, now + LEASE

    def _take_over(self, name: str = "") -> list[str]:
        """End what nodes had leased whose time is over, and earlier runs of `name`; ids of the messages."""
        nodes, now = self._queue.nodes, self._clock.now()
        for run in [each for each, (other, ends) in nodes.items() if ends <= now or other == name]:
            del nodes[run]
        taken = []
        for kept, delivery in self._deliveries.values():
            if delivery.lease and run_of(delivery.lease) not in nodes:
                for each in delivery.waiting:
                    each.status, each.unknown = Status.DEFERRED, True
                self._end(
                    delivery, Settlement(results=(), ended=now, due=now, unknown=True, error=INTERRUPTED)
                )
                taken.append(kept.message.id)
        self._queue.untold += taken
        return taken

    async def settle(self, claimed: Claimed, settlement: Settlement) -> None:
        _, delivery = self._deliveries.get(claimed.delivery, (None, None))
        if delivery is None or delivery.lease != claimed.lease:
            raise LeaseLost(f"The delivery of {claimed.message.id} is not ours any more.")
        for report in settlement.reports:
            self._report(report)
        self._mark(delivery, claimed, settlement)
        self._end(delivery, settlement)

    def _end(self, delivery: MemoryDelivery, settlement: Settlement) -> None:
        delivery.lease = 0
        delivery.warned = delivery.warned or settlement.warned
        if not settlement.counted:
            delivery.attempts.pop()
        else:
            delivery.attempts[-1] = replace(
                delivery.attempts[-1],
                ended=settlement.ended,
                server=settlement.server,
                queue_id=settlement.queue_id,
                error=settlement.error,
                unknown=settlement.unknown,
                transcript=settlement.transcript,
            )
        if delivery.waiting:
            delivery.due = settlement.ended if settlement.due is None else settlement.due
        if delivery.open:
            delivery.account = settlement.account or delivery.account
        delivery.ended = None if delivery.open else settlement.ended

    def _mark(self, delivery: MemoryDelivery, claimed: Claimed, settlement: Settlement) -> None:
        rows = {each.row: each for each in delivery.recipients}
        known = zip(claimed.targets, settlement.results, strict=True) if settlement.results else ()
        for target, fate in known:
            each = rows[target.row]
            each.status = fate.status
            if fate.reply or fate.cause or fate.remedy:  # else what was said last stays
                each.reply, each.cause, each.remedy = fate.reply, fate.cause, fate.remedy
            each.unknown = each.unknown or settlement.unknown

    def _report(self, report: Report) -> None:
        self._keep(report.message, report.content, [report.delivery])

    async def content(self, message: Message) -> Content:
        if message.id not in self._kept:
            raise StoreError(f"There is no message {message.id}.")
        return BytesContent(self._kept[message.id].content)

    async def pause(self, pause: Pause, *, audit: AuditRecord | None = None) -> None:
        self._pauses[pause.account] = pause
        self._queue.audit.append(audit)
        self._queue.changes.paused()

    async def resume(self, account: str, *, audit: AuditRecord | None = None) -> bool:
        resumed = self._pauses.pop(account, None) is not None
        if resumed:
            self._queue.audit.append(audit)
            self._queue.changes.paused()
        return resumed

    async def pauses(self) -> Sequence[Pause]:
        return list(self._pauses.values())

    async def search(self, query: Query) -> Sequence[Entry]:
        now = self._clock.now()
        entries = sorted(
            (kept.entry(now) for kept in self._kept.values()), key=lambda each: each.message.accepted
        )
        if query.after:
            if query.after not in self._kept:
                raise query.gone()
            entries = entries[[each.message.id for each in entries].index(query.after) + 1 :]
        found = [each for each in entries if fits(each, query)][: query.limit]
        return [_listed(each, query.statuses) for each in found]

    async def latest(self, before: float, place: int) -> float | None:
        times = sorted(each.message.accepted for each in self._kept.values())
        found = [each for each in times if each < before]
        return found[-place - 1] if len(found) > place else None

    async def show(self, message: str, page: RecipientPage | None = None) -> Entry | None:
        kept = self._kept.get(message)
        if kept is None:
            return None
        entry = kept.entry(self._clock.now(), attempts=True)
        return entry if page is None else part_of(entry, page)

    async def change(
        self,
        message: str,
        status: Status,
        now: float,
        address: str = "",
        *,
        audit: AuditRecord | None = None,
    ) -> int:
        changed = self._queue.change_some(message, status, now, Query(), address)
        self._queue.audit.append(audit, count=changed)
        if changed and status is Status.READY:
            self._queue.changes.waits()
        return changed

    async def move(self, message: str, account: str, now: float, *, audit: AuditRecord | None = None) -> int:
        changed = self._queue.move_some(message, account, now, Query())
        self._queue.audit.append(audit, count=changed)
        if changed:
            self._queue.changes.waits()
        return changed

    async def introduce(self, details: NodeDetails) -> None:
        self._node.details = details

    async def nodes(self) -> Sequence[NodeRecord]:
        return [
            NodeRecord(
                name=name,
                own=run == self._node.run,
                since=0.0,
                heartbeat=expires - LEASE,
                expires=expires,
                version=__version__,
                address=self._node.details.address if run == self._node.run else "",
                configuration=self._node.details.configuration if run == self._node.run else "",
                busy=self._node.details.busy() if run == self._node.run else 0,
            )
            for run, (name, expires) in sorted(self._queue.nodes.items(), key=lambda each: each[1])
        ]

    async def statistics(self) -> Statistics:
        result = Statistics()
        open_since, now = [], self._clock.now()
        for kept in self._kept.values():
            for row in kept.entry(now).rows:
                account = result.by_account.setdefault(row.account, {})
                for counts in (result.counts, account):
                    counts[row.status] = counts.get(row.status, 0) + 1
            if any(delivery.open for delivery in kept.deliveries) and not kept.message.waits_for_time(now):
                open_since.append(kept.message.tried_from)
        return replace(result, oldest=float(int(min(open_since))) if open_since else None)

    async def late(self, account: str, before: float, after: int, most: int) -> Sequence[Claimed]:
        found = [
            Claimed(
                delivery=each.id,
                lease=0,
                attempt=len(each.attempts),
                account=account,
                priority=each.priority,
                client=each.client,
                message=kept.message,
                targets=tuple(Target(row=one.row, recipient=one.recipient) for one in each.waiting),
            )
            for kept, each in self._deliveries.values()
            if each.account == account
            and each.waiting
            and not each.lease
            and not each.warned
            and kept.message.tried_from < before
            and each.id > after
        ]
        return sorted(found, key=lambda late: late.delivery)[:most]

    async def warn(self, late: Claimed, report: Report | None) -> bool:
        _, delivery = self._deliveries.get(late.delivery, (None, None))
        if delivery is None or not delivery.waiting or delivery.lease or delivery.warned:
            return False
        delivery.warned = True
        if report is not None:
            self._report(report)
        return True

    async def waiting(self) -> Sequence[Waiting]:
        found: dict[str, dict[str, float]] = {}
        for name, kept in self._kept.items():
            for delivery in kept.deliveries:
                if delivery.waiting and not kept.message.waits_for_time(self._clock.now()):
                    found.setdefault(delivery.account, {})[name] = kept.message.tried_from
        return [
            Waiting(account=account, messages=len(since), oldest=float(int(min(since.values()))))
            for account, since in found.items()
        ]

    async def retire(self, before: float) -> int:
        done = [
            name
            for name, kept in self._kept.items()
            if all(each.ended is not None and each.ended < before for each in kept.deliveries)
        ]
        for name in done:
            kept = self._kept.pop(name)
            self._queue.gone[name] = kept.message.accepted
            for delivery in kept.deliveries:
                del self._deliveries[delivery.id]
        gone, keys = self._queue.gone, self._queue.keys
        old = {name for name, accepted in gone.items() if accepted < before - KEYS_KEPT}
        self._queue.keys = {key: value for key, value in keys.items() if value[1] not in old}
        self._queue.gone = {name: accepted for name, accepted in gone.items() if name not in old}
        return len(done)

    async def export(self) -> AsyncIterator[tuple[Entry, Content]]:
        for kept in list(self._kept.values()):
            if any(delivery.open for delivery in kept.deliveries):
                yield kept.entry(self._clock.now(), attempts=True), BytesContent(kept.content)


def _listed(entry: Entry, statuses: Collection[Status]) -> Entry:
    """As a list tells it."""
    if len(entry.rows) <= LISTED:
        return entry
    return replace(entry, rows=first_of(entry.rows, statuses), counted=entry.counts)
