"""Every spool there is, for what all of them promise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from postbearer.store import MemorySpool, Spool, SqliteSpool
from postbearer.store.postgres import nodes
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.spool import DurableSpool
from postbearer.testing import ManualClock
from support.spooling import START, postgresql, sqlite


@pytest.fixture(autouse=True)
def died(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that a test begins anew has died, even where its tasks go on: it is not asked."""
    monkeypatch.setattr(nodes, "ANSWER", 0.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
async def spool(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Spool]:
    made: Spool
    match request.param:
        case "memory":
            made = MemorySpool(clock)
        case "sqlite":
            made = sqlite(tmp_path, clock)
        case _:
            made = postgresql(request.getfixturevalue("schema"), clock)
    found = await made.open()
    assert found.clean
    yield made
    await made.close()


@pytest.fixture
async def queue(schema: str, clock: ManualClock) -> AsyncIterator[PostgresSpool]:
    """A spool in a database, by itself."""
    spool = postgresql(schema, clock)
    await spool.open()
    yield spool
    await spool.close()


Make = Callable[[bool | None], DurableSpool]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Make:
    """Makes a spool in the same place each time; `events`: whether it keeps changes."""
    if request.param == "postgresql":
        url = request.getfixturevalue("schema")
        return lambda events: postgresql(url, clock, events=events)
    path = tmp_path / "spool.db"
    return lambda events: SqliteSpool(path, clock=clock, reserve=0, allow_ephemeral=True, events=events)
