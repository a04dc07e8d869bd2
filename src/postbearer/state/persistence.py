"""Where accounts keep what outlives a process, as whoever puts a program together chooses it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from threading import Lock
from typing import Literal, Protocol, runtime_checkable

from postbearer.clock import Clock
from postbearer.errors import TokenUnavailable, UsageError
from postbearer.oauth import GrantStore, MemoryStore
from postbearer.state.connection_share import ConnectionShare
from postbearer.state.document import Document, MemoryDocument
from postbearer.state.folder import StateFolder
from postbearer.state.ledger import Ledger, MemoryLedger
from postbearer.state.lock import WAIT, acquired


@runtime_checkable
class Persistence(Protocol):
    """What keeps tokens, the charges of budgets, and notes, for all who share them.

    Whatever is asked for twice is the same, whoever asks; what cannot be read or written is told when that is
    tried, at the latest. Asking raises `ConfigError` or `StoreError` where nothing can be kept at all.
    """

    def writable(self) -> object:
        """Make what keeping needs. Raises `ConfigError` or `StoreError` if nothing can be kept."""
        ...

    async def verify(self, *, mark: bool = False) -> None:
        """That what is kept is ours, not of relays with another key. Raises `StoreError`, `SecretError`.

        `mark`: it is from now on, if it is nobody's yet.
        """
        ...

    def token_store(self, account: str, binding: str, *, clock: Clock, shortcut: str = "") -> GrantStore:
        """The tokens of `account` that were got for `binding` (`postbearer.oauth.binding`).

        Under `shortcut` a token may be taken without a look at the configuration, where that is possible.
        """
        ...

    def ledger(self, mailbox: str, account: str, *, clock: Clock) -> Ledger:
        """What `mailbox` was charged with, whichever account sends from it; `account` is one that does."""
        ...

    def connection_share(
        self, mailbox: str, most: int, *, clock: Clock, node: str = ""
    ) -> ConnectionShare | None:
        """A share of the `most` connections that `mailbox` may have open; None: whoever asks has them all.

        `node` is the name of a relay, whose queue others work on, too.
        """
        ...

    def document(self, name: str) -> Document:
        """The record of that name."""
        ...


StateOption = Persistence | Literal["memory"]  # what programs may choose


class MemoryState:
    """A `Persistence` of one process: what it keeps ends with it."""

    def __init__(self) -> None:
        self._token_stores: dict[tuple[str, str], GrantStore] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._documents: dict[str, Document] = {}

    def writable(self) -> object:
        return self

    async def verify(self, *, mark: bool = False) -> None:
        """Nobody else can reach it."""

    def token_store(self, account: str, binding: str, *, clock: Clock, shortcut: str = "") -> GrantStore:
        return self._token_stores.setdefault((account, binding), _SharedStore(account, clock))

    def ledger(self, mailbox: str, account: str, *, clock: Clock) -> Ledger:
        return self._ledgers.setdefault(mailbox, MemoryLedger(clock))

    def connection_share(
        self, mailbox: str, most: int, *, clock: Clock, node: str = ""
    ) -> ConnectionShare | None:
        return None

    def document(self, name: str) -> Document:
        return self._documents.setdefault(name, MemoryDocument())


class _SharedStore(MemoryStore):
    """A store that several sources share, in any thread."""

    def __init__(self, account: str, clock: Clock) -> None:
        super().__init__(account)
        self._clock = clock
        self._lock = Lock()

    def lock(self) -> AbstractAsyncContextManager[None]:
        return self._locked()

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        if not await acquired(lambda: self._lock.acquire(blocking=False), WAIT, self._clock):
            raise TokenUnavailable(
                f"Somebody renews the token of {self._account} for more than {WAIT:g} s.",
                account=self._account,
            )
        try:
            yield
        finally:
            self._lock.release()


def chosen(state: StateOption | None) -> Persistence:
    """What `state` means to the library: None is the user's folder, ``"memory"`` this process alone.

    Raises `UsageError` for anything else.
    """
    if state is None:
        return StateFolder()
    if state == "memory":
        return MemoryState()
    if isinstance(state, Persistence):
        return state
    raise UsageError(f"state cannot be {state!r:.80}.", hint='Give StateFolder(path), or "memory".')
