"""What can be read from the spool, for the worker and for people, in transactions that only read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from postbearer.errors import StoreError
from postbearer.store.postgres.contents import Spooled
from postbearer.store.postgres.cursors import LaneCursors, StoreClock
from postbearer.store.postgres.nodes import NODES
from postbearer.store.postgres.rows import (
    OPEN,
    claimed_of,
    message_of,
    recipients_of,
    said_of,
    shown_status,
    tag_text,
)
from postbearer.store.postgres.transaction import ACCEPT, TURN
from postbearer.store.queries import queries
from postbearer.store.records import (
    Attempt,
    Claimed,
    Entry,
    IdempotencyKey,
    Lane,
    LaneKey,
    Message,
    Pause,
    Query,
    Row,
    Status,
)
from postbearer.store.rows import FRONT, LEASED, LETTERS, priority_of

LOOK = queries("look", "postgres")
SESSION = queries("session", "postgres")
CHUNKS = 16  # of content that are read at a time
ALL = 2**31 - 1  # octets

Words = dict[tuple[int, int], tuple[str, str, str]]  # by delivery and place: reply, cause, remedy


async def meta(connection: Any) -> dict[str, float]:
    return {row["name"]: row["value"] for row in await connection.fetch(SESSION["places"])}


async def store_clock(connection: Any, time: Callable[[], float] | None = None) -> StoreClock:
    """`time` stands in for the store's clock, and then for any."""
    before = monotonic()
    found = await connection.fetchrow(TURN["oldest-writer"])
    after = monotonic()
    if time is not None:
        return StoreClock(time() - found["age"], time(), time())
    return StoreClock(found["time"] - found["age"], found["time"] - after, found["time"] - before)


async def lanes(
    connection: Any,
    among: Collection[LaneKey] | None,
    cursors: LaneCursors,
    time: Callable[[], float] | None = None,
) -> Sequence[Lane]:
    begun, settles = cursors.begin(), cursors.settles()
    if among is None:
        known = cursors.floors() if settles else cursors.all_()
    else:
        known = [(lane, cursors.floor(lane) if settles else cursors.at(lane)) for lane in among]
    clock = await store_clock(connection, time) if settles else None
    flat = [(account, int(priority), client, *place) for (account, priority, client), place in known]
    columns = [[row[column] for row in flat] for column in range(5)]
    rows = await connection.fetch(TURN["lanes" if among is None else "lanes-among"], *columns)
    first = [((row["account"], priority_of(row["priority"]), row["client"]), (row["due"], 0)) for row in rows]
    cursors.walked(begun, first)
    if clock is not None:
        cursors.settle(begun, [lane for lane, _ in known], dict(first), clock)
    return [
        Lane(
            account=row["account"],
            priority=priority_of(row["priority"]),
            client=row["client"],
            due=row["due"],
            timed=row["timed"],
        )
        for row in rows
    ]


async def accepted(connection: Any, keys: Sequence[IdempotencyKey]) -> Sequence[str]:
    pairs = [key.client for key in keys], [key.key for key in keys]
    rows = await connection.fetch(ACCEPT["known-keys"], *pairs)
    known = {(row["client"], row["key"]): row["message"] for row in rows}
    return [known.get((key.client, key.key), "") for key in keys]


async def late(connection: Any, account: str, before: float, after: int, most: int) -> Sequence[Claimed]:
    return [claimed_of(row) for row in await connection.fetch(TURN["late"], account, before, after, most)]


async def pauses(connection: Any) -> Sequence[Pause]:
    return [Pause(**row) for row in await connection.fetch(NODES["pauses"])]


async def show(connection: Any, message: str, now: float) -> Entry | None:
    found = await entries_of(connection, await matching(connection, Query(id=message), now), now)
    return found[0] if found else None


async def latest(connection: Any, before: float, place: int) -> float | None:
    found: float | None = await connection.fetchval(LOOK["latest"], before, place)
    return found


async def matching(
    connection: Any, query: Query, now: float, *, longest: int = ALL, only: str = ""
) -> Sequence[Any]:
    """The rows of messages that fit, oldest first. `only` is one more condition, by name.

    Of an envelope of more than `longest` octets there is the front only. Raises `UsageError` when the one to
    go on behind is gone.
    """
    retired = (await meta(connection))["retired"]
    after: Any = (float("-inf"), 0)
    if query.after:
        after = await connection.fetchrow(LOOK["place"], query.after, retired)
        if after is None:
            raise query.gone()
    values: list[Any] = [after[0], after[1], retired, longest, FRONT]
    text = [LOOK["search"], *([LOOK[only]] if only else [])]
    text += conditions(asked(query), values, now)
    values.append(query.limit)
    order = f"{LOOK['search-order']} ${len(values)}"
    found: Sequence[Any] = await connection.fetch("\n   AND ".join(text) + f"\n {order}", *values)
    return found


