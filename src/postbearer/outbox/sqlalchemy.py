"""The outbox for SQLAlchemy 2: ``send(session, message)``, or ``await send_async(session, message)``.

A session or a connection, by whatever driver it talks to PostgreSQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from postbearer.envelope import Envelope
from postbearer.outbox.call import OutboxCall, OutboxOptions
from postbearer.sending import Sendable

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session, scoped_session

_PLACES = (
    *("CAST(:sender AS text)", "CAST(:recipients AS text[])", "CAST(:content AS bytea)"),
    "CAST(CAST(:options AS text) AS jsonb)",
)


def send(
    session: Session | scoped_session[Any] | Connection,
    message: Sendable | None = None,
    envelope: Envelope | None = None,
    **options: Unpack[OutboxOptions],
) -> str:
    """Have the message sent once the transaction of `session` is committed; the id that it will have.

    Raises `UsageError` for what is no message, and what the database says: `sqlalchemy.exc.DBAPIError`.
    """
    from sqlalchemy.orm import Session, scoped_session

    connection: Any = session
    if isinstance(session, Session | scoped_session):
        connection = session.connection()
    statement, values = _call(connection, message, envelope, options)
    return str(connection.scalar(statement, values))


async def send_async(
    session: AsyncSession | AsyncConnection,
    message: Sendable | None = None,
    envelope: Envelope | None = None,
    **options: Unpack[OutboxOptions],
) -> str:
    """The same for asyncio."""
    from sqlalchemy.ext.asyncio import AsyncSession

    connection: Any = await session.connection() if isinstance(session, AsyncSession) else session
    statement, values = await connection.run_sync(lambda each: _call(each, message, envelope, options))
    return str(await connection.scalar(statement, values))


def _call(connection: Any, message: Any, envelope: Any, options: Any) -> tuple[Any, dict[str, Any]]:
    from sqlalchemy import text

    begun = not connection.connection.dbapi_connection.autocommit  # then it begins one by itself
    call = OutboxCall.of(message, envelope, options, in_transaction=begun)
    values = {
        "sender": call.sender,
        "recipients": call.recipients,
        "content": call.content,
        "options": call.options,
    }
    return text(call.statement(*_PLACES)), values
