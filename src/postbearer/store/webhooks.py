"""How far each webhook is, as rows: so that what happened is told once more rather than not at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple

import apsw

from postbearer.store.database import rows
from postbearer.store.queries import queries
from postbearer.store.records import WaitingEvent, WebhookRow
from postbearer.store.rows import text

SQL = queries("webhooks")


def all_(connection: apsw.Connection) -> Sequence[WebhookRow]:
    """Every one that there is, or was when the relay ran last."""
    return [
        WebhookRow(text(name), position, arrived, failing, text(error), text(disabled), disabled_at, dropped)
        for name, position, arrived, failing, error, disabled, disabled_at, dropped in rows(
            connection, SQL["all"]
        )
    ]


def waiting(connection: apsw.Connection, name: str) -> Sequence[WaitingEvent]:
    """The events that one of them is to be sent again."""
    return [
        WaitingEvent(number, text(message), since, due, tries)
        for number, message, since, due, tries in rows(connection, SQL["waiting"], (name,))
    ]


def keep(
    connection: apsw.Connection, row: WebhookRow, again: Collection[WaitingEvent], done: Collection[int]
) -> None:
    """Note how far it is: `again` are sent again later, `done` no more."""
    connection.execute(SQL["keep"], astuple(row))
    if done:
        connection.executemany(SQL["drop-event"], [(row.name, number) for number in done])
    if again:
        connection.executemany(SQL["keep-event"], [(row.name, *astuple(each)) for each in again])


def drop(connection: apsw.Connection, name: str) -> None:
    """Forget one that is not configured any more."""
    for query in ("drop", "drop-events"):
        connection.execute(SQL[query], (name,))


def needed(connection: apsw.Connection) -> int | None:
    """The number of the oldest event that one of them needs; None without any."""
    found: int | None = connection.execute(SQL["needed"]).get
    return found
