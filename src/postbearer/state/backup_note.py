"""When a backup was last whole: in the state folder, and in no backup, as one that was restored has none."""

from __future__ import annotations

import os

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode

from postbearer.errors import StoreError
from postbearer.state.files import read_private, write_private

_NAME = ".last-backup.json"


class LastBackup(Struct, frozen=True):
    """Its file, and when it was made (Unix seconds)."""

    file: str
    made: float


def note_backup(folder: str, backup: LastBackup) -> None:
    """Remember the last one. Raises `StoreError`."""
    write_private(os.path.join(folder, _NAME), encode(backup))


def last_backup(folder: str) -> LastBackup | None:
    """The last one that is known of; None also where the record cannot be read."""
    try:
        data = read_private(os.path.join(folder, _NAME))
        return None if data is None else decode(data, type=LastBackup)
    except (StoreError, DecodeError):
        return None
