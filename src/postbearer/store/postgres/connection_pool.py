"""Connections to the database: opened with care, used in transactions only, their troubles told as ours.

Nothing is set for longer than a transaction: behind a pooler the next one may run on another connection.
So statements are prepared, which saves half of their time, only where the server itself answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from postbearer.errors import OutcomeUnknown, StoreError, StoreFull
from postbearer.secret import SecretSource
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.queries import queries

SQL = queries("session", "postgres")

CONNECTING = 10  # seconds
APPLICATION_NAME = "postbearer"
COMMAND = 40.0  # seconds for one statement, a little more than the server gives it
COMMIT = 20.0  # seconds for a commit, in which standbys may be waited for
DOUBT = 10.0  # seconds for which it is tried to find out what became of one
READERS = 2  # connections that are kept for reading
PREPARED = 200  # statements that a connection keeps prepared

# The connection is gone, or the server is about to be: what was not committed does not stand.
LOST = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,
)
AGAIN = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,  # a newer node has just changed a table
)


def trouble(error: BaseException, place: str) -> StoreError:
    """`error` as what it means to who asked."""
    if isinstance(error, StoreError):
        return error
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, asyncpg.DiskFullError | asyncpg.OutOfMemoryError):
        return StoreFull(f"No room in the database: {text}.", hint="Free some disk space there.")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return StoreError(
            f"The role may not do this in the database ({place}): {text}.",
            hint="Let it own the schema.",
            configuration=True,
        )
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        return StoreError(
            f"The database does not let us in ({place}): {text}.",
            hint="Look at the user, the database and the password file, and at pg_hba.conf.",
            configuration=True,
        )
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return StoreError(f"The database only reads ({place}): {text}.", hint="Name its primary.")
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.InvalidSchemaNameError):
        return StoreError(f"The tables of the queue are gone ({place}): {text}.", hint="Restore a backup.")
    if isinstance(error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError):
        return StoreError(
            f"A pooler stands before the database ({place}), and could not be told from it: {text}.",
            hint="Add statement_cache_size=0 to the URL of the spool.",
            configuration=True,
        )
    if isinstance(error, LOST):
        return StoreError(
            f"The database cannot be reached ({place}): {text}.",
            hint="Look whether it runs, and whether this machine reaches it. A relay that runs goes on by "
            "itself.",
        )
    return StoreError(f"The database failed ({place}): {text}.")


@dataclass(slots=True, eq=False)
class _Notices:
    """What the server says beside its answers."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, connection: Any, message: Any) -> None:
        self.texts.append(str(getattr(message, "message", message)))

    @property
    def unreplicated(self) -> bool:
        """A commit stands here, and its standby was not waited for."""
        return any("synchronous replication" in text for text in self.texts)


