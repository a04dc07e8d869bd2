"""The SQLite file: made whole, opened only as durable as promised, read by connections that cannot write."""

from __future__ import annotations

import ctypes
import errno
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from postbearer.errors import SchemaMismatch, StoreError, StoreFull
from postbearer.state import sync_folder
from postbearer.store.queries import migrations, queries

APPLICATION = 0x70625370  # "pbSp", in the header of the file
OLDEST_LIBRARY = (
    3,
    51,
    3,
)  # 3.7.0 to 3.51.2 can damage a write-ahead log: sqlite.org/wal.html, "WAL-reset bug"
CHECKPOINT = 1_000  # pages in the log after which they are brought home: 4 MiB
BUSY = 5_000  # milliseconds to wait for another program's lock
RESTORE = "Restore the file from a backup; keep the damaged one, for messages that are only there."

_SYNCHRONOUS = 2  # FULL: in WAL mode, anything less loses commits at a power cut


def refuse_old_library() -> None:
    """Raises `StoreError` for an SQLite that is known to damage files."""
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < OLDEST_LIBRARY:
        wanted = ".".join(map(str, OLDEST_LIBRARY))
        raise StoreError(
            f"SQLite {version} can damage a write-ahead log; {wanted} or later is needed.",
            hint="Install a newer apsw from a wheel, which brings its own SQLite.",
        )


def connect(path: Path, *, write: bool = False) -> apsw.Connection:
    """A connection to an existing file, its settings read back. Raises `StoreError` or `apsw.Error`."""
    flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(str(path), flags)
    try:
        connection.set_busy_timeout(BUSY)
        _teach(connection)
        # Else SQLite compiles a statement anew for each value that might lead to another plan.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        connection.pragma("synchronous", _SYNCHRONOUS)
        connection.pragma("wal_autocheckpoint", 0)  # the writer does that, and nobody else
        if write:
            connection.pragma("secure_delete", 1)
            _keep_log(connection)
        found = connection.pragma("journal_mode"), connection.pragma("synchronous")
        if found != ("wal", _SYNCHRONOUS):
            raise StoreError(
                f"{path} would not be durable: journal_mode={found[0]}, synchronous={found[1]}.",
                hint="Something changed the file's settings: run PRAGMA journal_mode=WAL on it.",
            )
    except BaseException:
        connection.close(force=True)
        raise
    return connection


