"""What can be read from a spool, for the worker and for people. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import apsw

from postbearer.envelope import Envelope
from postbearer.store.database import rows
from postbearer.store.queries import queries
from postbearer.store.records import (
    ATTEMPTS,
    LISTED,
    LONG_ENVELOPE,
    SET_ASIDE,
    Attempt,
    Claimed,
    Entry,
    IdempotencyKey,
    Lane,
    LaneKey,
    Message,
    Pause,
    Query,
    RecipientPage,
    Row,
    Statistics,
    Status,
    Target,
    Waiting,
)
from postbearer.store.rows import (
    FRONT,
    LETTERS,
    UNREADABLE,
    lane_of,
    message_of,
    page_envelope,
    priority_of,
    recipient_of,
    shown_status,
    status_of,
    text,
)

SQL = queries("look")
LAST = 2**63 - 1  # a number behind all others
FEW = 10_000  # recipients that are looked at one by one in a moment
ONE_BY_ONE = 5_000  # messages that are, for a part of a text
NEXT_LANE, FIRST_OF_LANE = queries("queue")["next-lane"], queries("queue")["first-of-lane"]
KEY = queries("queue")["key"]
LATE, TARGETS = queries("queue")["late"], queries("queue")["targets"]


def keyed(connection: apsw.Connection, key: IdempotencyKey) -> str:
    """The message that a key stands for; empty if it is not known."""
    known = connection.execute(KEY, (key.client, key.key)).fetchone()
    return "" if known is None else text(known[1])


def lanes(connection: apsw.Connection, among: Collection[LaneKey] | None) -> tuple[list[Lane], int]:
    """All lanes with something waiting, or those `among` some; one step in the index each, however long.

    And the number of a delivery that is damaged, behind which no lane was seen; 0 if there is none.
    """
    found: list[Lane] = []
    for delivery, *columns in (
        _all_lanes(connection, found) if among is None else _some_lanes(connection, among)
    ):
        try:
            found.append(lane_of(*columns))
        except ValueError:
            return found, int(delivery)
    return found, 0


def _all_lanes(connection: apsw.Connection, found: Sequence[Lane]) -> Iterator[Any]:
    """The first row of each lane, behind the last one that was `found`."""
    while row := connection.execute(NEXT_LANE, found[-1].key if found else ("", -1, "")).fetchone():
        yield row


def _some_lanes(connection: apsw.Connection, among: Collection[LaneKey]) -> Iterator[Any]:
    for key in among:
        yield from connection.execute(FIRST_OF_LANE, key)


def number_of(connection: apsw.Connection, message: str) -> int | None:
    row = connection.execute(SQL["number"], (message,)).fetchone()
    return int(row[0]) if row else None


def message(connection: apsw.Connection, number: int, longest: int = LAST) -> Message:
    """What is known of it; nothing of an envelope that takes more octets than `longest`."""
    return message_of(connection.execute(SQL["message"], (number, longest)).fetchone())


def entry(connection: apsw.Connection, number: int, now: float) -> Entry:
    kept = message(connection, number)
    found = _rows(connection, "rows-of", number, early=kept.waits_for_time(now))
    return Entry(message=kept, rows=found, attempts=_attempts(connection, "attempts-of", number))


def page(connection: apsw.Connection, number: int, now: float, wanted: RecipientPage) -> Entry:
    """Some recipients, without a look at the others but to count them. Raises `UsageError`."""
    kept = message(connection, number, LONG_ENVELOPE)
    chosen = _chosen(connection, number, wanted, early=kept.waits_for_time(now))
    some, more = chosen[: wanted.most], chosen[wanted.most :]
    are_all = not more and not wanted.after and wanted.status is None
    found = _some(connection, number, now, kept, some, are_all=are_all)
    deliveries = json.dumps(sorted({row.delivery for row in found.rows}))
    tries = _attempts(connection, "attempts-among", deliveries, ATTEMPTS)[::-1]
    return replace(found, attempts=tries, cursor=str(some[-1]) if more and some else "")


def _listed(connection: apsw.Connection, number: int, now: float, statuses: Collection[Status]) -> Entry:
    """As a list tells it: some of its recipients, those in one of the `statuses` before others."""
    kept = message(connection, number, LONG_ENVELOPE)
    early = kept.waits_for_time(now)
    some = _chosen(connection, number, RecipientPage(most=LISTED), early=early)
    are_all = len(some) <= LISTED
    if not are_all and statuses:
        few = [RecipientPage(most=LISTED, status=status) for status in statuses]
        wanted = sorted({row for page in few for row in _chosen(connection, number, page, early=early)})
        some = [*wanted, *(row for row in some if row not in wanted)]
    return _some(connection, number, now, kept, sorted(some[:LISTED]), are_all=are_all)


def _some(
    connection: apsw.Connection, number: int, now: float, kept: Message, some: Sequence[int], *, are_all: bool
) -> Entry:
    """The message with the recipients in these rows, and all of them counted."""
    early = kept.waits_for_time(now)
    found = _rows(connection, "rows-among", json.dumps(some), early=early)
    whole = kept.envelope is not UNREADABLE
    if not whole:
        kept = replace(kept, envelope=_front(connection, number, [row.address for row in found]))
    if are_all:
        return Entry(message=kept, rows=found, whole=whole)
    counts = rows(connection, SQL["fates-kept"], (number,)) or rows(connection, SQL["fates"], (number,))
    counted = {shown_status(letter, early=early): count for letter, count in counts}
    return Entry(message=kept, rows=found, counted=counted, whole=whole)


def _chosen(connection: apsw.Connection, number: int, wanted: RecipientPage, *, early: bool) -> list[int]:
    """The rows of the recipients of a page, and of the next one, if there is one more."""
    first = behind = 0
    if wanted.after:
        behind = int(wanted.after) if wanted.after.isascii() and wanted.after.isdecimal() else 0
        place = connection.execute(SQL["place"], (min(behind, LAST), number)).get
        if place is None:
            raise wanted.gone()
        first = int(place)
    status = wanted.status
    if status in (Status.SCHEDULED, Status.READY):
        if (status is Status.SCHEDULED) is not early:
            return []
        status = Status.READY
    letter = LETTERS[status] if status is not None else ""
    values = {"message": number, "first": first, "behind": behind, "letter": letter, "most": wanted.most + 1}
    query = SQL["page-set-aside" if status in SET_ASIDE else "page"]
    return [row for (row,) in connection.execute(query, values)]


def _front(connection: apsw.Connection, number: int, addresses: Sequence[str]) -> Envelope:
    """The envelope of a message, for these of its recipients."""
    try:
        envelope = connection.blob_open("main", "message", "envelope", number, False)
    except apsw.SQLError:  # neither a text nor octets: the row is damaged, or gone
        return UNREADABLE
    with closing(envelope):
        return page_envelope(envelope.read(FRONT), addresses)


def _rows(connection: apsw.Connection, which: str, *values: object, early: bool) -> tuple[Row, ...]:
    return tuple(
        Row(
            address=text(row[0]),
            status=shown_status(row[1], early=early),
            account=text(row[2]),
            priority=priority_of(row[3]),
            due=row[4],
            attempts=row[5],
            reply=text(row[6]),
            cause=text(row[7]),
            remedy=text(row[8]),
            unknown=bool(row[9]),
            delivery=row[10],
        )
        for row in connection.execute(f"{SQL['rows']}\n{SQL[which]}", values)
    )


def _attempts(connection: apsw.Connection, which: str, *values: object) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(
            number=row[0],
            began=row[1],
            ended=row[2],
            server=text(row[3]),
            queue_id=text(row[4]),
            error=text(row[5]),
            unknown=bool(row[6]),
            transcript=text(row[7]),
            delivery=row[8],
        )
        for row in connection.execute(f"{SQL['attempts']}\n{SQL[which]}", values)
    )


def search(connection: apsw.Connection, query: Query, now: float) -> list[Entry]:
    """Messages that fit, oldest first. Raises `UsageError` when the one to go on behind is gone."""
    after: list[Any] = [(float("-inf"), 0)]
    if query.after:
        after = rows(connection, SQL["accepted"], (query.after,))
        if not after:
            raise query.gone()
    if query.account and not rows(connection, SQL["is-used"], (query.account,)):
        return []
    asked = conditions(query)
    names = [f"where-{name}" for name in asked]
    if query.statuses and (better := _statuses(connection, query.statuses, now)):
        names[names.index("where-statuses")] = better
    first, behind = after[0]
    if query.newer_than is not None:  # one bound and not two, as an index is entered by one
        names.remove("where-newer_than")
        first, behind = max((first, behind), (query.newer_than, LAST))
    values = {**asked, "after_accepted": first, "after_number": behind, "limit": query.limit, "now": now}
    values["letters"] = json.dumps([*asked.get("statuses", "")])
    numbers = _numbers(connection, names, values)
    return [_listed(connection, number, now, query.statuses) for number in numbers]


def latest(connection: apsw.Connection, before: float, place: int) -> float | None:
    found: float | None = connection.execute(SQL["latest"], (before, place)).get
    return found


def conditions(query: Query) -> dict[str, Any]:
    """What is looked for, by the names of conditions, as SQL takes it."""
    asked = query.asked()
    if query.statuses:
        asked["statuses"] = "".join(LETTERS[each] for each in query.statuses)
    if query.tags:
        asked["tags"] = json.dumps(query.tags)
    return asked


def _numbers(connection: apsw.Connection, names: list[str], values: dict[str, Any]) -> list[int]:
    """Of the messages that fit. What many have is soon found one by one, and what few have, all at once."""
    if not {f"{name}-anywhere" for name in names}.isdisjoint(SQL):
        after = values["after_accepted"], values["after_number"], ONE_BY_ONE
        for values["last_accepted"], values["last_number"] in rows(connection, SQL["further-on"], after):
            found = _where(connection, [*names, "where-soon"], values)
            if len(found) == values["limit"]:
                return found
            names = [each if (each := f"{name}-anywhere") in SQL else name for name in names]
    return _where(connection, names, values)


def _where(connection: apsw.Connection, names: Sequence[str], values: Mapping[str, Any]) -> list[int]:
    conditions = "\n AND ".join([SQL["search"], *(SQL[name] for name in names)])
    return [number for (number,) in rows(connection, f"{conditions}\n{SQL['search-order']}", values)]


def _statuses(connection: apsw.Connection, statuses: Sequence[Status], now: float) -> str:
    """The condition that finds recipients in these states at once, as they are few; empty if they are not."""
    counts = statistics(connection, now).counts
    if sum(counts.get(each, 0) for each in statuses) >= FEW:
        return ""
    if Status.DELIVERED in statuses:
        return "where-statuses-of-few"
    waiting = (Status.READY, Status.SCHEDULED)
    if not set(waiting) & set(statuses):
        return "where-statuses-set-aside"
    few = sum(counts.get(each, 0) for each in waiting) < FEW
    return "where-statuses-of-few-open" if few else "where-statuses-of-few"


def open_messages(connection: apsw.Connection, after: int, most: int) -> list[int]:
    """Numbers of messages that are not at their end, those behind `after`."""
    return [number for (number,) in connection.execute(SQL["open"], (after, most))]


def statistics(connection: apsw.Connection, now: float) -> Statistics:
    counts: dict[Status, int] = {}
    accounts: dict[str, dict[Status, int]] = {}
    for account, letter, count in connection.execute(SQL["count"], (now,)):
        of_account = accounts.setdefault(text(account), {})
        for counted in (counts, of_account):
            counted[status_of(letter)] = counted.get(status_of(letter), 0) + count
    oldest = connection.execute(SQL["oldest"], (now,)).get
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
                priority=priority_of(priority),
                client=text(client),
                message=message(connection, number),
                targets=tuple(targets),
            )
        )
    return found


def waiting(connection: apsw.Connection, now: float) -> Sequence[Waiting]:
    return [
        Waiting(account=text(account), messages=messages, oldest=oldest)
        for account, messages, oldest in connection.execute(SQL["waiting"], (now,))
    ]


def pauses(connection: apsw.Connection) -> Sequence[Pause]:
    return [
        Pause(
            account=text(account),
            since=since,
            reason=text(reason),
            remedy=text(remedy),
            probe=probe,
            probes=probes,
            passes=bool(passes),
        )
        for account, since, reason, remedy, probe, probes, passes in connection.execute(SQL["pauses"])
    ]
