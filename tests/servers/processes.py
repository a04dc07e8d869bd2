"""Starting, watching and stopping the servers' processes; none of them is the system's own instance."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NoReturn

import pytest

HOST = "localhost"
START_SECONDS = 20.0
STOP_SECONDS = 10.0


def missing(reason: str) -> NoReturn:
    """Skip the tests that need what is missing; fail them where everything has to be there (CI=true)."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str, package: str) -> str:
    """Path of a Debian package's program, which may be in sbin and so outside a user's PATH."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        missing(f"{name} is not installed: apt install {package} (see tests/servers/debian-packages.txt)")
    return found


def require_root() -> None:
    """Both mail servers drop privileges to users of their own, which only root can do."""
    if os.geteuid() != 0:
        missing("Postfix and Dovecot start as root only: run these tests as root")


class Log:
    """A growing log file, read from where the current test began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0

    def mark(self) -> None:
        """Forget what was written so far."""
        self._start = self.path.stat().st_size if self.path.exists() else 0

    def text(self) -> str:
        """What was written since the mark."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace")


class Process:
    """A server in the foreground of its own session, so that Ctrl-C reaches pytest and not the server."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Log,
        *,
        pid_file: Path | None = None,
        stdout: IO[bytes] | int | None = None,
    ) -> None:
        """A server that makes yet another session for itself is found again through its pid file."""
        self.name = name
        self.log = log
        self._pid_file = pid_file
        with log.path.open("ab") as output:
            self.popen = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=output if stdout is None else stdout,
                stderr=output,
                start_new_session=True,
            )

    def wait_for_port(self, port: int) -> None:
        """Return when connections are accepted; raise with the log if the server ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.popen.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.02)
        raise self.failed(f"does not listen on port {port}")

    def failed(self, what: str) -> RuntimeError:
        """Stop the server; the error to raise carries its log."""
        self.stop()
        return RuntimeError(f"{self.name} {what} (exit status {self.popen.returncode})\n{self.log.text()}")

    def stop(self) -> None:
        """End the server and everything it started, politely at first."""
        self._signal(signal.SIGTERM)
        try:
            self.popen.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.popen.communicate()

    def _signal(self, number: signal.Signals) -> None:
        leader = self.popen.pid
        if self._pid_file and self._pid_file.exists():
            leader = int(self._pid_file.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, number)
