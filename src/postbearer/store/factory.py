"""A spool by its URL: the one place that knows which kinds there are. Daemon and commands ask here.

Another kind is a folder of its own beside this, a scheme, and a case of `open_spool`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from postbearer.errors import ConfigError
from postbearer.store.lease import LOCAL
from postbearer.store.postgres.url import SCHEMES, PostgresUrl

if TYPE_CHECKING:
    from postbearer.clock import Clock
    from postbearer.events import Observer
    from postbearer.secret import SecretSource
    from postbearer.state import Persistence
    from postbearer.store.outbox import Outbox
    from postbearer.store.postgres.inspection import DatabaseInfo
    from postbearer.store.spool import DurableSpool

SCHEME = "sqlite"
_HINT = 'Write spool = "sqlite:/path/to/spool.db", or "postgresql://user@host/database".'
_BESIDE = ("{0}", "{0}-wal", "{0}-shm")


@dataclass(frozen=True, slots=True)
class SpoolUrl:
    """Where a spool is. To know that needs none of what opening one needs."""

    path: Path

    @classmethod
    def parse(cls, url: str, folder: Path) -> SpoolUrl:
        """``sqlite:/path/of/the/file``; a relative path is one in `folder`. Raises `ConfigError`."""
        scheme, _, rest = url.partition(":")
        if scheme != SCHEME:
            raise ConfigError(f"cannot be {url!r}: no such store is known.", key="relay.spool", hint=_HINT)
        if not rest.strip("/") or (rest.startswith("//") and not rest.startswith("///")):
            raise ConfigError(f"cannot be {url!r}: it names no file.", key="relay.spool", hint=_HINT)
        return cls(folder / rest)

    @classmethod
    def in_folder(cls, state: str) -> SpoolUrl:
        """The one of a state folder, where nothing else is said."""
        return cls(Path(state, "spool.db"))

    def __str__(self) -> str:
        return f"{SCHEME}:{self.path}"

    @property
    def folder(self) -> Path:
        """Whose disk fills when mail comes."""
        return self.path.parent

    @property
    def place(self) -> str:
        """For people."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether there is a spool; if not, opening it makes one."""
        return self.path.exists()

    def remove(self) -> None:
        """Remove one that holds nothing, and that nobody has open."""
        names = [each.format(self.path.name) for each in _BESIDE]
        for name in (self.path.with_suffix(".generation").name, *names):
            self.path.with_name(name).unlink(missing_ok=True)


SpoolPlace = SpoolUrl | PostgresUrl


def spool_place(url: str, folder: Path) -> SpoolPlace:
    """Where the spool is; a relative path is one in `folder`. Raises `ConfigError`, which shows no secret."""
    scheme, separator, _ = url.partition("://")
    return PostgresUrl.parse(url) if separator and scheme in SCHEMES else SpoolUrl.parse(url, folder)


def open_spool(
    url: SpoolPlace | str,
    *,
    clock: Clock,
    node: str = LOCAL,
    password: SecretSource | None = None,
    allow_ephemeral: bool = False,
    observer: Observer | None = None,
    events: bool | None = None,
) -> DurableSpool:
    """The spool at `url`, for `node`; its `open` is called by whoever uses it. See `Spool`.

    In a database that nodes share, one called `LOCAL` only looks after the queue. `password` is for it.
    `allow_ephemeral` takes a disk that is gone with the next start; `observer` is told of each commit;
    `events`: whether what becomes of recipients is kept, None: as it was before. Raises `ConfigError` for a
    URL of no known kind.
    """
    if isinstance(url, str):
        url = spool_place(url, Path())
    if isinstance(url, PostgresUrl):
        _need_asyncpg()
        from postbearer.store.postgres.spool import PostgresSpool

        name = "" if node == LOCAL else node
        return PostgresSpool(url, clock=clock, node=name, password=password, observer=observer, events=events)
    from postbearer.store.sqlite import SqliteSpool

    return SqliteSpool(
        url.path,
        clock=clock,
        node=node,
        allow_ephemeral=allow_ephemeral,
        observer=observer,
        events=events,
    )


def open_state(url: PostgresUrl, key: SecretSource, password: SecretSource | None = None) -> Persistence:
    """Tokens, budgets and notes in the database of the spool; `key` seals what is secret of them.

    Raises `ConfigError`.
    """
    _need_asyncpg()
    from postbearer.store.postgres.state import PostgresState

    return PostgresState(url, key, password=password)


def open_outbox(url: PostgresUrl, password: SecretSource | None = None) -> Outbox:
    """What programs hand over in the database of the spool. Raises `ConfigError`."""
    _need_asyncpg()
    from postbearer.store.postgres.outbox import PostgresOutbox

    return PostgresOutbox(url, password)


async def inspect_database(url: PostgresUrl, clock: Clock, password: SecretSource | None) -> DatabaseInfo:
    """What is known of the database of a spool; nothing in it is changed.

    Raises `ConfigError`, `StoreError`.
    """
    _need_asyncpg()
    from postbearer.store.postgres import inspection

    return await inspection.inspect_database(url, clock, password)


def _need_asyncpg() -> None:
    """Raises `ConfigError` where PostgreSQL cannot be spoken to."""
    if find_spec("asyncpg") is None:
        raise ConfigError(
            "on PostgreSQL needs the package asyncpg.",
            key="relay.spool",
            hint="Install it: pip install 'postbearer[postgres]'",
        )
