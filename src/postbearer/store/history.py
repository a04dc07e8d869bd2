"""What became of recipients, as rows that were written in the commit that made it so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import apsw

from postbearer.clock import Clock
from postbearer.store.database import get, rows
from postbearer.store.queries import queries
from postbearer.store.records import StateChange
from postbearer.store.rows import status_of, text

SQL = queries("events")
AT_ONCE: Final = 1000  # that a transaction removes


def record(connection: apsw.Connection, clock: Clock) -> None:
    """From now on, what this connection writes is recorded, if the spool is to keep that."""
    if get(connection, "events"):
        connection.create_scalar_function("wall", lambda *nothing: clock.now(), 0)
        connection.execute(SQL["record"])


def changes(connection: apsw.Connection, after: int, most: int) -> Sequence[StateChange]:
    """Those behind the number `after`, in their order."""
    return [
        StateChange(
            number=number,
            at=at,
            message=text(message),
            client=text(client),
            account=text(account),
            recipient=text(recipient),
            status=status_of(state),
            unknown=bool(unknown),
            said=text(said),
        )
        for number, at, message, client, account, recipient, state, unknown, said in rows(
            connection, SQL["changes"], (after, most)
        )
    ]


def bounds(connection: apsw.Connection) -> tuple[int, int]:
    """The numbers of the oldest one that is kept and of the last one; 0 and 0 without any."""
    [(first, last)] = rows(connection, SQL["bounds"])
    return first, last


def forget(connection: apsw.Connection, before: float) -> bool:
    """Remove some that are older than `before`; whether there are more."""
    connection.execute(SQL["forget"], (before, AT_ONCE))
    return connection.changes() == AT_ONCE
