"""Claiming: what waits is leased, within a transaction; what is small comes with its content."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from postbearer.store.postgres.cursors import LaneCursors
from postbearer.store.postgres.rows import claimed_of
from postbearer.store.postgres.settling import Held
from postbearer.store.postgres.transaction import TURN, Transaction
from postbearer.store.records import Claimed, Lane

NEAR = 16 * 1024  # octets of content that come with a claim


class ClaimedDelivery(NamedTuple):
    """A delivery that was claimed. `content` is what was accepted; empty: it has to be asked for."""

    claimed: Claimed
    held: Held
    content: bytes


async def claim(
    transaction: Transaction, shares: Mapping[Lane, int], now: float, cursors: LaneCursors
) -> list[ClaimedDelivery]:
    """At most so many of each lane."""
    keys = [(lane.account, int(lane.priority), lane.client, count) for lane, count in shares.items()]
    columns = [[key[column] for key in keys] for column in range(4)]
    before = transaction.lease()
    for _ in range(sum(shares.values())):
        transaction.lease()
    begun = cursors.begin()
    froms = [cursors.at(lane.key) for lane in shares]
    behind = [[place[column] for place in froms] for column in range(2)]
    rows = await transaction.connection.fetch(TURN["claim"], *columns, now, before, *behind, NEAR)
    for row in rows[:1]:
        lease = (row["slot"], row["delivery"], row["lease"])
        transaction.evidence = transaction.evidence or ("has-lease", lease)
    taken = [
        ClaimedDelivery(claimed_of(row), Held(row["states"], row["doubts"], row["began"]), _proven(row))
        for row in rows
    ]
    lanes = [(each.claimed.account, each.claimed.priority, each.claimed.client) for each in taken]
    cursors.walked(begun, zip(lanes, [(row["due"], row["delivery"]) for row in rows], strict=True))
    return taken


def _proven(row: Mapping[str, object]) -> bytes:
    """Content whose hash differs is asked for again, and then told."""
    content = row["content"]
    if not isinstance(content, bytes) or sha256(content).hexdigest() != row["sha256"]:
        return b""
    return content
