"""What every test run shares: the long loops run only when asked for."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from servers.postgresql import Postgresql

settings.register_profile("postbearer", deadline=None)  # how long an example takes is no test
settings.load_profile("postbearer")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background so, and all that is started from there inherits it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the full loops too (tests marked long)")
    parser.addoption("--pictures", action="store_true", help="make the documentation's pictures anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    late = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=late)
    items[:] = [item for item in items if item not in late]


@pytest.fixture(scope="session")
def database() -> Iterator[Postgresql]:
    """A PostgreSQL of this run's own; each test takes a schema of its own in it."""
    from servers.postgresql import Postgresql

    folder = Path(
        tempfile.mkdtemp(prefix="postbearer-db-")
    )  # short enough for a socket, and open to its user
    folder.chmod(0o755)
    server = Postgresql(folder / "pg")
    yield server
    server.remove()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def schema(database: Postgresql) -> Iterator[str]:
    """The URL of an empty place in a database."""
    with database.schema() as url:
        yield url


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether this run does the full loops: for tests that run shortened otherwise."""
    return bool(request.config.getoption("--long"))
