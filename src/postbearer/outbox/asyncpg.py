"""The outbox for asyncpg: ``await send(connection, message)`` within a transaction of that connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from postbearer.envelope import Envelope
from postbearer.outbox.call import OutboxCall, OutboxOptions
from postbearer.sending import Sendable

if TYPE_CHECKING:
    import asyncpg


async def send(
    connection: asyncpg.Connection,
    message: Sendable | None = None,
    envelope: Envelope | None = None,
    **options: Unpack[OutboxOptions],
) -> str:
    """Have the message sent once the transaction of `connection` is committed; the id that it will have.

    Raises `UsageError` for what is no message, and what the database says: `asyncpg.PostgresError`, whose
    `column_name` is the field that is wrong.
    """
    call = OutboxCall.of(message, envelope, options, in_transaction=connection.is_in_transaction())
    values = (call.sender, call.recipients, call.content, call.options)
    statement = call.statement("$1::text", "$2::text[]", "$3::bytea", "$4::text::jsonb")
    return str(await connection.fetchval(statement, *values))
