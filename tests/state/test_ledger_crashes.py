"""A database that crashes loses the last charges, which are not synced: the nodes put them back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from postbearer.clock import SystemClock
from postbearer.state import ChargeHistory, Ledger
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl
from servers.postgresql import Postgresql, own_server
from support.persisting import GivenKey

pytestmark = pytest.mark.servers
MAILBOX = "alerts@example.org"


@pytest.fixture(scope="module")
def lazy() -> Iterator[Postgresql]:
    """It writes down late what nobody waits for."""
    with own_server("wal_writer_delay = 10s\n") as server:
        yield server


class Nodes:
    """Two of them, each with what it knows of the mailbox."""

    def __init__(self, url: str) -> None:
        self._states = [PostgresState(PostgresUrl.parse(url), GivenKey()) for _ in range(2)]
        self.first, self.second = (
            each.ledger(MAILBOX, "alerts", clock=SystemClock()) for each in self._states
        )

    def close(self) -> None:
        for each in self._states:
            each.close()


@pytest.fixture
def nodes(lazy: Postgresql) -> Iterator[Nodes]:
    with lazy.schema() as url:
        made = Nodes(url)
        yield made
        made.close()


async def charged(ledger: Ledger, *recipients: int) -> None:
    for each in recipients:
        await ledger.charge(each, lambda past, now: now)


async def counted(ledger: Ledger) -> list[int]:
    """The recipients of each charge."""

    def read(past: ChargeHistory, now: float) -> list[int]:
        return [past.total(index + 1) - past.total(index) for index in range(len(past))]

    return await ledger.look(read)


async def crash(database: Postgresql) -> None:
    await asyncio.to_thread(database.stop, "immediate")
    await asyncio.to_thread(database.start)


async def test_what_a_crash_lost_counts_all_the_same_once(lazy: Postgresql, nodes: Nodes) -> None:
    await charged(nodes.first, 1, 2)
    await charged(nodes.second, 3)
    assert await counted(nodes.first) == [1, 2, 3]
    await charged(nodes.second, 4)
    lazy.sql("CHECKPOINT")  # so much is kept
    await charged(nodes.first, 5, 6)
    await charged(nodes.second, 7)
    await crash(lazy)
    await charged(nodes.second, 8)
    assert await counted(nodes.second) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await counted(nodes.first) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await counted(nodes.second) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_each_puts_back_what_only_it_knew(lazy: Postgresql, nodes: Nodes) -> None:
    await charged(nodes.first, 1)
    await counted(nodes.second)
    lazy.sql("CHECKPOINT")
    await charged(nodes.second, 2, 3)  # of which the first one knows nothing
    await crash(lazy)
    await charged(nodes.first, 4, 5, 6)  # under the numbers that these had
    assert sorted(await counted(nodes.second)) == [1, 2, 3, 4, 5, 6]
    assert sorted(await counted(nodes.first)) == [1, 2, 3, 4, 5, 6]


async def test_a_charge_from_before_is_not_given_back_as_another_one(lazy: Postgresql, nodes: Nodes) -> None:
    await charged(nodes.first, 1)
    lazy.sql("CHECKPOINT")
    mine = await nodes.first.charge(2, lambda past, now: now)
    assert not isinstance(mine, float)
    await crash(lazy)
    await charged(nodes.second, 3)  # it has the number of that one
    await nodes.first.give_back(mine)
    assert sorted(await counted(nodes.second)) == [1, 2, 3], "too much rather than too little"
