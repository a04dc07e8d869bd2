"""pytest fixtures: there wherever postbearer is installed; nothing is imported until one is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.testing import ManualClock, RecordingMailer, Sandbox


@pytest.fixture
def postbearer_clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    from postbearer.testing import ManualClock

    return ManualClock()


@pytest.fixture
def postbearer_mailer() -> RecordingMailer:
    """A mailer that sends nothing and remembers everything."""
    from postbearer.testing import RecordingMailer

    return RecordingMailer()


@pytest.fixture(scope="session")
def postbearer_sandbox_server() -> Iterator[Sandbox]:
    """One mail provider for the whole run; `postbearer_sandbox` is the same, cleaned for each test."""
    from postbearer.testing import BackgroundSandbox

    with BackgroundSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def postbearer_sandbox(postbearer_sandbox_server: Sandbox) -> Sandbox:
    """A mail provider on loopback, with an empty inbox and no faults."""
    postbearer_sandbox_server.reset()
    return postbearer_sandbox_server


@pytest.fixture
def postbearer_account(postbearer_sandbox: Sandbox) -> Account:
    """An account that sends through `postbearer_sandbox`."""
    return postbearer_sandbox.account()
