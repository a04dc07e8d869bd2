"""A person at a terminal: a command on a pseudo-terminal of its own, which is typed into."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 60.0  # seconds
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs ``postbearer`` with `arguments` until the ``with`` block ends. `seen` is all that it showed."""

    def __init__(
        self,
        *arguments: str,
        folder: Path,
        environ: Mapping[str, str],
        kind: str = "dumb",
        columns: int = 200,
    ) -> None:
        self.seen = ""
        self.raw = b""  # with its colours
        self._read = 0  # how much of it was waited for already
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "postbearer", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**environ, "TERM": kind, "COLUMNS": str(columns)},
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def answer(self, question: str, text: str) -> None:
        """Wait for `question`, and type `text` and the return key."""
        self.wait_for(question)
        os.write(self._master, text.encode() + b"\n")

    def wait_for(self, text: str) -> None:
        """Wait until `text` was shown, behind what was waited for before."""
        until = time.monotonic() + PATIENCE
        while text not in self.seen[self._read :]:
            goes_on = time.monotonic() < until and self._more()
            assert goes_on, f"{text!r} was not shown:\n{self.seen}"
        self._read = self.seen.index(text, self._read) + len(text)

    def code(self) -> int:
        """Its exit code, when it has ended."""
        while self._more():
            pass
        return self._process.wait(PATIENCE)

    def _more(self) -> bool:
        """Read what it shows next; False when it shows nothing any more."""
        readable, _, _ = select.select([self._master], [], [], PATIENCE)
        if not readable:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says so when the last one at the other end has closed it
            return False
        self.raw += data
        self.seen += _COLOUR.sub("", data.decode("utf-8", "replace")).replace("\r\n", "\n")
        return bool(data)
