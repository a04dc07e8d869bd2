"""What relays that share a queue know of each other: where they listen, what they go by, and their names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from daemon.test_nodes import Nodes
from postbearer.alerts import AlertMonitor, AlertPreferences, AlertSources, AlertState
from postbearer.cli.status import node_problems
from postbearer.clock import SystemClock
from postbearer.control import NodeInfo, NodeList
from postbearer.errors import StoreError
from postbearer.store import MemorySpool, Pause
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from postbearer.testing import Sandbox
from support.local import short_folder
from support.persisting import GivenKey
from support.relay import Ears

pytestmark = pytest.mark.servers


@pytest.fixture
def nodes(schema: str, postbearer_sandbox: Sandbox) -> Iterator[Nodes]:
    with short_folder() as home:
        made = Nodes(home, schema, postbearer_sandbox)
        yield made
        made.close()


async def test_each_shows_all_of_them(nodes: Nodes) -> None:
    async with nodes.running("a") as first, nodes.running("b") as second:
        a, b = await second.spool.nodes()
        assert (a.address, b.address) == (", ".join(first.addresses), ", ".join(second.addresses))
        assert (a.own, b.own) == (False, True)
        assert a.configuration == b.configuration != ""
    async with nodes.running("a") as first, nodes.running("b", "messages-per-day = 7"):
        a, b = await first.spool.nodes()
        assert a.configuration != b.configuration


async def test_a_second_one_of_a_name_is_refused_while_the_first_lives(nodes: Nodes, schema: str) -> None:
    async with nodes.running("a") as first:
        [record] = await first.spool.nodes()
        second = PostgresSpool(PostgresUrl.parse(schema), clock=SystemClock(), node=record.name)
        with pytest.raises(StoreError, match=r"/a works on this queue already .*on 127") as refused:
            await second.open()
        assert "Set node" in refused.value.hint
        assert [each.own for each in await first.spool.nodes()] == [True]
        await second.close()


async def test_one_that_died_is_begun_anew_under_its_name(nodes: Nodes, schema: str) -> None:
    async with nodes.running("a") as first:
        await first.spool._tasks.stop()  # type: ignore[attr-defined] - from here on it says nothing
        [name] = [each.name for each in await first.spool.nodes()]
        again = PostgresSpool(PostgresUrl.parse(schema), clock=SystemClock(), node=name)
        await again.open()
        assert [each.own for each in await again.nodes()] == [True]
        await again.close()


async def test_an_alert_is_told_once_by_all_of_them(schema: str) -> None:
    """Each sees the pause. What the first told, the others find noted."""
    spool, states = MemorySpool(SystemClock()), []
    await spool.open()
    await spool.pause(Pause(account="work", since=0.0, reason="The sign-in is not valid any more."))
    told = []
    for _ in range(3):
        state = PostgresState(PostgresUrl.parse(schema), GivenKey())
        states.append(state)
        notebook = AlertState(state.document("notices"), Ears())
        await notebook.load()

        async def nothing() -> dict[str, list[object]]:
            return {}

        sources = AlertSources(
            spool=spool,
            accounts={"work": "work@example.org"},
            foresee=nothing,  # type: ignore[arg-type]
            cures=lambda name, reason: (),
        )
        watch = AlertMonitor(
            *(notebook, sources, AlertPreferences()),
            clock=SystemClock(),
            observer=Ears(),
            targets=lambda: ["mail"],
        )
        told.append((notebook, watch))

    async def look(notebook: AlertState, watch: AlertMonitor) -> int:
        while True:
            async with notebook.alone() as ours:
                if ours:
                    return len(await watch.look())
            await asyncio.sleep(0.01)

    found = await asyncio.gather(*(look(*each) for each in told))
    assert sorted(found) == [0, 0, 1]
    for state in states:
        state.close()


def test_status_tells_of_relays_that_differ() -> None:
    def node(name: str, configuration: str, *, alive: bool = True) -> NodeInfo:
        return NodeInfo(
            name=name,
            version="1",
            address="",
            configuration=configuration,
            busy=0,
            own=False,
            alive=alive,
            since=0.0,
            heartbeat=0.0,
            expires=0.0,
        )

    assert list(node_problems(NodeList(nodes=(node("a", "x"), node("b", "x"))))) == []
    [(_, text)] = node_problems(NodeList(nodes=(node("a", "x"), node("b", "y"))))
    assert "a, b share a queue" in text
    [(_, text)] = node_problems(NodeList(nodes=(node("a", "x"), node("b", "x", alive=False))))
    assert "the relay b gives no sign of life" in text
