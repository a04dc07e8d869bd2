"""The log beside the database is the one it was left with, and whole: looked at before anything is written.

SQLite takes a log that is missing, cut or damaged for one that ends earlier, and what was committed behind is
gone in silence: that is right after a power cut, for what nobody was promised. So each commit is noted beside
the files (`Generation`), and a log that holds less than that is refused.
"""

from __future__ import annotations

import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from postbearer.errors import StoreError
from postbearer.store import database
from postbearer.store.generation import GenerationNote
from postbearer.store.queries import queries

_MAGIC = (0x377F0682, 0x377F0683)  # the lowest bit: checksums are made of big-endian words
# A log that begins anew has the next number of 32 bits, and after the last comes 0. Between two syncs of the
# note it does so a few times; more are the distance to the log of some other queue.
_NEWER = 1 << 16


@dataclass(frozen=True, slots=True)
class _Home:
    """What the file tells by itself, without its log."""

    identity: int
    generation: int
    clean: bool


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def needs_log(path: Path, note_file: Path) -> bool:
    """Whether the log belongs to the database; False: all that is there is in the file itself.

    Nothing is written. Raises `StoreError` if the log is not what it was, and may have held messages.
    """
    note, home, log = GenerationNote.read(note_file), _home(path), log_of(path)
    there = log.exists()
    full = there and log.stat().st_size > 0
    if note is None or home is None or home.identity != note.identity:
        if home is None and note is not None and not (full and _fits(path, note)):
            raise StoreError(
                f"{path} and its log are damaged, or do not belong together.", hint=database.RESTORE
            )
        return full  # with no note of it, whatever waits in it will be held
    if home.generation < note.home:
        if full:
            raise StoreError(
                f"{path} is an older copy, to which {log} does not belong.",
                hint=f"Put the newer one back. Or move {log} away: what waits in the copy is then held.",
            )
        return False
    if full and _fits(path, note):
        return True
    if home.clean and home.generation >= note.generation:
        return False
    if there and not note.salt:
        return full
    wrong = "is missing" if not there else "is damaged, cut, or an older one"
    raise StoreError(
        f"{log} {wrong}, and the last run did not end properly: messages may be lost.",
        hint=f"Put it back as it was. If it is lost, or {path} comes from a backup, move {log} and "
        f"{note_file} away: what the database itself holds is then held until you release it.",
    )


def _home(path: Path) -> _Home | None:
    """None if the file cannot be read without its log, which may be in the middle of coming home.

    Raises `StoreError` for what is no spool.
    """
    try:
        with closing(database.connect_alone(path)) as connection:
            database.version_of(connection, path)
            found: dict[str, int] = dict(database.rows(connection, queries("queue")["numbers"]))
    except apsw.Error:
        return None
    return _Home(found.get("identity", 0), found.get("generation", 0), bool(found.get("clean")))


def _fits(path: Path, note: GenerationNote) -> bool:
    """Whether a log that is there is the one of the note or begun later, and holds at least as much."""
    if not note.salt:
        return True
    with log_of(path).open("rb") as file:
        header = file.read(32)
    if not _sound(header):
        return False
    salt = int.from_bytes(header[16:24])
    if salt != note.salt:
        return 0 < (salt >> 32) - (note.salt >> 32) & 0xFFFFFFFF < _NEWER
    with closing(database.connect(path)) as connection:
        connection.pragma("schema_version")  # SQLite itself reads the log for this
        frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    return frames >= note.frames


def _sound(header: bytes) -> bool:
    """Whether the checksum of a log's header is right (sqlite.org/fileformat2.html, "Checksum Algorithm")."""
    if len(header) < 32 or (magic := int.from_bytes(header[:4])) not in _MAGIC:
        return False
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = first + even + second & 0xFFFFFFFF
        second = second + odd + first & 0xFFFFFFFF
    return header[24:32] == struct.pack(">2I", first, second)
