"""What `postbearer.oauth` asks of whoever keeps tokens between runs and between processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from postbearer.errors import StoreError, TokenUnavailable
from postbearer.oauth.token import TokenAnswer
from postbearer.secret import Secret

SAVES = 5  # tries to write beside others who write without the lock


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """The kept state of one account. Times are wall clock, Unix seconds: they outlive a process."""

    version: int = 0  # grows with each save; 0 means that nothing is kept
    access: Secret | None = None
    obtained: float = 0.0
    expires: float = 0.0
    fresh_until: float = 0.0  # when to renew: `expires` less the margin
    scope: str = ""
    basis: str = ""  # digest of the secrets `access` was got with; empty: not known
    refresh: Secret | None = None
    origin: str = ""  # digest of the configured refresh token `refresh` descends from; empty after a sign-in
    signed_in: float = 0.0  # when the chain of refresh tokens began; 0: not known
    refreshed: float = 0.0  # when its last link was got or used
    refresh_expires: float = 0.0  # what the server said about its end; 0: nothing
    refused: str = ""  # a keyed digest of secrets that were refused for good (`postbearer.oauth.refusal`)
    damage: str = ""  # why kept state could not be read, if it could not: a sign-in may be lost in it


class GrantStore(Protocol):
    """The sealed state of one account's grant.

    Whoever renews holds `lock` around load and save, so that among all processes one refreshes.
    """

    @property
    def place(self) -> str:
        """What a person may remove to have it forgotten; empty if that is not possible."""
        ...

    async def load(self) -> StoredGrant:
        """What is kept. Raises `StoreError` when it cannot be told whether anything is."""
        ...

    async def save(self, kept: StoredGrant) -> bool:
        """Commit `kept` durably as version ``kept.version + 1``.

        False, and nothing changed, if another version than ``kept.version`` stands: newer state is
        never overwritten by older. Raises `StoreError`.
        """
        ...

    def lock(self) -> AbstractAsyncContextManager[None]:
        """One holder among all processes. Raises `TokenUnavailable` if it cannot be had in time."""
        ...

    async def remember(self) -> None:
        """Have the access token found by a quicker look from now on, where there is one.

        Raises `TokenUnavailable` and `StoreError`.
        """
        ...

    def prepare(self) -> None:
        """Make what saving needs. Raises `ConfigError` or `StoreError` if nothing could be saved."""
        ...

    def signing_in(self) -> AbstractContextManager[None]:
        """Of two who sign in at once the second gets a `TokenUnavailable`, rather than undo the first."""
        ...


async def keep_sign_in(store: GrantStore, answer: TokenAnswer, *, now: float, margin: float = 60.0) -> None:
    """Keep what a sign-in at `now` (Unix seconds) brought, in place of whatever stood there, damaged or not.

    Raises `TokenUnavailable` if the lock cannot be had and `StoreError` if nothing can be written.
    """
    keep = StoredGrant(
        access=answer.access,
        obtained=now,
        expires=now + answer.lifetime,
        fresh_until=now + answer.lifetime - min(margin, answer.lifetime / 2),
        scope=answer.scope or "",
        refresh=answer.refresh,
        signed_in=now,
        refreshed=now,
        refresh_expires=now + answer.refresh_lifetime if answer.refresh_lifetime else 0.0,
    )
    async with store.lock():
        for _ in range(SAVES):
            if await store.save(replace(keep, version=(await store.load()).version)):
                return
    raise overwritten("the account")


def signing_in_already(account: str) -> TokenUnavailable:
    """The error for whoever begins to sign in while somebody else does."""
    return TokenUnavailable(
        f"Somebody is signing in for {account} already.",
        account=account,
        code="busy",
        hint="Finish that sign-in, or end it with Ctrl-C, and try again.",
    )


def overwritten(account: str) -> StoreError:
    """The error for state that somebody else changed at each of `SAVES` tries to write it."""
    return StoreError(
        f"What is kept of {account} was changed by others at every try to write it.",
        hint="Somebody writes without the lock of the GrantStore.",
    )


class MemoryStore:
    """A `GrantStore` for one process: what it keeps ends with it."""

    place = ""

    def __init__(self, account: str = "") -> None:
        self._account = account
        self._kept = StoredGrant()
        self._person = False  # somebody signs in

    async def load(self) -> StoredGrant:
        return self._kept

    async def save(self, kept: StoredGrant) -> bool:
        if kept.version != self._kept.version:
            return False
        self._kept = replace(kept, version=kept.version + 1)
        return True

    def lock(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()  # the one source that uses it makes one flight at a time

    async def remember(self) -> None:
        pass

    def prepare(self) -> None:
        pass

    @contextmanager
    def signing_in(self) -> Iterator[None]:
        if self._person:
            raise signing_in_already(self._account or "the account")
        self._person = True
        try:
            yield
        finally:
            self._person = False


def binding(
    *,
    token_url: str,
    client_id: str,
    grant: str = "",
    scopes: Sequence[str] = (),
    user: str = "",
    login: str = "",
    servers: Sequence[str] = (),
) -> str:
    """A digest of what a token was got for: state kept under another binding is never used."""
    parts = [
        token_url,
        client_id,
        grant,
        sorted(scopes),
        login,
        list(servers),
        *([user.casefold()] if user else []),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def basis(secrets: Mapping[str, Secret]) -> str:
    """What tells whether a token was got with other secrets, without keeping them; empty for none."""
    if not secrets:
        return ""
    told = json.dumps({name: secret.reveal() for name, secret in secrets.items()}, sort_keys=True)
    return hashlib.sha256(b"basis\0" + told.encode()).hexdigest()


def digest(secret: Secret | None) -> str:
    """What tells two secrets apart without keeping either; empty for none."""
    return hashlib.sha256(b"refresh token\0" + secret.reveal().encode()).hexdigest() if secret else ""
