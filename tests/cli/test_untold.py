"""Where nobody can be told: a full disk, no reader, closed descriptors. The mail leaves, once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cli.conftest import Home
from postbearer.testing import Sandbox

UNTOLD = [
    ">/dev/full",
    "2>/dev/full",
    ">/dev/full 2>/dev/full",
    ">&- 2>&-",
    "2>&1 | true",
    "| true",
]
SEND = "send --account alerts --to ops@example.org --subject x --text x"


def shell(home: Home, line: str) -> int:
    """The exit code of the first command of `line`."""
    command = f"{{ {line}; }}" if "|" not in line else line
    ran = subprocess.run(
        ["/bin/bash", "-c", f"{command}\nexit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        env=home.environ,
        cwd=home.folder,
        check=False,
        timeout=60,
    )
    assert b"Traceback" not in ran.stderr
    return ran.returncode


@pytest.mark.parametrize("untold", UNTOLD)
@pytest.mark.parametrize("words", [SEND, f"{SEND} -v", f"--json {SEND}", "sendmail -v ops@example.org"])
def test_what_cannot_be_told_is_sent_once_and_ends_with_0(
    home: Home, postbearer_sandbox: Sandbox, words: str, untold: str
) -> None:
    home.write(postbearer_sandbox.configuration("alerts"))
    given = home.folder / "given"
    given.write_text("Subject: x\n\nx\n")
    assert shell(home, f"{sys.executable} -m postbearer {words} <{given} {untold}") == 0
    assert len(postbearer_sandbox.inbox.messages) == 1


@pytest.mark.parametrize("untold", UNTOLD)
def test_what_cannot_be_told_of_a_refusal_keeps_its_code(
    home: Home, postbearer_sandbox: Sandbox, untold: str
) -> None:
    home.write(postbearer_sandbox.configuration("alerts"))
    line = f"{sys.executable} -m postbearer send --account nobody --to ops@example.org --text x {untold}"
    assert shell(home, line) == 78
