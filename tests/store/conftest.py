"""Every spool there is, for what all of them promise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postbearer.store import MemorySpool, Spool
from postbearer.testing import ManualClock
from support.spooling import START, sqlite


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(params=["memory", "sqlite"])
async def spool(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Spool]:
    made: Spool = MemorySpool(clock) if request.param == "memory" else sqlite(tmp_path, clock)
    found = await made.open()
    assert found.clean
    yield made
    await made.close()
