"""One message on a good day takes so many calls of our own functions, and no change adds to them unsaid."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CALLS = 650  # what `./dev bench calls` says; whoever changes it says in the commit why it is worth it
MORE = 1.05  # of them may come without a word

ROOT = Path(__file__).resolve().parents[2]


def test_a_message_takes_no_more_calls_than_it_did() -> None:
    command = [sys.executable, str(ROOT / "bench" / "calls.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    [counted] = re.findall(r"^(\d+) calls$", done.stdout, re.MULTILINE)
    assert int(counted) <= CALLS * MORE, f"{counted} calls, {CALLS} before; see ./dev bench calls -v"
