"""The command, forked from a process that has imported it already (`support.forkserver`).

Nearly all that a short command costs is what it imports. Where something is given that Python, a library or a
module of ours reads as it starts (`READ_AT_START`), it is a process of its own from the beginning. So are the
commands in ``tests/cli/test_without_extras.py``, where each runs once, and those in the documentation.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from support import forkserver

READ_AT_START = ("PYTHON", "LANG", "LC_", "TZ", "LD_", "OPENSSL_", "POSTBEARER_CRASH_AT")
NEEDED = ("PATH", "PYTHONPATH", "LANG")

Done = subprocess.CompletedProcess[bytes]


def plain_environment() -> dict[str, str]:
    """What a program needs of this environment."""
    return {name: value for name, value in os.environ.items() if name in NEEDED}


def run(
    arguments: Sequence[str], *, stdin: bytes = b"", cwd: Path, env: Mapping[str, str], timeout: float = 60
) -> Done:
    """Run ``postbearer`` with `arguments`, to its end."""
    if read_at_start(env) == read_at_start(plain_environment()):
        return the_server().run(arguments, stdin, cwd, env, timeout)
    argv = [sys.executable, "-m", "postbearer", *arguments]
    return subprocess.run(
        argv, input=stdin, capture_output=True, cwd=cwd, env=env, timeout=timeout, check=False
    )


def read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(READ_AT_START)}


@cache
def the_server() -> ForkServer:
    """One for the whole run of the tests."""
    server = ForkServer()
    atexit.register(server.close)
    return server


class ForkServer:
    """A fork server, and who asks it. Several threads may do so at once."""

    def __init__(self) -> None:
        self._door, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, forkserver.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
            )

    def close(self) -> None:
        self._door.close()
        self._process.wait(30)

    def run(
        self, arguments: Sequence[str], stdin: bytes, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> Done:
        words = ["postbearer", *arguments]
        child_in, our_in = os.pipe()
        our_out, child_out = os.pipe()
        our_err, child_err = os.pipe()
        with ThreadPoolExecutor(3) as helpers:
            out, err = helpers.submit(read, our_out), helpers.submit(read, our_err)
            helpers.submit(write, our_in, stdin)
            with self._started(arguments, (child_in, child_out, child_err), cwd, env) as answers:
                child = number(answers)
                answers.settimeout(timeout)
                try:
                    code = number(answers)
                except TimeoutError:
                    os.kill(child, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(words, timeout) from None
            return subprocess.CompletedProcess(words, code, out.result(), err.result())

    def _started(
        self, arguments: Sequence[str], streams: Sequence[int], cwd: Path, env: Mapping[str, str]
    ) -> socket.socket:
        """Have it started; where its process id is told, then its exit status. The `streams` are closed."""
        given = {"arguments": list(arguments), "folder": str(cwd), "environ": dict(env)}
        answers, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                socket.send_fds(self._door, [b"+"], [theirs.fileno(), *streams])
        finally:
            for stream in streams:
                os.close(stream)
        answers.sendall(json.dumps(given).encode())
        answers.shutdown(socket.SHUT_WR)
        return answers


def read(stream: int) -> bytes:
    with open(stream, "rb") as file:
        return file.read()


def write(stream: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(stream, "wb") as file:
        file.write(content)


def number(source: socket.socket) -> int:
    data = source.recv(forkserver.NUMBER, socket.MSG_WAITALL)
    assert len(data) == forkserver.NUMBER, "the fork server is gone"
    return int.from_bytes(data, "big", signed=True)
