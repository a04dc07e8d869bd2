"""The kept tokens of one account: a small file, whose fields are sealed, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from postbearer.clock import Clock
from postbearer.crash import crash
from postbearer.errors import StoreError, TokenUnavailable
from postbearer.oauth import StoredGrant, signing_in_already
from postbearer.state.files import read_private, trouble, write_private
from postbearer.state.folder import StateFolder
from postbearer.state.lock import WAIT, FileLock
from postbearer.state.sealed_grant import SealedGrant, Standing, version_of
from postbearer.state.sealing import SealedBox


class TokenFile:
    """A `GrantStore` in the state folder, shared by all processes of one user.

    `binding` is the digest of what the tokens were got for (`postbearer.oauth.binding`): state kept
    under another one is never used. `box` gives the keys, anew at each use; `shortcut` is noted for
    `peek`.
    """

    def __init__(
        self,
        folder: StateFolder,
        account: str,
        *,
        binding: str,
        box: Callable[[], SealedBox],
        shortcut: str = "",
        clock: Clock | None = None,
        lock_timeout: float = WAIT,
    ) -> None:
        self.path = self.place = folder.token(account)
        self._folder = folder
        self._account = account
        self._box = box
        self._sealed = SealedGrant(account, binding, box, place=self.path, shortcut=shortcut)
        self._clock = clock
        self._lock_timeout = lock_timeout

    def __repr__(self) -> str:
        return f"TokenFile({self.path!r})"

    # Reading and writing block for a moment on purpose: nothing may come between a new refresh token
    # and its commit, not even the cancellation of whoever asked.

    async def load(self) -> StoredGrant:
        return self._sealed.load(self._read())

    async def save(self, kept: StoredGrant) -> bool:
        self._folder.ensure()
        standing = self._read()
        if version_of(standing) != kept.version:
            return False
        if standing is None:
            self._put_aside()
        crash("token.before")
        write_private(self.path, self._sealed.record(kept, standing))
        crash("token.after")
        return True

    def lock(self) -> AbstractAsyncContextManager[None]:
        return self._locked()

    def prepare(self) -> None:
        """Make what saving needs. Raises `ConfigError` or `StoreError` if nothing could be saved."""
        self._folder.ensure()
        self._box()

    @contextmanager
    def signing_in(self) -> Iterator[None]:
        lock = FileLock(f"{self.path}.sign-in")
        if not lock.acquire():
            raise signing_in_already(self._account)
        try:
            yield
        finally:
            lock.release()

    async def remember(self) -> None:
        """Note our shortcut beside a token that another process got, so that the next look is quick."""
        async with self.lock():
            standing = self._read()
            shortcut = self._sealed.shortcut
            if standing and shortcut and shortcut not in self._sealed.shortcuts(standing):
                await self.save(await self.load())

    def reseal(self) -> None:
        """Seal the file again under the newest key, whatever its binding. Raises `StoreError`."""
        with FileLock(f"{self.path}.lock", timeout=self._lock_timeout):
            entry = self._read()
            if not entry:
                return
            box = self._box()
            write_private(self.path, json.dumps(self._sealed.resealed(entry, box)).encode())

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        self._folder.ensure()
        lock = FileLock(f"{self.path}.lock", timeout=self._lock_timeout, clock=self._clock)
        try:
            await lock.__aenter__()
        except StoreError as error:
            raise TokenUnavailable(error.message, account=self._account, hint=error.hint) from error
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> Standing:
        return self._sealed.standing(read_private(self.path))

    def _put_aside(self) -> None:
        """Nothing that may hold a sign-in is overwritten because it cannot be read."""
        try:
            os.replace(self.path, f"{self.path}.damaged")
        except OSError as error:
            raise trouble(error, self.path, "put aside") from error
