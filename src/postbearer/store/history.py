"""What became of recipients, as rows and counts that were written in the commit that made it so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import apsw

from postbearer.clock import Clock
from postbearer.store import webhooks
from postbearer.store.database import get, rows
from postbearer.store.queries import queries
from postbearer.store.records import StateChange, Status, TrafficCount
from postbearer.store.rows import status_of, tags_of, text

SQL = queries("events")
AT_ONCE: Final = 1000  # that a transaction removes
FOR_WEBHOOKS: Final = 4 * 86_400.0  # seconds
COUNTED: Final = 8 * 86_400.0  # seconds that counts are kept: a week, and the day it begins in


def record(connection: apsw.Connection, clock: Clock) -> None:
    """From now on, what this connection writes is recorded, if the spool is to keep that."""
    if get(connection, "events"):
        connection.create_scalar_function("wall", lambda *nothing: clock.now(), 0)
        connection.execute(SQL["record"])


def begin(connection: apsw.Connection, clock: Clock) -> None:
    """Have the spool keep that from now on, if it does not already."""
    if not get(connection, "events"):
        connection.execute(queries("queue")["set"], (1, "events"))
        record(connection, clock)


def changes(connection: apsw.Connection, after: int, most: int, message: str = "") -> Sequence[StateChange]:
    """Those behind the number `after`, in their order; only of one `message`, if it is named."""
    query, values = (
        (SQL["changes-of"], (after, message, most)) if message else (SQL["changes"], (after, most))
    )
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
            tags=tags_of(tags),
        )
        for number, at, message, client, account, recipient, state, unknown, said, tags in rows(
            connection, query, values
        )
    ]


def first_since(connection: apsw.Connection, at: float) -> int:
    """The number of the first one at that time or later; 0 if there is none."""
    return int(connection.execute(SQL["first-since"], (at,)).get or 0)


def bounds(connection: apsw.Connection) -> tuple[int, int]:
    """The numbers of the oldest one that is kept and of the last one; 0 and 0 without any."""
    [(first, last)] = rows(connection, SQL["bounds"])
    return first, last


def forget(connection: apsw.Connection, before: float) -> bool:
    """Remove some that are older than `before`, and that no webhook needs; whether there are more.

    What webhooks need is kept for `FOR_WEBHOOKS` seconds longer, and goes then.
    """
    needed = webhooks.needed(connection)
    connection.execute(SQL["forget"], (before, needed, before - FOR_WEBHOOKS, AT_ONCE))
    return connection.changes() == AT_ONCE


def traffic(connection: apsw.Connection, since: float, width: int) -> Sequence[TrafficCount]:
    """Counts by state in spans of `width` seconds, the oldest first; none for those without any."""
    found: dict[int, dict[Status, int]] = {}
    for begins, state, count in rows(connection, SQL["traffic"], {"since": since, "width": width}):
        of_span = found.setdefault(begins, {})
        of_span[status_of(state)] = of_span.get(status_of(state), 0) + count
    return [TrafficCount(begins=begins, counts=counts) for begins, counts in found.items()]


def forget_traffic(connection: apsw.Connection, now: float) -> None:
    """Remove what was counted too long ago."""
    connection.execute(SQL["forget-traffic"], (now - COUNTED,))
