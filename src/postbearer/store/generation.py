"""Whether the file is the one that was here last, or an older copy that somebody put back."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import apsw

from postbearer.store import database, steps

EVERY = 1.0  # seconds between two generations while something is written
_LENGTH = 34  # octets of the note: it is overwritten in its place, so half of it is never there


class Generation:
    """A number in the file that grows while it is used, and a note of it beside the file.

    The note is written after the commit, so it is never ahead of its file: if it is, the file was replaced by
    a copy from before. So it was when the note is missing, or is of another spool.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.with_suffix(".generation")
        self._identity = 0
        self._number = 0
        self._due = 0.0

    def replaced(self, connection: apsw.Connection) -> bool:
        """Whether the note speaks of a later state than the file holds, or of none of its states."""
        self._identity = database.get(connection, "identity")
        self._number = database.get(connection, "generation")
        noted = self._noted()
        if noted is None or noted[0] != self._identity:
            return self._number > 0
        before, self._number = self._number, max(self._number, noted[1])
        return noted[1] > before

    def advance(self, connection: apsw.Connection) -> None:
        """Begin the next one, in the transaction that is open."""
        self._number += 1
        self._due = time.monotonic() + EVERY
        steps.put(connection, "generation", self._number)

    def due(self) -> bool:
        return time.monotonic() >= self._due

    def note(self) -> None:
        """Write it beside the file. What is not synced and lost was older: then a copy may pass unseen."""
        with suppress(OSError):
            self._write(sync=False)

    def keep(self) -> None:
        """Write it so that it stays. Raises `OSError`. The folder has to be synced, too."""
        self._write(sync=True)

    def _write(self, *, sync: bool) -> None:
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{self._identity:016x} {self._number:016x}\n".encode())
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _noted(self) -> tuple[int, int] | None:
        try:
            identity, number = self.file.read_text()[:_LENGTH].split()
            return int(identity, 16), int(number, 16)
        except (OSError, ValueError):
            return None
