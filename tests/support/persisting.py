"""Every `Persistence` there is: one contract is asked of each, so a new one is one more line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.secret import Secret
from postbearer.state import MemoryState, Persistence, StateFolder
from postbearer.store.postgres.state import PostgresState
from postbearer.store.postgres.url import PostgresUrl

Opening = Callable[[], Persistence]  # each call is another process, as far as there can be one

KEY = "a" * 43 + "="  # 32 octets in base64


class GivenKey:
    """The key of a vault."""

    reference = "env:VAULT_KEY"

    async def read(self) -> Secret:
        return Secret(KEY)


def _files(request: pytest.FixtureRequest, folder: Path) -> Opening:
    return lambda: StateFolder(folder / "state")


def _memory(request: pytest.FixtureRequest, folder: Path) -> Opening:
    state = MemoryState()
    return lambda: state


def _database(request: pytest.FixtureRequest, folder: Path) -> Opening:
    url = PostgresUrl.parse(request.getfixturevalue("schema"))

    def opening() -> Persistence:
        state = PostgresState(url, GivenKey(), own_clock=True)
        request.addfinalizer(state.close)
        return state

    return opening


PERSISTENCES: dict[str, Callable[[pytest.FixtureRequest, Path], Opening]] = {
    "files": _files,
    "memory": _memory,
    "database": _database,
}
EACH = [pytest.param(kind, marks=pytest.mark.servers if kind == "database" else ()) for kind in PERSISTENCES]
