"""Ctrl-C and SIGTERM in the middle of a renewal: the new refresh token is kept, whatever the command."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cli.conftest import Home
from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.secret import Secret
from postbearer.state import StateFolder
from postbearer.testing import Sandbox
from support.tokenserver import Slow, serving

LETTER = b"From: alerts@example.org\nTo: anna@example.net\nSubject: x\n\nx\n"
COMMANDS = {
    "token": ["token", "alerts"],
    "check": ["check", "alerts"],
    "send": ["send", "--account", "alerts", "--to", "anna@example.net", "--subject", "x", "--text", "x"],
    "sendmail": ["sendmail", "-t"],
}


@pytest.fixture
def slow() -> Iterator[Slow]:
    with serving() as server:
        yield Slow(server)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_command_that_is_ended_during_a_renewal_keeps_the_new_refresh_token(
    home: Home, slow: Slow, postbearer_sandbox: Sandbox, command: str, number: signal.Signals
) -> None:
    home.write(slow.account(postbearer_sandbox.configuration("alerts")))
    environ = {**home.environ, "SECRET": "s", "REFRESH": "refresh-0", "POSTBEARER_CONFIG": str(home.config)}
    with subprocess.Popen(
        [sys.executable, "-m", "postbearer", *COMMANDS[command]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        cwd=home.folder,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(LETTER)
        process.stdin.close()
        assert slow.asked.wait(30)
        process.send_signal(number)
        slow.answer.set()
        assert process.wait(timeout=30) in ({130} if number is signal.SIGINT else {-number})
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    state = StateFolder(home.folder / "state")
    file = Assembly.load(home.config).account("alerts").token_store(state, clock=SystemClock())
    assert asyncio.run(file.load()).refresh == Secret("refresh-1")
