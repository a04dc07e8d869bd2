"""What can be read from a spool, for the worker and for people. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from postbearer.store.database import rows
from postbearer.store.queries import queries
from postbearer.store.records import (
    Attempt,
    Claimed,
    Entry,
    Lane,
    Message,
    Pause,
    Priority,
    Query,
    Row,
    Statistics,
    Status,
    Target,
    Waiting,
)
from postbearer.store.rows import LETTERS, STATUSES, message_of, recipient_of

SQL = queries("look")
FEW = 10_000  # recipients that are looked at one by one in a moment
NEXT_LANE = queries("queue")["next-lane"]
LATE, TARGETS = queries("queue")["late"], queries("queue")["targets"]


def lanes(connection: apsw.Connection) -> list[Lane]:
    """All lanes with something waiting; one step in the index each, however long they are."""
    found: list[Lane] = []
    last: tuple[str, int, str] = ("", -1, "")
    while row := connection.execute(NEXT_LANE, last).fetchone():
        account, priority, client, due = row
        found.append(Lane(account=account, priority=Priority(priority), client=client, due=due))
        last = account, priority, client
    return found


def number_of(connection: apsw.Connection, message: str) -> int | None:
    row = connection.execute(SQL["number"], (message,)).fetchone()
    return int(row[0]) if row else None


def message(connection: apsw.Connection, number: int) -> Message:
    (row,) = connection.execute(SQL["message"], (number,))
    return message_of(row)


def entry(connection: apsw.Connection, number: int, *, attempts: bool = False) -> Entry:
    rows = tuple(
        Row(
            address=row[0],
            status=STATUSES[row[1]],
            account=row[2],
            priority=Priority(row[3]),
            due=row[4],
            attempts=row[5],
            reply=row[6],
            cause=row[7],
            remedy=row[8],
            unknown=bool(row[9]),
        )
        for row in connection.execute(SQL["rows"], (number,))
    )
    tries = _attempts(connection, number) if attempts else ()
    return Entry(message=message(connection, number), rows=rows, attempts=tries)


def _attempts(connection: apsw.Connection, number: int) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(
            number=row[0],
            began=row[1],
            ended=row[2],
            server=row[3],
            queue_id=row[4],
            error=row[5],
            unknown=bool(row[6]),
        )
        for row in connection.execute(SQL["attempts"], (number,))
    )


def search(connection: apsw.Connection, query: Query) -> list[Entry]:
    """Messages that fit, oldest first. Raises `UsageError` when the one to go on behind is gone."""
    after: list[Any] = [(float("-inf"), 0)]
    if query.after:
        after = rows(connection, SQL["accepted"], (query.after,))
        if not after:
            raise query.gone()
    asked: dict[str, Any] = {
        "id": query.id,
        "client": query.client,
        "message_id": query.message_id.casefold(),
        "account": query.account,
        "address": query.address.casefold(),
        "statuses": "".join(LETTERS[each] for each in query.statuses),
        "older_than": query.older_than,
        "newer_than": query.newer_than,
    }
    asked = {name: value for name, value in asked.items() if value not in ("", None)}
    names = [f"where-{name}" for name in asked]
    if query.statuses and _count(connection, query.statuses) < FEW:
        names[names.index("where-statuses")] = "where-statuses-of-few"
    conditions = [SQL["search"], *(SQL[name] for name in names)]
    statement = "\n AND ".join(conditions) + "\n" + SQL["search-order"]
    values = {**asked, "after_accepted": after[0][0], "after_number": after[0][1], "limit": query.limit}
    return [entry(connection, number) for (number,) in rows(connection, statement, values)]


def _count(connection: apsw.Connection, statuses: Sequence[Status]) -> int:
    """How many recipients are in one of these states."""
    letters = {LETTERS[each] for each in statuses}
    return sum(count for _, letter, count in rows(connection, SQL["count"]) if letter in letters)


def open_messages(connection: apsw.Connection, after: int, most: int) -> list[int]:
    """Numbers of messages that are not at their end, those behind `after`."""
    return [number for (number,) in connection.execute(SQL["open"], (after, most))]


def statistics(connection: apsw.Connection) -> Statistics:
    counts: dict[Status, int] = {}
    accounts: dict[str, dict[Status, int]] = {}
    for account, letter, count in connection.execute(SQL["count"]):
        status = STATUSES[letter]
        counts[status] = counts.get(status, 0) + count
        accounts.setdefault(account, {})[status] = count
    pending = sum(count for status, count in counts.items() if not status.final)
    oldest = connection.execute(SQL["oldest-of-few" if pending < FEW else "oldest-of-many"]).get
    return Statistics(counts=counts, by_account=accounts, oldest=oldest)


def late(connection: apsw.Connection, account: str, before: float, after: int, most: int) -> list[Claimed]:
    """Deliveries that wait, unwarned; none is leased."""
    found = []
    wanted = (account, before, after, most)
    for delivery, number, priority, client, attempts in rows(connection, LATE, wanted):
        targets = [
            Target(row=row, recipient=recipient_of(*wishes))
            for row, *wishes in rows(connection, TARGETS, (delivery,))
        ]
        found.append(
            Claimed(
                delivery=delivery,
                lease=0,
                attempt=attempts,
                account=account,
                priority=Priority(priority),
                client=client,
                message=message(connection, number),
                targets=tuple(targets),
            )
        )
    return found


def waiting(connection: apsw.Connection) -> Sequence[Waiting]:
    return [
        Waiting(account=account, messages=messages, oldest=oldest)
        for account, messages, oldest in connection.execute(SQL["waiting"])
    ]


def pauses(connection: apsw.Connection) -> Sequence[Pause]:
    return [
        Pause(account=row[0], since=row[1], reason=row[2], remedy=row[3], probe=row[4], probes=row[5])
        for row in connection.execute(SQL["pauses"])
    ]
