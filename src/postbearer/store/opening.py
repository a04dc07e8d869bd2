"""Opening a spool: refusing what cannot be trusted, and putting in order what an earlier run left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import apsw

from postbearer.clock import Clock
from postbearer.errors import SchemaMismatch, StoreError
from postbearer.state import sync_folder
from postbearer.store import database, history, nodes, writes
from postbearer.store.database import CHECKPOINT
from postbearer.store.generation import Generation
from postbearer.store.lease import Node
from postbearer.store.location import DiskSpace, SpoolLock, examine
from postbearer.store.queries import migrations, queries
from postbearer.store.records import Found
from postbearer.store.wal_check import log_of, needs_log

LOG_PAGES = 2 * CHECKPOINT  # what the log has from the beginning: 8 MiB


@dataclass(slots=True)
class Opened:
    """A spool that may be written to."""

    connection: apsw.Connection
    found: Found
    next_number: int  # of a message
    alive: set[int]  # leases somebody in this process works on


class Opening:
    """Opens, opens again after a failed write, and closes."""

    def __init__(
        self,
        path: Path,
        reserve: int | None,
        clock: Clock,
        node: Node,
        *,
        allow_ephemeral: bool,
        events: bool | None = None,
    ) -> None:
        self._path = path
        self._node = node
        self._events = events
        self._clock = clock
        self._allow_ephemeral = allow_ephemeral
        self._claim = SpoolLock(path)
        self._alive: set[int] = set()
        self.generation = Generation(path)
        self.room = DiskSpace(path.parent, reserve, clock)
        self.readers = database.Readers(path)
        self.remarks: Sequence[str] = ()

    def open(self) -> Opened:
        """Raises `StoreError` with what is wrong and what to do."""
        database.refuse_old_library()
        self.remarks = examine(self._path, allow_ephemeral=self._allow_ephemeral)
        self._claim.take()
        try:
            return self._opened()
        except BaseException as error:
            self._claim.give_back()
            if isinstance(error, apsw.Error | OSError):
                raise database.trouble(error, self._path) from error
            raise

    def look(self) -> Found:
        """Open for looking only: nothing is put in order, and what was found stays to be told.

        Raises `StoreError`, and `SchemaMismatch` for a file of an older version, too.
        """
        database.refuse_old_library()
        self._claim.take()
        try:
            self.remarks = examine(self._path, allow_ephemeral=True)
            if not database.refuse_damage(self._path, self.generation.file):
                raise StoreError(f"There is no queue at {self._path}.", hint="Start one by: postbearer serve")
            logged = needs_log(self._path, self.generation.file)
            self.readers = database.Readers(self._path, alone=not logged)
            with self.readers.reading() as connection:
                return self._seen(connection)
        except BaseException as error:
            self.close(None)
            if isinstance(error, apsw.Error | OSError):
                raise database.trouble(error, self._path) from error
            raise

    def _seen(self, connection: apsw.Connection) -> Found:
        if database.version_of(connection, self._path) < len(migrations()):
            raise SchemaMismatch(
                f"{self._path} was written by an older postbearer.", hint="Start it once: postbearer serve"
            )
        if not self.generation.replaced(connection):
            return writes.untold(connection)
        return Found(
            clean=bool(database.get(connection, "clean")),
            restored=True,
            held=int(connection.execute(queries("queue")["waiting-messages"]).get),
            ahead=True,
        )

    def _opened(self) -> Opened:
        if not database.refuse_damage(self._path, self.generation.file):
            database.create(self._path)
        elif not needs_log(self._path, self.generation.file):
            self._begin_log_anew()
        connection = database.connect(self._path, write=True)
        try:
            database.migrate(connection, self._path)
            self.readers = database.Readers(self._path)
            self._alive = set()
            return self._put_in_order(connection)
        except BaseException:
            connection.close(force=True)
            raise

    def _begin_log_anew(self) -> None:
        """All is in the file itself. A log that is damaged would bring back what was there before."""
        if self.generation.file.exists():
            self.generation.forget_log()
        for left in (self._log, self._log.with_name(f"{self._path.name}-shm")):
            left.unlink(missing_ok=True)

    def _put_in_order(self, connection: apsw.Connection) -> Opened:
        clean = bool(database.get(connection, "clean"))
        if clean:
            database.refuse_short(connection, self._path)
        else:
            database.check(connection, self._path)
        newest = float(connection.execute(queries("queue")["newest"]).get)
        restored = self.generation.replaced(connection)
        if not restored:
            # Before mail comes: one that is missing has been taken away.
            self.generation.keep(frames(connection))
        connection.execute("BEGIN IMMEDIATE")
        self.generation.advance(connection)
        writes.put(connection, "clean", 0)
        if not clean:
            writes.put(connection, "unclean", 1)
        if self._events is not None:
            writes.put(connection, "events", self._events)
        history.record(connection, self._clock)
        now = max(self._clock.now(), newest)
        nodes.begin(connection, self._node, now)
        if restored:
            writes.hold_all(connection)
        connection.execute("COMMIT")
        self._node.renewed = now
        self.generation.keep(frames(connection))
        orphans = _remove_orphans(connection)
        sync_folder(str(self._path.parent))  # SQLite does so too for a new log, and ignores that it failed
        self._allocate(connection)
        pages, home = connection.wal_checkpoint()  # the file itself now says that it is in use
        self.generation.keep(pages, home=pages == home)
        return Opened(
            connection=connection,
            found=replace(writes.untold(connection), orphans=orphans, newest=newest),
            next_number=int(connection.execute(queries("queue")["next-number"]).get),
            alive=self._alive,
        )

    def _allocate(self, connection: apsw.Connection) -> None:
        """Make the log so long that it is brought home before it grows: marks then need no room."""
        if self._log.stat().st_size >= LOG_PAGES * connection.pragma("page_size"):
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            writes.fill(connection, LOG_PAGES)
            connection.execute("COMMIT")
        except apsw.FullError:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def reopen(self) -> apsw.Connection:
        """A sound connection after a failed write. Raises `StoreError` or `apsw.Error`.

        What may be only in the page cache is brought home and synced before anything is added behind it.
        """
        self.readers.drop()
        self.generation.rolled_back()
        database.refuse_damage(self._path, self.generation.file)
        connection = database.connect(self._path, write=True)
        try:
            database.check(connection, self._path)
            history.record(connection, self._clock)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
            self.generation.forget_log()
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            connection.execute("BEGIN IMMEDIATE")
            nodes.give_back(connection, self._node, self._alive, self._clock.now())
            connection.execute("COMMIT")
        except BaseException:
            connection.close(force=True)
            raise
        self._node.renewed = -math.inf  # whether that was written is not known either
        return connection

    def close(self, connection: apsw.Connection | None) -> None:
        """Close all; `connection` is the writer's, or None if it was lost."""
        self.readers.close()
        if connection is not None:
            with suppress(apsw.Error):  # then all is in the log, for the next run
                pages, home = connection.wal_checkpoint()
                if pages == home:
                    self._end(connection)
            connection.close(force=True)
        self.generation.close()
        self._claim.give_back()

    def _end(self, connection: apsw.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        self.generation.advance(connection)
        writes.put(connection, "seen", int(self._clock.now()))
        writes.put(connection, "clean", 1)
        connection.execute("COMMIT")
        pages, home = connection.wal_checkpoint()
        self.generation.note(pages, home=pages == home)

    @property
    def _log(self) -> Path:
        return log_of(self._path)


def frames(connection: apsw.Connection) -> int:
    """How many pages the log has, home or not."""
    pages, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    return pages


def _remove_orphans(connection: apsw.Connection) -> int:
    orphans = writes.orphans(connection)
    for number in orphans:
        while not writes.unstage(connection, number):
            connection.wal_checkpoint()
    return len(orphans)
