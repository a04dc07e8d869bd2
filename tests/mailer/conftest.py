"""A mailer at the sandbox of the run, and a state folder that nobody else uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.state import StateFolder
from postbearer.testing import Sandbox


@pytest.fixture
def sandbox(postbearer_sandbox: Sandbox) -> Sandbox:
    return postbearer_sandbox


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")
