"""A copy of a spool as it is at one moment, whether a relay works on it or not."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import apsw

from postbearer.errors import StoreError
from postbearer.store import database
from postbearer.store.generation import Generation
from postbearer.store.location import SpoolLock
from postbearer.store.wal_check import needs_log

PAGES = 4096  # copied at a time: 16 MiB


def snapshot(path: Path, target: Path) -> None:
    """Copy the spool at `path` to the new file `target`, mode 0600, synced.

    The writer of a running relay is not held up. A restart finds that the copy was put there, and holds what
    waits in it. Raises `StoreError`.
    """
    try:
        if not database.refuse_damage(path, note := Generation(path).file):
            raise StoreError(f"There is no queue at {path}.", hint="Start one by: postbearer serve")
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        lock = SpoolLock(path)
        idle = lock.take_if_free()
        try:
            # Without a relay nothing may be left beside the file, not even an empty log.
            alone = idle and not needs_log(path, note)
            with (
                closing(database.connect_alone(path) if alone else database.connect(path)) as source,
                closing(apsw.Connection(str(target))) as copy,
            ):
                source.execute("BEGIN")  # one moment for all of it: what is committed meanwhile is not in it
                with copy.backup("main", source, "main") as work:
                    while not work.done:
                        work.step(PAGES)
                source.execute("ROLLBACK")
        finally:
            if idle:
                lock.give_back()
        with target.open("rb") as file:
            os.fsync(file.fileno())
    except (apsw.Error, OSError) as error:
        raise database.trouble(error, path) from error


def refuse_newer(path: Path) -> None:
    """Raises `SchemaMismatch` for the file of a newer postbearer, `StoreError` for what is no spool."""
    try:
        with closing(database.connect_alone(path)) as connection:
            database.version_of(connection, path)
    except apsw.Error as error:
        raise database.trouble(error, path) from error
