"""Secrets that were refused for good: remembered for all processes, so that no mailbox is locked by trying.

What is remembered is a keyed digest, and the `GrantStore` seals it: neither tells the secret. It counts
until the secret is another, or a person says that it may be tried again.
"""

from __future__ import annotations

import hmac
import json
import secrets as randomness
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from postbearer.errors import CredentialError, GrantRefused, StoreError
from postbearer.oauth.inputs import read_secret
from postbearer.oauth.store import SAVES, GrantStore, MemoryStore, StoredGrant
from postbearer.secret import Secret, SecretSource


class Refusals:
    """What was refused of one account, in `store`."""

    def __init__(self, store: GrantStore, account: str) -> None:
        self._store = store
        self._account = account
        self._mark = ""  # here too: the store may be full, or read-only

    def spare(self, secrets: Mapping[str, Secret], kept: StoredGrant) -> None:
        """Raise `GrantRefused` if exactly these `secrets` were refused before."""
        if not any(_made_of(mark, secrets) for mark in (self._mark, kept.refused) if mark):
            return
        raise GrantRefused(
            f"The password of {self._account or 'the account'} was refused and is not tried again.",
            account=self._account,
            code="invalid_grant",
            who="mailbox user",
            hint="Correct the password where its reference points; the new one is taken at once."
            + (
                f" If it was right all the same, remove {self._store.place} and try again."
                if self._store.place
                else ""
            ),
        )

    async def remember(self, secrets: Mapping[str, Secret]) -> None:
        """`secrets` were refused; whoever calls this holds the lock of the store."""
        self._mark = _mark(secrets)
        with suppress(StoreError):  # this process knows it
            await self._write(self._mark)

    async def forget(self) -> None:
        """A person wants it tried again. Raises `TokenUnavailable` and `StoreError`."""
        self._mark = ""
        async with self._store.lock():
            if (await self._store.load()).refused:
                await self._write("")

    async def _write(self, mark: str) -> None:
        for _ in range(SAVES):
            if await self._store.save(replace(await self._store.load(), refused=mark)):
                return


class SparingPassword:
    """The password of a mailbox, read at each login but never given out again once a server refused it."""

    def __init__(self, source: SecretSource, store: GrantStore | None = None, account: str = "") -> None:
        self._source = source
        self._store = store or MemoryStore()
        self._refusals = Refusals(self._store, account)

    def __repr__(self) -> str:
        return f"SparingPassword({self.reference!r})"

    @property
    def reference(self) -> str:
        return self._source.reference

    async def read(self) -> Secret:
        """The password now. Raises `GrantRefused` for one that was refused, and `SecretError`."""
        password = await read_secret("password", self._source)
        kept = StoredGrant()
        with suppress(StoreError):  # without a store it works as in one process
            kept = await self._store.load()
        self._refusals.spare({"password": password}, kept)
        return password

    async def refused(self, password: Secret) -> None:
        """A server refused `password`."""
        try:
            async with self._store.lock():
                await self._refusals.remember({"password": password})
        except (CredentialError, StoreError):  # the lock cannot be had
            await self._refusals.remember({"password": password})

    async def forgive(self) -> None:
        """A person wants it tried again. Raises `TokenUnavailable` and `StoreError`."""
        await self._refusals.forget()


def _mark(secrets: Mapping[str, Secret], salt: bytes | None = None) -> str:
    salt = randomness.token_bytes(16) if salt is None else salt
    told = json.dumps({name: secret.reveal() for name, secret in secrets.items()}, sort_keys=True)
    return f"{salt.hex()}.{hmac.digest(salt, told.encode(), 'sha256').hex()}"


def _made_of(mark: str, secrets: Mapping[str, Secret]) -> bool:
    try:
        salt = bytes.fromhex(mark.partition(".")[0])
    except ValueError:
        return False
    return hmac.compare_digest(mark, _mark(secrets, salt))
