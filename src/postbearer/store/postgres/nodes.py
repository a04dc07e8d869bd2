"""Nodes: their runs, their heartbeats, and whose leases are over; each step within a transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from postbearer._version import __version__
from postbearer.store.lease import INTERRUPTED, LEASE, Node
from postbearer.store.operating import NodeRecord
from postbearer.store.postgres.settling import end_leased
from postbearer.store.postgres.transaction import Transaction
from postbearer.store.queries import queries

NODES = queries("nodes", "postgres")

UNTOLD = "not begun: the answer to a commit was lost"


async def begin(transaction: Transaction, node: Node) -> None:
    """A new run of `node`: it takes back what an earlier one of that name leased, and what is over."""
    await take_over(transaction, node, name=node.name, always=True)
    if node.name:
        await _enter(transaction, node)


async def renew(transaction: Transaction, node: Node) -> None:
    """Its leases hold from now on. If others have taken them, it begins anew."""
    ends = transaction.time + LEASE
    if not await transaction.connection.fetch(NODES["renew-node"], node.run, ends):
        await _enter(transaction, node)


async def heartbeat(transaction: Transaction, node: Node) -> list[str]:
    """The same, and it takes over what is over; ids of the messages."""
    if node.name:
        await renew(transaction, node)
    return await take_over(transaction, node)


async def stop(transaction: Transaction, node: Node, *, holds: bool) -> None:
    """The run ends as it should. What it still `holds` is anybody's once its lease is over."""
    if node.name:
        await transaction.connection.execute(NODES["stop-node" if holds else "drop-node"], node.run)


async def _enter(transaction: Transaction, node: Node) -> None:
    node.run = await transaction.connection.fetchval(NODES["next-run"])
    ends = transaction.time + LEASE
    row = (node.run, node.name, ends, __version__, transaction.time)
    await transaction.connection.execute(NODES["add-node"], *row)


async def take_over(
    transaction: Transaction, node: Node, *, name: str = "", always: bool = False
) -> list[str]:
    """Take what runs had leased that are over, and earlier ones of `name`; ids of the messages.

    Any of them may have arrived: deferred, with a mark that says so. Somebody has to be told, which is noted
    until it is done.
    """
    connection = transaction.connection
    ended = await connection.fetch(NODES["drop-nodes"], transaction.time, name)
    if not ended and not always:
        return []
    rows = await connection.fetch(NODES["ownerless"])
    await end_leased(transaction, rows, doubtful=True, error=INTERRUPTED)
    found = [row["id"] for row in rows]
    crashed = [""] if any(each["name"] == name and not each["stopped"] for each in ended) else []
    if found or crashed:
        await connection.execute(NODES["add-untold"], node.name, [*crashed, *found])
    if found:
        transaction.stirs = True
    return found


async def all_(connection: Any, node: Node) -> list[NodeRecord]:
    """Every node that there is; `node` is the one who asks."""
    return [
        NodeRecord(
            name=row["name"],
            own=row["run"] == node.run,
            since=row["since"],
            heartbeat=row["expires"] - LEASE,
            expires=row["expires"],
            version=row["version"],
        )
        for row in await connection.fetch(queries("operating", "postgres")["nodes"])
    ]


async def give_back(transaction: Transaction, before: int, alive: Collection[int]) -> int:
    """End the leases of this run, `before` one of them, that nobody was ever told of; how many.

    Their attempts never began.
    """
    rows = await transaction.connection.fetch(NODES["unheard"], before, list(alive))
    await end_leased(transaction, rows, doubtful=False, error=UNTOLD)
    return len(rows)
