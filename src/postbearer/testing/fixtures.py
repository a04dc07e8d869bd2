"""pytest fixtures: there wherever postbearer is installed; nothing is imported until one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from postbearer.account import Account
    from postbearer.testing.clock import ManualClock
    from postbearer.testing.recording import RecordingMailer
    from postbearer.testing.sandbox import Sandbox


@pytest.fixture
def postbearer_clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    from postbearer.testing.clock import ManualClock

    return ManualClock()


@pytest.fixture
def postbearer_mailer() -> RecordingMailer:
    """A mailer that sends nothing and remembers everything."""
    from postbearer.testing.recording import RecordingMailer

    return RecordingMailer()


MARKER = "postbearer_provider"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", f"{MARKER}(name): whose sandbox the test gets: generic, microsoft, google"
    )


@pytest.fixture(scope="session")
def postbearer_sandbox_servers() -> Iterator[Callable[[str], Sandbox]]:
    """Gives the mail provider of a name, one for the whole run."""
    from postbearer.testing.sandbox import BackgroundSandbox

    running: dict[str, Sandbox] = {}
    with ExitStack() as stack:

        def server(provider: str) -> Sandbox:
            if provider not in running:
                running[provider] = stack.enter_context(BackgroundSandbox(provider))
            return running[provider]

        yield server


@pytest.fixture(scope="session")
def postbearer_sandbox_server(postbearer_sandbox_servers: Callable[[str], Sandbox]) -> Sandbox:
    """The generic provider for the whole run; `postbearer_sandbox` is the same, cleaned for each test."""
    return postbearer_sandbox_servers("generic")


@pytest.fixture
def postbearer_sandbox(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    postbearer_sandbox_servers: Callable[[str], Sandbox],
) -> Sandbox:
    """A mail provider on loopback, with an empty inbox and no faults; POSTBEARER_CONFIG names its account.

    ``@pytest.mark.postbearer_provider("microsoft")`` says which provider.
    """
    mark = request.node.get_closest_marker(MARKER)
    sandbox = postbearer_sandbox_servers(mark.args[0] if mark is not None else "generic")
    sandbox.reset()
    monkeypatch.setenv("POSTBEARER_CONFIG", sandbox.environment()["POSTBEARER_CONFIG"])
    return sandbox


@pytest.fixture
def postbearer_account(postbearer_sandbox: Sandbox) -> Account:
    """An account that sends through `postbearer_sandbox`."""
    return postbearer_sandbox.account()
