"""The audit in the spool's file: rows that are only ever added, each with the hash of the one before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple, replace
from functools import partial
from typing import Any, TypeVar

import apsw

from postbearer.store.database import rows
from postbearer.store.operating import AUDIT_KEPT, AuditEntry, AuditRecord, chained, verified
from postbearer.store.queries import queries
from postbearer.store.rows import text

T = TypeVar("T")
Doing = Callable[[Callable[[apsw.Connection], T]], Awaitable[T]]

SQL = queries("operating")
PIECE = 1_000  # entries that are verified in one read
_ANY = 2**63 - 1


def append(connection: apsw.Connection, record: AuditRecord | None, *, count: int | None = None) -> None:
    """Add a record, if there is one; with `count`, of what was done in this transaction, unless that is 0."""
    if record is None or count == 0:
        return
    if count is not None:
        record = replace(record, count=count)
    last = connection.execute(SQL["last-audit"]).fetchone()
    number, before = (last[0] + 1, text(last[1])) if last else (1, "")
    row = number, *astuple(record), chained(before, number, record)
    connection.execute(SQL["add-audit"], row)
    connection.execute(SQL["drop-audit"], (number - AUDIT_KEPT,))


def _entry(row: Sequence[Any]) -> AuditEntry:
    number, at, by, known_by, action, account, message, recipient, detail, count, result, hash_ = row
    record = AuditRecord(
        at=at,
        by=text(by),
        known_by=text(known_by),
        action=text(action),
        account=text(account),
        message=text(message),
        recipient=text(recipient),
        detail=text(detail),
        count=count,
        result=text(result),
    )
    return AuditEntry(number=number, record=record, hash=text(hash_))


class SqliteAudit:
    """`AuditLog` by the spool's writer and its readers."""

    def __init__(self, write: Doing[Any], read: Doing[Any]) -> None:
        self._write = write
        self._read = read

    async def add(self, record: AuditRecord) -> None:
        await self._write(lambda connection: append(connection, record))

    async def read(self, before: int | None, most: int) -> Sequence[AuditEntry]:
        wanted = (_ANY if before is None else before, most)
        found = await self._read(lambda connection: rows(connection, SQL["audit-before"], wanted))
        return [_entry(row) for row in found]

    async def about(self, message: str, most: int) -> Sequence[AuditEntry]:
        found = await self._read(lambda connection: rows(connection, SQL["audit-about"], (message, most)))
        return [_entry(row) for row in reversed(found)]

    async def verify(self) -> tuple[int, int | None]:
        return await verified(lambda number: self._read(partial(_behind, number=number)))


def _behind(connection: apsw.Connection, number: int) -> list[AuditEntry]:
    return [_entry(row) for row in rows(connection, SQL["audit-after"], (number, PIECE))]
