"""A folder with a short name for each test, and the table of what was killed, at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.campaign import Row
from relay.load import RESULTS
from relay.table import table

ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture
def home() -> Iterator[Path]:
    """Short, because the names of sockets have to be."""
    folder = Path(tempfile.mkdtemp(prefix="postbearer-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """Have a row printed in the table at the end of the run."""
    return request.config.stash.setdefault(ROWS, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("killed, and what became of the mail")
    terminalreporter.write(table(rows) + "\n")
    if config.getoption("--long"):
        RESULTS.write_text("".join(f"{row.as_json()}\n" for row in rows))
