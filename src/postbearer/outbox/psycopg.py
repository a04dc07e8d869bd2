"""The outbox for psycopg 3: ``send(connection, message)``, or ``await send_async(connection, message)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from postbearer.envelope import Envelope
from postbearer.outbox.call import OutboxCall, OutboxOptions
from postbearer.sending import Sendable

if TYPE_CHECKING:
    import psycopg

_PLACES = ("%s::text", "%s::text[]", "%s::bytea", "%s::text::jsonb")


def send(
    connection: psycopg.Connection[Any],
    message: Sendable | None = None,
    envelope: Envelope | None = None,
    **options: Unpack[OutboxOptions],
) -> str:
    """Have the message sent once the transaction of `connection` is committed; the id that it will have.

    Raises `UsageError` for what is no message, and what the database says: `psycopg.Error`, in whose
    `diag.column_name` is the field that is wrong.
    """
    call = _call(connection, message, envelope, options)
    from psycopg.rows import tuple_row  # whatever rows are for this connection

    with connection.cursor(row_factory=tuple_row) as cursor:
        [found] = cursor.execute(*call).fetchall()
        return str(found[0])


async def send_async(
    connection: psycopg.AsyncConnection[Any],
    message: Sendable | None = None,
    envelope: Envelope | None = None,
    **options: Unpack[OutboxOptions],
) -> str:
    """The same for a connection of asyncio."""
    call = _call(connection, message, envelope, options)
    from psycopg.rows import tuple_row

    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(*call)
        [found] = await cursor.fetchall()
        return str(found[0])


def _call(connection: Any, message: Any, envelope: Any, options: Any) -> tuple[Any, tuple[Any, ...]]:
    from psycopg.pq import TransactionStatus

    begun = connection.info.transaction_status is not TransactionStatus.IDLE
    call = OutboxCall.of(message, envelope, options, in_transaction=begun or not connection.autocommit)
    values = (call.sender, call.recipients, call.content, call.options)
    return call.statement(*_PLACES), values
