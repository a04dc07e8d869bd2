"""The kept tokens of one account: a small sealed file, replaced as a whole.

Access and refresh token are sealed apart, each to its account, binding and field. An access token
that cannot be read is as good as none; a refresh token never goes missing silently, because nobody
but a person can get another.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any

from postbearer.clock import Clock
from postbearer.crash import crash
from postbearer.errors import StoreError, TokenUnavailable
from postbearer.oauth import StoredGrant, signing_in_already
from postbearer.secret import Secret
from postbearer.state.cached_token import FORMAT, SEALED, opened, parse, place
from postbearer.state.files import read_private, trouble, write_private
from postbearer.state.folder import StateFolder
from postbearer.state.lock import WAIT, FileLock
from postbearer.state.sealing import SealedBox

_TIMES = ("signed_in", "refreshed", "refresh_expires")  # of the refresh token; older files lack them
_SHORTCUTS = 4  # callers that may use the quick look: the relay's environment and a shell's differ


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
        self._binding = binding
        self._box = box
        self._shortcut = shortcut
        self._clock = clock
        self._lock_timeout = lock_timeout

    def __repr__(self) -> str:
        return f"TokenFile({self.path!r})"

    # Reading and writing block for a moment on purpose: nothing may come between a new refresh token
    # and its commit, not even the cancellation of whoever asked.

    async def load(self) -> StoredGrant:
        return self._load()

    async def save(self, kept: StoredGrant) -> bool:
        self._folder.ensure()
        standing = self._read()
        if _version(standing) != kept.version:
            return False
        if standing is None:
            self._put_aside()
        self._write(kept, standing)
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
            if standing and self._shortcut and self._shortcut not in self._shortcuts(standing):
                await self.save(self._load())

    def reseal(self) -> None:
        """Seal the file again under the newest key, whatever its binding. Raises `StoreError`."""
        with FileLock(f"{self.path}.lock", timeout=self._lock_timeout):
            entry = self._read()
            if not entry:
                return
            box = self._box()
            write_private(self.path, json.dumps(self._resealed(entry, box)).encode())

    def _resealed(self, entry: Mapping[str, Any], box: SealedBox) -> dict[str, Any]:
        again = dict(entry)
        for field in SEALED:
            if field in entry:
                where = place(self._account, entry["binding"], field)
                with suppress(StoreError):  # what does not open now stays as it is: a key may come back
                    again[field] = box.seal(box.unseal(entry[field], where), where)
        if isinstance(entry.get("previous"), dict):
            again["previous"] = self._resealed(entry["previous"], box)
        return again

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

    def _read(self) -> dict[str, Any] | None:
        """The entry that stands; an empty one if there is no file, None if it is damaged."""
        data = read_private(self.path)
        if data is None:
            return {}
        try:
            return parse(data)
        except (ValueError, RecursionError):
            return None

    def _load(self) -> StoredGrant:
        standing = self._read()
        if standing is None:
            return StoredGrant(damage=f"{self.path} is damaged")
        version = _version(standing)
        entry = self._mine(standing)
        if entry is None:
            return StoredGrant(version=version, damage=self._misnamed(standing))
        return self._open(entry, version)

    def _misnamed(self, standing: Mapping[str, Any]) -> str:
        """What is wrong if a sign-in is there that opens under no binding: its own one was damaged."""
        for each in _entries(standing):
            if "refresh" in each:
                try:
                    opened(self._box(), each, self._account, "refresh")
                except (StoreError, ValueError, KeyError) as error:
                    return f"{self.path}: {_why(error)}"
        return ""

    def _open(self, entry: Mapping[str, Any], version: int) -> StoredGrant:
        box = self._box()
        kept = StoredGrant(version=version)
        try:
            if "access" in entry:
                fields = opened(box, entry, self._account, "access")
                kept = replace(
                    kept,
                    access=Secret(fields["token"]),
                    obtained=float(fields["obtained"]),
                    expires=float(fields["expires"]),
                    fresh_until=float(fields["fresh_until"]),
                    scope=str(fields["scope"]),
                    basis=str(fields.get("basis", "")),
                )
        except (StoreError, ValueError, KeyError, TypeError):
            kept = StoredGrant(version=version)  # as good as none: the next request brings another
        try:
            if "refresh" in entry:
                fields = opened(box, entry, self._account, "refresh")
                times: Any = {name: float(fields.get(name, 0.0)) for name in _TIMES}
                token = Secret(fields["token"])
                kept = replace(kept, refresh=token, origin=str(fields["origin"]), **times)
        except (StoreError, ValueError, KeyError, TypeError) as error:
            kept = replace(kept, damage=f"{self.path}: {_why(error)}")
        # One that cannot be read costs one more try of the password, and the next refusal is kept again.
        with suppress(StoreError, ValueError, KeyError):
            if "refused" in entry:
                kept = replace(kept, refused=str(opened(box, entry, self._account, "refused")["digest"]))
        return kept

    def _write(self, kept: StoredGrant, standing: Mapping[str, Any] | None) -> None:
        box = self._box()
        entry: dict[str, Any] = {"format": FORMAT, "binding": self._binding, "version": kept.version + 1}
        if kept.access is not None:
            self._seal(box, entry, "access", self._access_fields(kept, standing))
        if kept.refresh is not None:
            fields: dict[str, Any] = {"token": kept.refresh.reveal(), "origin": kept.origin}
            fields |= {name: getattr(kept, name) for name in _TIMES}
            self._seal(box, entry, "refresh", fields)
        elif kept.damage and (mine := self._mine(standing)) and "refresh" in mine:
            entry["refresh"] = mine["refresh"]  # unreadable now, perhaps not once a key is restored
        if kept.refused:
            self._seal(box, entry, "refused", {"digest": kept.refused})
        # A sign-in made under another configuration is kept, unused, until there is one more change:
        # whoever takes the change back need not sign in again.
        other = next((one for one in _entries(standing) if self._foreign(one)), None)
        if other is not None:
            entry["previous"] = {name: value for name, value in other.items() if name != "previous"}
        crash("token.before")
        write_private(self.path, json.dumps(entry).encode())
        crash("token.after")

    def _seal(self, box: SealedBox, entry: dict[str, Any], field: str, fields: Mapping[str, Any]) -> None:
        where = place(self._account, self._binding, field)
        entry[field] = box.seal(json.dumps(fields).encode(), where)

    def _access_fields(self, kept: StoredGrant, standing: Mapping[str, Any] | None) -> dict[str, Any]:
        assert kept.access is not None
        known = [name for name in self._shortcuts(standing) if name != self._shortcut]
        return {
            "token": kept.access.reveal(),
            "obtained": kept.obtained,
            "expires": kept.expires,
            "fresh_until": kept.fresh_until,
            "scope": kept.scope,
            "basis": kept.basis,
            "shortcuts": ([self._shortcut] if self._shortcut else []) + known[: _SHORTCUTS - 1],
        }

    def _shortcuts(self, standing: Mapping[str, Any] | None) -> list[str]:
        if not standing or standing["binding"] != self._binding:
            return []
        try:
            return list(opened(self._box(), standing, self._account, "access")["shortcuts"])
        except (StoreError, ValueError, KeyError, TypeError):
            return []

    def _mine(self, standing: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        return next((one for one in _entries(standing) if one["binding"] == self._binding), None)

    def _foreign(self, entry: Mapping[str, Any]) -> bool:
        return entry["binding"] != self._binding and "refresh" in entry

    def _put_aside(self) -> None:
        """Nothing that may hold a sign-in is overwritten because it cannot be read."""
        try:
            os.replace(self.path, f"{self.path}.damaged")
        except OSError as error:
            raise trouble(error, self.path, "put aside") from error


def _why(error: Exception) -> str:
    return error.message.rstrip(".") if isinstance(error, StoreError) else "its content makes no sense"


def _entries(standing: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    entries = [standing, standing.get("previous")] if standing else []
    return [one for one in entries if isinstance(one, dict) and isinstance(one.get("binding"), str)]


def _version(standing: Mapping[str, Any] | None) -> int:
    version = standing.get("version") if standing else 0
    return version if isinstance(version, int) else 0
