"""Nodes on one database wake each other, and ask it next to nothing while nothing happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from postbearer.store import HEARTBEAT, Pause, Status
from postbearer.store.lease import LEASE
from postbearer.store.postgres import listening
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.testing import ManualClock
from servers.postgresql import Postgresql
from support.spooling import START, accept, postgresql
from support.waiting import until

pytestmark = pytest.mark.servers


@pytest.fixture
async def nodes(
    schema: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[PostgresSpool]]:
    """Two that look by themselves once an hour."""
    monkeypatch.setattr(listening, "LISTENED", 3600.0)
    made = [postgresql(schema, clock, node=name) for name in ("a", "b")]
    for each in made:
        await each.open()
    await until(lambda: all(each._listener.connection for each in made))
    yield made
    for each in made:
        await each.close()


async def heard(told: asyncio.Event) -> None:
    async with asyncio.timeout(30.0):
        await told.wait()


async def test_a_pause_and_a_message_wake_the_other_node(nodes: list[PostgresSpool]) -> None:
    paused, waits = asyncio.Event(), asyncio.Event()
    await asyncio.sleep(2 * listening.LOOK)  # what came before is looked for
    nodes[1].subscribe(lambda _: waits.set(), paused.set)
    await nodes[0].pause(Pause(account="work", since=START, reason="refused"))
    await heard(paused)
    waits.clear()
    await accept(nodes[0], "m1")
    await heard(waits)


async def test_a_command_wakes_the_nodes(nodes: list[PostgresSpool], schema: str, clock: ManualClock) -> None:
    await accept(nodes[0], "m1")
    await asyncio.sleep(2 * listening.LOOK)
    waits = asyncio.Event()
    nodes[1].subscribe(lambda _: waits.set(), lambda: None)
    command = postgresql(schema, clock, node="")
    await command.open()
    await command.change("m1", Status.HELD, START)
    await command.close()
    await heard(waits)


async def test_what_a_node_accepted_that_could_wake_nobody_any_more_is_looked_for(
    nodes: list[PostgresSpool], clock: ManualClock
) -> None:
    await asyncio.sleep(2 * listening.LOOK)
    await nodes[0]._tasks.stop()  # as if it were killed in this very moment
    await accept(nodes[0], "m1")
    waits: list[object] = []
    nodes[1].subscribe(waits.append, lambda: None)
    await nodes[1].heartbeat()
    assert waits == []
    clock.advance(LEASE)
    await nodes[1].heartbeat()
    assert waits


async def test_others_are_woken_later_where_they_cannot_be_now(
    nodes: list[PostgresSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "FAILED", 0.01)
    ask, failed = asyncpg.Connection.fetchval, list[str]()

    async def failing(connection: asyncpg.Connection, query: str, *given: Any, **how: Any) -> Any:
        if "notify" in query and not failed:
            failed.append(query)
            raise ConnectionResetError
        return await ask(connection, query, *given, **how)

    monkeypatch.setattr(asyncpg.Connection, "fetchval", failing)
    await asyncio.sleep(2 * listening.LOOK)
    waits = asyncio.Event()
    nodes[1].subscribe(lambda _: waits.set(), lambda: None)
    await accept(nodes[0], "m1")
    await heard(waits)
    assert failed


async def test_a_lost_connection_is_made_anew(
    nodes: list[PostgresSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LISTENED", 0.1)
    listener = nodes[1]._listener
    lost = listener.connection
    lost.terminate()
    listener._rings.set()
    await until(lambda: listener.connection not in (None, lost))
    waits = asyncio.Event()
    nodes[1].subscribe(lambda _: waits.set(), lambda: None)
    await accept(nodes[0], "m1")
    await heard(waits)


async def test_no_transaction_that_writes_holds_a_notification(
    nodes: list[PostgresSpool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those commit one by one, in the whole server."""
    ask, said = asyncpg.Connection.fetchval, []

    async def noted(connection: asyncpg.Connection, query: str, *given: Any, **how: Any) -> Any:
        if "notify" in query.lower():
            said.append((connection is nodes[0]._writer._connection, connection.is_in_transaction()))
        return await ask(connection, query, *given, **how)

    monkeypatch.setattr(asyncpg.Connection, "fetchval", noted)
    waits = asyncio.Event()
    nodes[1].subscribe(lambda _: waits.set(), lambda: None)
    await accept(nodes[0], "m1")
    await heard(waits)
    await until(lambda: said)
    assert set(said) == {(False, False)}


async def test_a_node_at_rest_asks_less_than_once_a_second(
    schema: str, database: Postgresql, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does in a minute in which nothing happens, counted by the server."""
    looks = round(60 / listening.LISTENED)
    monkeypatch.setattr(listening, "LISTENED", 3600.0)
    database.sql("ALTER DATABASE postgres SET log_statement = 'all'")
    try:
        other = postgresql(schema, clock, node="other")
        spool = postgresql(schema, clock, node="quiet")
        await other.open()
        await spool.open()
        await until(lambda: spool._listener.connection)
        await asyncio.sleep(2 * listening.LOOK)
        log = database._folder / "log"
        before = len(log.read_text())
        for _ in range(looks):
            await spool._look_around()
        for _ in range(round(60 / HEARTBEAT)):
            clock.advance(HEARTBEAT)
            await spool.heartbeat()
        asked = len(re.findall(r"LOG:  (?:statement|execute)", log.read_text()[before:]))
        assert looks < asked < 60
        await spool.close()
        await other.close()
    finally:
        database.sql("ALTER DATABASE postgres RESET log_statement")