def conditions(asked: Mapping[str, Any], values: list[Any], now: float) -> list[str]:
    """SQL for what is asked, by name; the values are added to `values`."""
    text = []
    for name, value in asked.items():
        for each in map(tag_text, value) if name == "tags" else (value,):
            condition = LOOK[f"where-{name}"]
            if "?now" in condition:
                values.append(now)
                condition = condition.replace("?now", f"${len(values)}::float8")
            values.append(each)
            text.append(condition.replace("?", f"${len(values)}"))
    return text


def asked(query: Query) -> dict[str, Any]:
    """What is looked for, by name."""
    wanted = query.asked()
    if query.statuses:
        wanted["statuses"] = "".join(LETTERS[each] for each in query.statuses)
    return wanted


async def entries_of(connection: Any, rows: Sequence[Any], now: float) -> list[Entry]:
    """The messages in these rows, with all that is known of their recipients."""
    slots = sorted({row["slot"] for row in rows})
    numbers = [row["number"] for row in rows]
    of_message: dict[int, list[Any]] = {number: [] for number in numbers}
    for row in await connection.fetch(LOOK["deliveries"], slots, numbers) if rows else ():
        of_message[row["message"]].append(row)
    tried = [each["number"] for some in of_message.values() for each in some]
    outcomes = await connection.fetch(LOOK["outcomes"], slots, tried) if tried else []
    words = words_of(outcomes)
    entries = []
    for row in rows:
        message, deliveries = message_of(row), of_message[row["number"]]
        early = message.waits_for_time(now)
        entries.append(
            Entry(
                message=message,
                rows=tuple(one for each in deliveries for one in rows_of(each, words, early=early)),
                attempts=attempts_of(deliveries, outcomes),
            )
        )
    return entries


def words_of(outcomes: Iterable[Any]) -> Words:
    """What was said of each recipient last."""
    return {
        (row["delivery"], place): (reply, cause, remedy)
        for row in outcomes
        for place, reply, cause, remedy in said_of(row["said"])
    }


def rows_of(delivery: Any, words: Words, *, early: bool) -> Iterable[Row]:
    recipients = recipients_of(delivery["recipients"])
    for place, letter in enumerate(delivery["states"]):
        waits = letter in OPEN
        reply, cause, remedy = words.get((delivery["number"], place), ("", "", ""))
        leased = waits and delivery["state"] == LEASED
        yield Row(
            address=recipients[place].address,
            status=Status.LEASED if leased else shown_status(letter, early=early),
            account=delivery["account"],
            priority=priority_of(delivery["priority"]),
            due=delivery["due"] if waits else None,
            attempts=delivery["attempt"],
            reply=reply,
            cause=cause,
            remedy=remedy,
            unknown=delivery["doubts"][place] == "1",
            delivery=delivery["number"],
        )


def attempts_of(deliveries: Sequence[Any], outcomes: Iterable[Any]) -> tuple[Attempt, ...]:
    """All of them, the oldest first; that which is under way stands with its delivery."""
    mine = {row["number"] for row in deliveries}
    found = [
        (
            (row["began"], row["delivery"], row["attempt"]),
            Attempt(
                number=row["attempt"],
                delivery=row["delivery"],
                began=row["began"],
                ended=row["ended"],
                server=row["server"],
                queue_id=row["queue_id"],
                error=row["error"],
                unknown=row["doubtful"],
                transcript=row["transcript"],
            ),
        )
        for row in outcomes
        if row["counted"] and row["delivery"] in mine
    ]
    found += [
        (
            (row["began"], row["number"], row["attempt"]),
            Attempt(number=row["attempt"], delivery=row["number"], began=row["began"]),
        )
        for row in deliveries
        if row["state"] == LEASED
    ]
    return tuple(attempt for _, attempt in sorted(found, key=lambda each: each[0]))


async def content(connection: Any, message: Message) -> Spooled:
    """All of it, its hash proven. Raises `StoreError`."""
    row = await connection.fetchrow(ACCEPT["number-of"], message.id)
    if row is None:
        raise StoreError(f"There is no message {message.id} any more.")
    spooled, chunk = Spooled(), 0
    while rows := await connection.fetch(ACCEPT["chunks"], row["slot"], row["number"], chunk, CHUNKS):
        for number, data in rows:
            spooled.append(data)
            chunk = number + 1
        if len(rows) < CHUNKS:
            break
    if spooled.sha256 != message.sha256:
        raise StoreError(
            f"The content of {message.id} is not what was accepted: its hash differs.",
            hint="Look at the database's disks; cancel the message, or restore a backup.",
        )
    return spooled
