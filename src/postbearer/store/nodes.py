"""Which nodes there are, and whose leases are over, each made by the writer within a transaction."""

from __future__ import annotations

from collections.abc import Collection

import apsw

from postbearer._version import __version__
from postbearer.store.database import get, rows
from postbearer.store.lease import INTERRUPTED, LEASE, Node, run_of
from postbearer.store.operating import NodeRecord
from postbearer.store.queries import queries
from postbearer.store.rows import WAITING, text
from postbearer.store.writes import put

SQL = queries("queue")

UNTOLD = "not begun: writing the spool failed"


def begin(connection: apsw.Connection, node: Node, now: float) -> None:
    """A new run of `node`: it takes back what an earlier one of that name leased, and what is over."""
    take_over(connection, now, node.name)
    if node.name:
        _enter(connection, node, now)


def renew(connection: apsw.Connection, node: Node, now: float) -> None:
    """Its leases hold from `now` on. If others have taken them, it begins anew."""
    connection.execute(SQL["renew-node"], (now + LEASE, node.run))
    if not connection.changes():
        _enter(connection, node, now)


def heartbeat(connection: apsw.Connection, node: Node, now: float) -> list[str]:
    """The same, and it takes over what is over."""
    if node.name:
        renew(connection, node, now)
    return take_over(connection, now)


def _enter(connection: apsw.Connection, node: Node, now: float) -> None:
    node.run = get(connection, "run") + 1
    put(connection, "run", node.run)
    connection.execute(SQL["add-node"], (node.run, node.name, now + LEASE, __version__, now))


def take_over(connection: apsw.Connection, now: float, name: str = "") -> list[str]:
    """Take what nodes had leased whose time is over, and earlier runs of `name`; ids of the messages.

    Any of them may have arrived: deferred, with a mark that says so. Somebody has to be told, which is noted
    until it is done (`told`).
    """
    connection.execute(SQL["drop-nodes"], (now, name))
    taken = rows(connection, SQL["ownerless"])
    for delivery, _, attempt, message in taken:
        connection.execute(SQL["add-doubtful"], (text(message),))
        connection.execute(SQL["doubt"], (delivery,))
        connection.execute(SQL["close-attempt"], (now, True, "", "", INTERRUPTED, delivery, attempt))
        connection.execute(SQL["release"], (WAITING, now, 0, delivery))
    return [text(message) for *_, message in taken]


def give_back(connection: apsw.Connection, node: Node, alive: Collection[int], now: float) -> None:
    """End the leases of this run that nobody was ever told of; their attempts count, but never began."""
    for delivery, lease, attempt, _ in rows(connection, SQL["leased"]):
        if run_of(lease) == node.run and lease not in alive:
            connection.execute(SQL["close-attempt"], (now, False, "", "", UNTOLD, delivery, attempt))
            connection.execute(SQL["release"], (WAITING, now, 0, delivery))


def all_(connection: apsw.Connection, node: Node) -> list[NodeRecord]:
    """Every node that there is; `node` is the one who asks."""
    return [
        NodeRecord(
            name=text(name),
            own=run == node.run,
            since=since,
            heartbeat=expires - LEASE,
            expires=expires,
            version=text(version),
            address=node.details.address if run == node.run else "",
            configuration=node.details.configuration if run == node.run else "",
            busy=node.details.busy() if run == node.run else 0,
        )
        for run, name, expires, version, since in rows(connection, queries("operating")["nodes"])
    ]


def others(connection: apsw.Connection, node: Node) -> bool:
    """Whether any other node may hold leases."""
    return connection.execute(SQL["other-nodes"], (node.run,)).get is not None
