"""Counts of what is in the queue: kept along by triggers, added up in the background, read at the same cost.

Each commit adds rows that say what it changes, so that no commit waits for another one. They are added up a
part at a time, and the part is emptied, which leaves nothing behind for a vacuum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from postbearer.store.postgres.rows import status_of
from postbearer.store.postgres.transaction import Transaction
from postbearer.store.queries import queries
from postbearer.store.records import Statistics, Status, TrafficCount, Waiting
from postbearer.store.rows import LETTERS

AT_ONCE: Final = 1000  # deliveries that one transaction retires
PART_FULL: Final = 128 * 1024  # octets of changes after which they are added up

TALLY = queries("tally", "postgres")
_NODES = queries("nodes", "postgres")
_STATES = list(LETTERS.values())
_ARRIVALS = [f"to {letter}" for letter in _STATES]  # kinds of counts for charts


class Retired(NamedTuple):
    """So many `messages` are gone for everybody; there may be `more` that could be."""

    messages: int
    more: bool


async def statistics(connection: Any, now: float) -> Statistics:
    result = Statistics(oldest=await connection.fetchval(TALLY["oldest"], now))
    for row in await connection.fetch(TALLY["statistics"], now, _STATES):
        status, of_account = status_of(row["letter"]), result.by_account.setdefault(row["account"], {})
        for counts in (result.counts, of_account):
            counts[status] = counts.get(status, 0) + row["count"]
    return result


async def waiting(connection: Any, now: float) -> Sequence[Waiting]:
    return [Waiting(**row) for row in await connection.fetch(TALLY["waiting"], now)]


async def traffic(connection: Any, since: float, width: int) -> Sequence[TrafficCount]:
    found: dict[float, dict[Status, int]] = {}
    for row in await connection.fetch(TALLY["traffic"], float(math.ceil(since)), float(width), _ARRIVALS):
        found.setdefault(row["begins"], {})[status_of(row["state"])] = row["count"]
    return [TrafficCount(begins=begins, counts=counts) for begins, counts in found.items()]


async def forget_traffic(transaction: Transaction, before: float) -> None:
    await transaction.connection.execute(TALLY["forget-traffic"], int(before), _ARRIVALS)


async def retire(transaction: Transaction, before: float) -> Retired:
    """From now on some of what came to its end before that is gone for everybody."""
    connection = transaction.connection
    reached = await connection.fetchval(TALLY["lock-retired"])
    if reached is None:
        return Retired(0, more=False)
    too_many = await connection.fetchval(TALLY["some-finished"], before, AT_ONCE)
    horizon = max(reached, before if too_many is None else math.nextafter(too_many, math.inf))
    row = await connection.fetchrow(TALLY["retire"], horizon)
    if row["due"]:
        await connection.execute(_NODES["set"], "retired", horizon)
    return Retired(row["gone"], more=too_many is not None)


async def in_slot(connection: Any, slot: int) -> int:
    """How many deliveries a slot holds that are not gone for everybody."""
    return int(await connection.fetchval(TALLY["in-slot"], float(slot)))


async def add_up(connection: Any) -> None:
    """Add up the part that is not in use, and use that one if the other is full; in one transaction."""
    used = await connection.fetchval(TALLY["part-in-use"])
    idle = str(1 - used)
    if await _size(connection, idle):
        await connection.execute(TALLY["lock-part"].replace("PART", idle))
        await connection.execute(TALLY["add-up"].replace("PART", idle))
        await connection.execute(TALLY["empty-part"].replace("PART", idle))
    if await _size(connection, str(used)) >= PART_FULL:
        await connection.execute(_NODES["set"], "tally", float(idle))


async def _size(connection: Any, part: str) -> int:
    return int(await connection.fetchval(TALLY["part-size"].replace("PART", part)))
