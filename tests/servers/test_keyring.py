"""``keyring:`` with GNOME's keyring, in a session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers

SESSION = """
printf '\\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
printf %s "$VALUE" | "$PYTHON" -m keyring set mail.example.org alerts@example.org
"$PYTHON" -m postbearer secret test keyring:mail.example.org/alerts@example.org
"$PYTHON" -m postbearer secret test keyring:mail.example.org/nobody@example.org
echo "ended with $?"
"""


def test_a_password_in_the_keyring_of_a_desktop(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    here = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime), "PYTHON": sys.executable}
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", SESSION],
        env={**kept, **here, "VALUE": "canary-value"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "keyring:mail.example.org/alerts@example.org can be read.\n" in done.stdout, done.stderr
    assert done.stdout.endswith("ended with 78\n")
    assert "has no password for nobody@example.org at mail.example.org" in done.stderr
    assert "canary" not in done.stdout + done.stderr
