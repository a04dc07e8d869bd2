"""What every test run shares: the long loops run only when asked for, and none lasts for ever."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from servers.postgresql import Postgresql

settings.register_profile("postbearer", deadline=None)  # how long an example takes is no test
settings.register_profile("elsewhere", deadline=None, max_examples=25)  # on the other Pythons of ./dev
settings.load_profile("postbearer")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background so, and all that is started from there inherits it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Who is told to end takes the servers down that it started, as with Ctrl-C.
signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))

LONG = 7200.0  # seconds: what one of the full loops may take in place of `timeout` in pyproject.toml
STUCK = 120.0  # seconds: for what went on though it was told to end, and for threads that never do
ERRORS = pytest.StashKey[int]()  # where pytest captures nothing


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the full loops too (tests marked long)")
    parser.addoption("--pictures", action="store_true", help="make the documentation's pictures anew")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ERRORS] = os.dup(2)


def end_within(seconds: float, config: pytest.Config) -> None:
    """Where all goes on though its time is over: tell where, and end the run."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=config.stash[ERRORS])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    mark = item.get_closest_marker("timeout")
    end_within(float(mark.args[0] if mark else item.config.getini("timeout")) + STUCK, item.config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    end_within(STUCK, item.config)  # anew: pytest calls it off when a test fails


def pytest_unconfigure(config: pytest.Config) -> None:
    end_within(STUCK, config)  # Python waits for threads as it ends


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        for item in items:
            item.add_marker(pytest.mark.timeout(LONG))
        return
    late = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=late)
    items[:] = [item for item in items if item not in late]


def roomy_memory() -> str | None:
    """The folder of a file system in memory with room for a database, if there is one."""
    shared = "/dev/shm"
    roomy = os.path.isdir(shared) and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 4 << 30
    return shared if roomy else None


@pytest.fixture(scope="session")
def database() -> Iterator[Postgresql]:
    """A PostgreSQL of this run's own; each test takes a schema of its own in it."""
    from servers.postgresql import own_server

    with own_server(within=roomy_memory()) as server:  # there it syncs as on a disk, in no time
        yield server


@pytest.fixture(scope="module")
def fragile() -> Iterator[Postgresql]:
    """A PostgreSQL that nobody else uses, so that it may be killed."""
    from servers.postgresql import own_server

    with own_server() as server:
        yield server


@pytest.fixture(autouse=True)
def no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody outside is asked about the domains of tests; `support.nameserver` is, where one wants it."""
    from postbearer.diagnosis import name_service

    def none() -> None:
        raise OSError("no test asks the name servers of this machine")

    monkeypatch.setattr(name_service, "system_resolver", none)


@pytest.fixture
def schema(database: Postgresql) -> Iterator[str]:
    """The URL of an empty place in a database."""
    with database.schema() as url:
        yield url


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether this run does the full loops: for tests that run shortened otherwise."""
    return bool(request.config.getoption("--long"))