class ConnectionPool:
    """Everything that talks to the database goes through one of these."""

    def __init__(self, url: PostgresUrl, password: SecretSource | None = None) -> None:
        self.url = url
        self._password = password
        self.place = url.place
        self._idle: list[Any] = []
        self._slots = asyncio.Semaphore(READERS)
        self._closed = False
        self.direct = None if url.prepares else False  # no pooler stands between; None: nobody knows yet

    async def connect(self) -> Any:
        """A connection of one's own. Raises what `LOST` names, `asyncpg.PostgresError`, or `SecretError`."""
        if self.direct is None:
            connection = await self._connect(0)
            with dropped_on_failure(connection):
                self.direct = await _is_direct(connection)
            if not self.direct:
                return connection
            await leave(connection)
        return await self._connect(PREPARED if self.direct else 0)

    async def _connect(self, prepared: int) -> Any:
        password = None if self._password is None else (await self._password.read()).reveal()
        return await asyncpg.connect(
            self.url.dsn,
            password=password,
            timeout=CONNECTING,
            command_timeout=COMMAND,
            statement_cache_size=prepared,
            max_cached_statement_lifetime=0,
            server_settings={"application_name": APPLICATION_NAME},
        )

    async def begin(
        self, connection: Any, *, hot: bool, writes: bool = False, synced: bool = True
    ) -> tuple[int, float]:
        """Begin a transaction, and say how it goes; its number, if it `writes`, and the database's time.

        `hot`: it goes by indexes alone, whatever the planner thinks of tables that were empty a moment ago.
        `synced`: once it is committed, it stands.
        """
        await connection.execute(f"BEGIN ISOLATION LEVEL READ COMMITTED{'' if writes else ' READ ONLY'}")
        planner, plans = "off" if hot else "on", "force_generic_plan" if hot and self.direct else "auto"
        found = await connection.fetchrow(SQL["begin"], self.url.schema, planner, writes, synced, plans)
        if synced and found["synchronous_commit"] not in ("on", "remote_apply"):
            raise StoreError(f"The database does not sync commits: {found['synchronous_commit']}.")
        return int(found["number"]), float(found["time"])

    async def commit(self, connection: Any) -> None:
        """End a transaction: from then on it stands, here and on the standbys it has to wait for.

        Raises `OutcomeUnknown` where these were not waited for: it stands here, and a failover may undo it.
        """
        until, pause = asyncio.get_running_loop().time() + DOUBT, 0.05
        while not await self.committed(connection):
            if asyncio.get_running_loop().time() >= until:
                raise OutcomeUnknown(
                    f"A commit is not on a standby that it has to wait for ({self.place}).",
                    hint="Look at the standbys of the database.",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
            await self.begin(connection, hot=True, writes=True)
            await connection.execute(SQL["touch"])  # once that is on the standbys, what was before it is, too

    async def committed(self, connection: Any) -> bool:
        """COMMIT: whether that is on the standbys, too. Raises what `LOST` names, when nobody knows.

        Whoever ends the wait for a standby does not undo the commit: the server says so in a warning only.
        """
        notices = _Notices()
        connection.add_log_listener(notices)
        status = await connection.execute("COMMIT", timeout=COMMIT)
        await asyncio.sleep(0)  # what the server said beside it is told by the loop
        connection.remove_log_listener(notices)
        if status != "COMMIT":
            raise StoreError(f"The database ended a transaction ({self.place}).")
        return not notices.unreplicated

    @asynccontextmanager
    async def reading(self, *, hot: bool = False) -> AsyncIterator[Any]:
        """A connection within a transaction that only reads. Raises `StoreError`."""
        async with self._slots:
            with self.translated():
                connection = await self._ready(hot)
                with dropped_on_failure(connection):
                    yield connection
                    await connection.execute("COMMIT")
            if self._closed:
                discard(connection)
            else:
                self._idle.append(connection)

    async def ask(self, query: str) -> Any:
        """The one value that a single statement gives, which names its schema. Raises `StoreError`."""
        async with self._slots:
            with self.translated():
                connection = self._idle.pop() if self._idle else await self.connect()
                with dropped_on_failure(connection):
                    found = await connection.fetchval(query)
            if self._closed:
                discard(connection)
            else:
                self._idle.append(connection)
        return found

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Any]:
        """A connection of one's own, which is left at the end. Raises `StoreError`."""
        with self.translated():
            connection = await self.connect()
            with dropped_on_failure(connection):
                yield connection
            await leave(connection)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """What fails within is told as what it means for people."""
        try:
            yield
        except (asyncpg.PostgresError, *LOST) as error:
            raise trouble(error, self.place) from error

    async def _ready(self, hot: bool) -> Any:
        """One that was idle may have been cut meanwhile, which is no reason to fail."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(asyncpg.PostgresError, *LOST):
                return await self._begun(connection, hot)
        return await self._begun(await self.connect(), hot)

    async def _begun(self, connection: Any, hot: bool) -> Any:
        with dropped_on_failure(connection):
            await self.begin(connection, hot=hot)
        return connection

    def reopen(self) -> None:
        """It may be used again after `close`."""
        self._closed = False

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            await leave(self._idle.pop())


async def _is_direct(connection: Any) -> bool:
    """Whether the server answers itself: the number that a pooler greets with is none of its processes'."""
    return bool(await connection.fetchval(SQL["process"]) == connection.get_server_pid())


def discard(connection: Any) -> None:
    """Drop a connection whose state nobody knows."""
    if connection is not None:
        connection.terminate()


@contextmanager
def dropped_on_failure(connection: Any) -> Iterator[None]:
    """Use a connection no more within which something failed: its transaction may be open still."""
    try:
        yield
    except BaseException:  # also when who waits goes away
        discard(connection)
        raise


async def leave(connection: Any) -> None:
    """Say good-bye."""
    with suppress(asyncpg.PostgresError, *LOST):
        await connection.close(timeout=5.0)
