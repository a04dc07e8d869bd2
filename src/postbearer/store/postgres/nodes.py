"""Nodes: their runs, their heartbeats, and whose leases are over; each step within a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from postbearer._version import __version__
from postbearer.errors import StoreError
from postbearer.store.lease import INTERRUPTED, LEASE, Node
from postbearer.store.operating import NodeRecord
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.rows import clean
from postbearer.store.postgres.settling import end_leased
from postbearer.store.postgres.transaction import Transaction
from postbearer.store.queries import migrations, queries

NODES = queries("nodes", "postgres")
CONNECTIONS = queries("connections", "postgres")

ANSWER = 2.5  # seconds in which a node of the same name says that it lives
UNTOLD = "not begun: the answer to a commit was lost"


def stirred(schema: str) -> str:
    """The query for the number of the last change that others should look at."""
    return NODES["stirred"].replace("{schema}", schema)


def channel(schema: str) -> str:
    """By which nodes wake each other."""
    return f"{schema}.change"


async def refuse_namesake(pool: ConnectionPool, connection: Any, node: Node) -> None:
    """Refuse to be a second node of one name: of two, each would take back what the other is sending.

    Another run of that name may have died. It is asked, by its row, whether it lives: then it renews that.
    Raises `StoreError`.
    """
    if not node.name:
        return
    until = asyncio.get_running_loop().time() + ANSWER
    found = await _namesake(pool, connection, node, "ask-node")
    while found is not None and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(ANSWER / 10)
        found = await _namesake(pool, connection, node, "")
        if found is not None and not found["asked"]:
            where = f", listening on {found['address']}" if found["address"] else ""
            raise StoreError(
                f"A relay with the name {node.name} works on this queue already ({pool.place}){where}.",
                hint="Set node in [relay] to a name that no other relay has.",
                configuration=True,
            )


async def _namesake(pool: ConnectionPool, connection: Any, node: Node, then: str) -> Any:
    """Another run of its name that may live; `then` is done to it."""
    await pool.begin(connection, hot=True, writes=bool(then))
    found = await connection.fetchrow(NODES["namesake"], node.name, node.run)
    if found is not None and then:
        await connection.execute(NODES[then], found["run"])
        await connection.execute(NODES["stir"])
    await pool.commit(connection)
    if found is not None and then:
        await connection.execute("SELECT pg_catalog.pg_notify($1, '')", channel(pool.url.schema))
    return found


async def begin(transaction: Transaction, node: Node) -> None:
    """A new run of `node`: it takes back what an earlier one of that name leased, and what is over."""
    await take_over(transaction, node, name=node.name, always=True)
    if node.name:
        await transaction.connection.execute(CONNECTIONS["drop-node"], node.name)
        await _enter(transaction, node)


async def renew(transaction: Transaction, node: Node) -> None:
    """Its leases hold from now on. If others have taken them, it begins anew."""
    ends = transaction.time + LEASE
    if not await transaction.connection.fetch(NODES["renew-node"], transaction.run, ends, *_shown(node)):
        await _enter(transaction, node)


async def heartbeat(transaction: Transaction, node: Node) -> list[str] | None:
    """The same, and it takes over what is over; ids of the messages, None if nothing was."""
    if node.name:
        await renew(transaction, node)
    return await take_over(transaction, node)


async def stop(transaction: Transaction, node: Node, *, holds: bool) -> None:
    """The run ends as it should. What it still `holds` is anybody's once its lease is over."""
    if node.name:
        await transaction.connection.execute(NODES["stop-node" if holds else "drop-node"], transaction.run)


async def _enter(transaction: Transaction, node: Node) -> None:
    """Begin a run, which the node goes by once that is committed: until then others may be given it, too."""
    transaction.run = await transaction.connection.fetchval(NODES["next-run"])
    ends = transaction.time + LEASE
    known = len(migrations("postgres"))
    row = (transaction.run, node.name, ends, __version__, transaction.time, known, *_shown(node))
    await transaction.connection.execute(NODES["add-node"], *row)


def _shown(node: Node) -> tuple[str, str, int]:
    details = node.details
    return clean(details.address), clean(details.configuration), details.busy()


async def take_over(
    transaction: Transaction, node: Node, *, name: str = "", always: bool = False
) -> list[str] | None:
    """Take what runs had leased that are over, and earlier ones of `name`; ids of the messages.

    None: no run is over, and it is not to be looked `always`.
    Any of them may have arrived: deferred, with a mark that says so. Somebody has to be told, which is noted
    until it is done.
    """
    connection = transaction.connection
    ended = await connection.fetch(NODES["drop-nodes"], transaction.time, name, LEASE)
    if not ended and not always:
        return None
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
            address=row["address"],
            configuration=row["configuration"],
            busy=node.details.busy() if row["run"] == node.run else row["busy"],
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
