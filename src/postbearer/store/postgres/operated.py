"""What people do to the queue: each act a transaction, with its record in the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from postbearer.clock import Clock
from postbearer.store.changes import Changes
from postbearer.store.lease import Node
from postbearer.store.operating import AuditRecord, NodeRecord
from postbearer.store.postgres import auditing, changes, nodes, reads
from postbearer.store.postgres.auditing import PostgresAudit, Write
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.jobs import PostgresJobs
from postbearer.store.postgres.transaction import Transaction
from postbearer.store.records import Pause, Status


class Operated:
    """That part of `Spool`, by its writer and its readers."""

    def __init__(
        self, write: Write, pool: ConnectionPool, changes: Changes, node: Node, clock: Clock
    ) -> None:
        self._write = write
        self._pool = pool
        self._changes = changes
        self._node = node
        self.audit = PostgresAudit(write, pool)
        self.jobs = PostgresJobs(write, pool, changes.waits, clock.now)

    async def pause(self, pause: Pause, *, audit: AuditRecord | None = None) -> None:
        async def stop(transaction: Transaction) -> None:
            await changes.pause(transaction, pause)
            await auditing.append(transaction, audit)

        await self._write(stop)
        self._changes.paused()

    async def resume(self, account: str, *, audit: AuditRecord | None = None) -> bool:
        async def go_on(transaction: Transaction) -> bool:
            resumed = await changes.resume(transaction, account)
            await auditing.append(transaction, audit if resumed else None)
            return resumed

        resumed: bool = await self._write(go_on)
        if resumed:
            self._changes.paused()
        return resumed

    async def pauses(self) -> Sequence[Pause]:
        async with self._pool.reading() as connection:
            return await reads.pauses(connection)

    async def change(
        self,
        message: str,
        status: Status,
        now: float,
        address: str = "",
        *,
        audit: AuditRecord | None = None,
    ) -> int:
        change = partial(changes.change, message=message, status=status, now=now, address=address)
        changed: int = await self._write(partial(_audited, audit, change))
        if changed and status is Status.READY:
            self._changes.waits()
        return changed

    async def move(self, message: str, account: str, now: float, *, audit: AuditRecord | None = None) -> int:
        move = partial(changes.move, message=message, target=account, now=now)
        changed: int = await self._write(partial(_audited, audit, move))
        if changed:
            self._changes.waits()
        return changed

    async def nodes(self) -> Sequence[NodeRecord]:
        async with self._pool.reading() as connection:
            return await nodes.all_(connection, self._node)


async def _audited(
    audit: AuditRecord | None, act: Callable[[Transaction], Awaitable[int]], transaction: Transaction
) -> int:
    """Do it, and record it with how many it changed, if any."""
    changed = await act(transaction)
    await auditing.append(transaction, audit, count=changed)
    return changed
