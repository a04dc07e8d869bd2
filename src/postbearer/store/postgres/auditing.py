"""The audit in the database: rows that are only ever added, each with the hash of the one before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple, replace
from typing import Any

from postbearer.store.operating import AUDIT_KEPT, AuditEntry, AuditRecord, chained, verified
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.rows import clean
from postbearer.store.postgres.transaction import Transaction
from postbearer.store.queries import queries

SQL = queries("operating", "postgres")
PIECE = 1_000  # entries that are verified in one read
_ANY = 2**63 - 1

Write = Callable[[Callable[[Transaction], Awaitable[Any]]], Awaitable[Any]]


async def append(transaction: Transaction, record: AuditRecord | None, *, count: int | None = None) -> None:
    """Add a record, if there is one; with `count`, of what was done in this transaction, unless that is 0."""
    if record is None or count == 0:
        return
    if count is not None:
        record = replace(record, count=count)
    texts = {name: clean(value) for name, value in _fields(record).items() if isinstance(value, str)}
    record = replace(record, **texts)  # type: ignore[arg-type]
    connection = transaction.connection
    await connection.execute(SQL["lock-audit"])
    last = await connection.fetchrow(SQL["last-audit"])
    number, before = (last["number"] + 1, last["hash"]) if last else (1, "")
    row = number, *astuple(record), chained(before, number, record)
    await connection.execute(SQL["add-audit"], *row)
    await connection.execute(SQL["drop-audit"], number - AUDIT_KEPT)


def _fields(record: AuditRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in AuditRecord.__slots__}


def _entry(row: Any) -> AuditEntry:
    number, *columns, hash_ = row
    names = ("at", "by", "known_by", "action", "account", "message", "recipient", "detail", "count", "result")
    record = AuditRecord(**dict(zip(names, columns, strict=True)))
    return AuditEntry(number=number, record=record, hash=hash_)


class PostgresAudit:
    """`AuditLog` by the spool's writer and its readers."""

    def __init__(self, write: Write, pool: ConnectionPool) -> None:
        self._write = write
        self._pool = pool

    async def add(self, record: AuditRecord) -> None:
        await self._write(lambda transaction: append(transaction, record))

    async def read(self, before: int | None, most: int) -> Sequence[AuditEntry]:
        async with self._pool.reading() as connection:
            last = _ANY if before is None else before
            return [_entry(row) for row in await connection.fetch(SQL["audit-before"], last, most)]

    async def about(self, message: str, most: int) -> Sequence[AuditEntry]:
        async with self._pool.reading() as connection:
            found = await connection.fetch(SQL["audit-about"], clean(message), most)
        return [_entry(row) for row in reversed(found)]

    async def verify(self) -> tuple[int, int | None]:
        return await verified(self._behind)

    async def _behind(self, number: int) -> list[AuditEntry]:
        async with self._pool.reading() as connection:
            return [_entry(row) for row in await connection.fetch(SQL["audit-after"], number, PIECE)]
