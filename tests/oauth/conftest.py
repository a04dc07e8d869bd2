"""A token endpoint, a manual clock, each kind of store, and sources made of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from postbearer.oauth import CachedSource, ClientCredentials, Endpoint, GrantStore, MemoryStore
from postbearer.secret import Secret
from postbearer.state import KeyFile, StateFolder, TokenFile
from postbearer.testing import ManualClock
from support.tokenserver import TokenServer, serving

Make = Callable[..., CachedSource]


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with serving() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "file"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[GrantStore]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        folder = StateFolder(tmp_path / "state")
        yield TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box, clock=clock)


@pytest.fixture
def make(server: TokenServer, clock: ManualClock, store: GrantStore) -> Make:
    """A source for `server`, on the manual clock."""

    def build(grant: object = None, **changes: object) -> CachedSource:
        grant = grant or ClientCredentials("relay", Secret("client-secret"), scopes=["smtp.send"])
        options = {"account": "alerts", "clock": clock, "store": store, **changes}
        return CachedSource(grant, Endpoint(server.url), **options)  # type: ignore[arg-type]

    return build
