"""Whether the file is the one that was here last, and its log still holds all that was committed.

Both are told by a note beside them: a database cannot know that it, or its log, was replaced or cut.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import apsw
from msgspec import Struct

from postbearer.store import database, writes

EVERY = 1.0  # seconds between two generations while something is written
_OLD, _WORDS = 2, 5  # words of a note; the first versions knew nothing of the log
_SALT = 16  # where it stands in the log's header; sqlite.org/fileformat2.html, "The WAL-Header"


class GenerationNote(Struct, frozen=True):
    """What is known beside the database.

    `generation` is how far the queue had come, `home` how far without its log. The log had the `salt`, a new
    one each time it begins anew, and at least so many `frames`; 0: nothing is known of it.
    """

    identity: int
    generation: int
    home: int = 0
    salt: int = 0
    frames: int = 0

    @classmethod
    def read(cls, path: Path) -> GenerationNote | None:
        """None if there is none, or none that can be read."""
        try:
            words = path.read_text().split()
            whole = len(words) in (_OLD, _WORDS) and {*map(len, words)} == {16}
            return cls(*(int(word, 16) for word in words)) if whole else None
        except (OSError, ValueError):
            return None

    def line(self) -> bytes:
        """As long as any other, and written over it in one piece: half of it is never there."""
        numbers = self.identity, self.generation, self.home, self.salt, self.frames
        return b"%016x %016x %016x %016x %016x\n" % numbers


class Generation:
    """A number in the file that grows while it is used, and a note of it and of the log beside the file.

    The note is written after each commit, so it is never ahead of its file: if it is, the file was replaced
    by a copy from before. So it was when the note is missing, or is of another spool. Who waits for the
    commit does not wait for the note. It is not synced each time: a killed process leaves it as it is, and
    after a power cut it may be behind, which nobody minds.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.with_suffix(".generation")
        self._log = path.with_name(f"{path.name}-wal")
        self._note = GenerationNote.read(self.file) or GenerationNote(0, 0)
        self._begun: int | None = None  # the next generation, in a transaction that is open
        self.due_at = 0.0  # when the next one may begin, monotonic
        self._descriptors: dict[Path, int] = {}

    def replaced(self, connection: apsw.Connection) -> bool:
        """Whether the note speaks of a later state than the file holds, or of none of its states."""
        identity, number = database.get(connection, "identity"), database.get(connection, "generation")
        noted = GenerationNote.read(self.file)
        if noted is None or noted.identity != identity:
            self._note = GenerationNote(identity, number)
            return number > 0
        self._note = GenerationNote(
            identity, max(number, noted.generation), noted.home, noted.salt, noted.frames
        )
        return noted.generation > number

    def advance(self, connection: apsw.Connection) -> None:
        """Begin the next one, in the transaction that is open."""
        self._begun = self._note.generation + 1
        writes.put(connection, "generation", self._begun)

    def rolled_back(self) -> None:
        """What was begun was not committed."""
        self._begun = None

    def note(self, frames: int, *, home: bool = False) -> None:
        """Note a commit after which the log has so many frames, all of which may be `home` in the file.

        What is not synced and lost was older: then a copy may pass unseen.
        """
        with suppress(OSError):
            self._renew(frames, home=home)
            self._write()

    def keep(self, frames: int, *, home: bool = False) -> None:
        """The same, so that it stays. Raises `OSError`. The folder has to be synced, too."""
        self._renew(frames, home=home)
        self._sync()

    def forget_log(self) -> None:
        """The log is about to be emptied or removed, all of it being home. Raises `OSError`."""
        self._close(self._log)
        self._note = GenerationNote(self._note.identity, self._note.generation)
        self._sync()

    def close(self) -> None:
        for path in (self.file, self._log):
            self._close(path)

    def _renew(self, frames: int, *, home: bool) -> None:
        before = self._note
        if self._begun is None:
            number = before.generation
        else:
            number, self._begun, self.due_at = self._begun, None, time.monotonic() + EVERY
            self._close(self.file)  # somebody may have taken it away meanwhile
        log = self._descriptors.get(self._log)
        if log is None:
            log = self._open(self._log, os.O_RDONLY)
        salt = int.from_bytes(_read_at(log, _SALT, 8))
        self._note = GenerationNote(before.identity, number, number if home else before.home, salt, frames)

    def _sync(self) -> None:
        os.fsync(self._write())

    def _write(self) -> int:
        descriptor = self._descriptors.get(self.file)
        if descriptor is None:
            descriptor = self._open(self.file, os.O_WRONLY | os.O_CREAT)
        _write_over(descriptor, self._note.line())
        return descriptor

    def _open(self, path: Path, flags: int) -> int:
        descriptor = self._descriptors[path] = os.open(path, flags, 0o600)
        return descriptor

    def _close(self, path: Path) -> None:
        descriptor = self._descriptors.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)


# Each call to the system lets other threads run, and is not back before they let go again.
if sys.platform == "win32":

    def _read_at(descriptor: int, place: int, size: int) -> bytes:
        os.lseek(descriptor, place, os.SEEK_SET)
        return os.read(descriptor, size)

    def _write_over(descriptor: int, data: bytes) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, data)

else:

    def _read_at(descriptor: int, place: int, size: int) -> bytes:
        return os.pread(descriptor, size, place)

    def _write_over(descriptor: int, data: bytes) -> None:
        os.pwrite(descriptor, data, 0)