def connect_alone(path: Path) -> apsw.Connection:
    """A connection to the file without its log, which touches nothing. Raises `apsw.Error`."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{quote(str(path.absolute()))}?immutable=1", flags)
    _teach(connection)
    return connection


def _teach(connection: apsw.Connection) -> None:
    # SQLite's own `lower` knows ASCII only, and addresses may be in any script (RFC 6531).
    connection.create_scalar_function("fold", _fold, 1, deterministic=True)


def _fold(*values: apsw.SQLiteValue) -> apsw.SQLiteValue:
    (octets,) = values  # a text cast to a blob: one that is damaged would not be handed over
    return octets.decode(errors="replace").casefold() if isinstance(octets, bytes) else octets


def _keep_log(connection: apsw.Connection) -> None:
    """Let the log outlive the connection, so that one that is missing has been taken away."""
    on = ctypes.c_int(1)
    connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(on))


def create(path: Path) -> None:
    """Make an empty spool. It is there as a whole or not at all: made aside, synced, renamed."""
    aside = path.with_name(f"{path.name}.new")
    for left in (aside, aside.with_name(f"{aside.name}-wal"), aside.with_name(f"{aside.name}-shm")):
        left.unlink(missing_ok=True)
    os.close(os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # the log takes over its mode
    with closing(apsw.Connection(str(aside), apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.pragma("auto_vacuum", 2)  # incremental; only before the first table
        connection.pragma("application_id", APPLICATION)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", _SYNCHRONOUS)
        migrate(connection, path)
        connection.wal_checkpoint(
            mode=apsw.SQLITE_CHECKPOINT_TRUNCATE
        )  # closing would do it, and hide failures
    with open(aside, "rb") as file:
        os.fsync(file.fileno())
    aside.rename(path)
    sync_folder(str(path.parent))


def migrate(connection: apsw.Connection, path: Path) -> None:
    """Bring the schema up to date, in one transaction. Raises `SchemaMismatch` for a newer one."""
    version, scripts = version_of(connection, path), migrations()
    if version < len(scripts):
        if version and get(connection, "clean"):
            refuse_short(connection, path)
        connection.execute("BEGIN IMMEDIATE")
        for script in scripts[version:]:
            connection.execute(script)
        connection.pragma("user_version", len(scripts))
        connection.execute("COMMIT")
        connection.wal_checkpoint()  # a file that was ended properly holds all of its pages, also now


def version_of(connection: apsw.Connection, path: Path) -> int:
    """Of the schema. Raises `SchemaMismatch` for a newer one, and `StoreError` for what is no spool."""
    if connection.pragma("application_id") != APPLICATION:
        raise StoreError(f"{path} is an SQLite file, but not a spool.", hint="Name another file.")
    version, known = int(connection.pragma("user_version")), len(migrations())
    if version > known:
        raise SchemaMismatch(
            f"{path} was written by a newer postbearer: schema {version}; this one knows {known}.",
            hint="Start the newer version again, or let it empty the queue first.",
        )
    return version


def refuse_damage(path: Path, note: Path) -> bool:
    """Look at the files from outside. Returns False when there is no spool yet; raises `StoreError`."""
    log = path.with_name(f"{path.name}-wal")
    logged = log.stat().st_size if log.exists() else 0
    if not path.exists():
        if logged:
            raise StoreError(f"{path} is missing, and {log} is there.", hint=RESTORE)
        if note.exists():
            raise StoreError(
                f"{path} is gone: by {note}, there was a queue.",
                hint=f"Put it back, or remove {note} to begin with an empty queue.",
            )
        return False
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise StoreError(f"{path} is damaged: it does not begin like an SQLite file.", hint=RESTORE)
    return True


def refuse_short(connection: apsw.Connection, path: Path) -> None:
    """After a proper end, all pages are in the file."""
    missing = connection.pragma("page_count") * connection.pragma("page_size") - path.stat().st_size
    if missing > 0:
        raise StoreError(f"{path} is damaged: {missing} octets are missing.", hint=RESTORE)


def check(connection: apsw.Connection, path: Path) -> None:
    """`quick_check` of the narrow tables: 0.1 s for a million rows, whatever the size of their messages."""
    for table in ("delivery", "recipient"):
        for (finding,) in connection.execute(f"PRAGMA quick_check('{table}')"):
            if finding != "ok":
                raise StoreError(f"{path} is damaged: {finding}.", hint=RESTORE)


def rows(
    connection: apsw.Connection, query: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[Any]:
    """All rows a query gives."""
    return connection.execute(query, values).fetchall()


def get(connection: apsw.Connection, name: str) -> int:
    """One number of the table `meta`."""
    return int(connection.execute(queries("queue")["get"], (name,)).get)


def trouble(error: apsw.Error | OSError, path: Path) -> StoreError:
    """What an error of SQLite or of the system means for people."""
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return StoreFull(f"No room to write {path}.", hint="Free some disk space.")
        case OSError():
            return StoreError(f"{path} cannot be used: {error.strerror}.", hint="Look at the disk.")
        case apsw.FullError():
            return StoreFull(f"No room to write {path}.", hint="Free some disk space.")
        case apsw.CorruptError() | apsw.NotADBError():
            return StoreError(f"{path} is damaged: {error}.", hint=RESTORE)
        case apsw.BusyError() | apsw.LockedError():
            return StoreError(f"{path} is locked by another program.", hint="Let it finish, or stop it.")
        case apsw.ReadOnlyError() | apsw.CantOpenError():
            return StoreError(
                f"{path} cannot be opened for writing: {error}.",
                hint=f"Correct the permissions of it, and of {path}-wal and {path}-shm beside it.",
                configuration=True,
            )
        case _:
            return StoreError(f"{path} cannot be used: {error}.")


class Readers:
    """Connections that only read, one for whoever reads at a moment."""

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        """`alone`: without the log, as all is in the file itself, and nobody writes there meanwhile."""
        self._path = path
        self._connect = connect_alone if alone else connect
        self._idle: deque[apsw.Connection] = deque()
        self._closed = False

    @contextmanager
    def reading(
        self, *, once: bool = False, other: apsw.Connection | None = None
    ) -> Iterator[apsw.Connection]:
        """A connection for this block, which should be short: it keeps the log from being reused.

        All that it reads is of one moment, as a single query is, `once`, by itself; then an `other` one will
        do as well. Raises `StoreError`, also for what goes wrong inside.
        """
        try:
            if once and other is not None:
                yield other
                return
            connection = self._take()
            try:
                if once:
                    yield connection
                else:
                    with connection:
                        yield connection
            finally:
                if self._closed:
                    connection.close(force=True)
                else:
                    self._idle.append(connection)
        except apsw.Error as error:
            raise trouble(error, self._path) from error

    def _take(self) -> apsw.Connection:
        if self._closed:
            raise StoreError(f"The spool {self._path} is closed.")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect(self._path)

    def drop(self) -> None:
        """Close those not in use."""
        while self._idle:
            self._idle.pop().close(force=True)

    def close(self) -> None:
        self._closed = True
        self.drop()
