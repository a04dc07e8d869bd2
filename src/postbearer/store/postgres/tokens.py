"""The kept tokens of one account, sealed, for all nodes: who renews them holds their row for a while."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any

from postbearer.clock import Clock
from postbearer.crash import crash
from postbearer.errors import StoreError, TokenUnavailable
from postbearer.oauth import StoredGrant, signing_in_already
from postbearer.state import WAIT, SealedBox, SealedGrant
from postbearer.store.postgres.ledger import SQL
from postbearer.store.postgres.transaction_runner import TransactionRunner
from postbearer.store.postgres.vault import Vault

HOLD = WAIT + 30.0  # seconds after which a holder is thought dead: nobody waits for so long
SIGN_IN = 1200.0  # seconds that a person has
POLL, SLOWEST_POLL = 0.05, 0.5  # seconds between looks whether it is free


class PostgresTokens:
    """A `GrantStore`. The lock is a row with an end: a node that dies in the middle loses nothing."""

    def __init__(
        self, runner: TransactionRunner, account: str, binding: str, *, vault: Vault, clock: Clock
    ) -> None:
        self.place = f"the row {account} of the table {runner.pool.url.schema}.token"
        self._runner = runner
        self._account = account
        self._binding = binding
        self._vault = vault
        self._clock = clock

    async def load(self) -> StoredGrant:
        sealed = await self._sealed()
        _, record = await self._row()
        return sealed.load(sealed.standing(record))

    async def save(self, kept: StoredGrant) -> bool:
        sealed = await self._sealed()
        version, record = await self._row()
        if version != kept.version:
            return False
        data = sealed.record(kept, sealed.standing(record) or {})

        async def save(connection: Any, time: float) -> bool:
            await connection.execute(SQL["make-token"], self._account)
            return bool(await connection.fetch(SQL["save-token"], self._account, version, data))

        crash("token.before")
        saved = await asyncio.shield(self._runner.run(save))  # also when nobody waits for it any more
        crash("token.after")
        return saved

    def lock(self) -> AbstractAsyncContextManager[None]:
        return self._locked()

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        mine, began, pause = secrets.token_hex(8), self._clock.monotonic(), POLL
        while not await self._taken("lock-token", mine, HOLD):
            if self._clock.monotonic() - began >= WAIT:
                raise TokenUnavailable(
                    f"Another node renews the token of {self._account} for more than {WAIT:g} s.",
                    account=self._account,
                )
            await self._clock.sleep(pause)
            pause = min(1.5 * pause, SLOWEST_POLL)
        try:
            yield
        finally:
            with suppress(StoreError):  # then it ends by itself
                await asyncio.shield(self._runner.run(self._let_go("unlock-token", mine)))

    async def remember(self) -> None:
        """There is no quicker look."""

    def prepare(self) -> None:
        """What saving needs is seen by `load`."""

    @contextmanager
    def signing_in(self) -> Iterator[None]:
        mine = secrets.token_hex(8)
        if not self._runner.run_blocking(self._take("begin-sign-in", mine, SIGN_IN)):
            raise signing_in_already(self._account)
        try:
            yield
        finally:
            with suppress(StoreError):
                self._runner.run_blocking(self._let_go("end-sign-in", mine))

    async def _taken(self, query: str, mine: str, seconds: float) -> bool:
        taken: bool = await self._runner.run(self._take(query, mine, seconds))
        return taken

    def _take(self, query: str, mine: str, seconds: float) -> Any:
        async def take(connection: Any, time: float) -> bool:
            await connection.execute(SQL["make-token"], self._account)
            return bool(await connection.fetchval(SQL[query], self._account, mine, time, seconds))

        return take

    def _let_go(self, query: str, mine: str) -> Any:
        async def let_go(connection: Any, time: float) -> None:
            await connection.execute(SQL[query], self._account, mine)

        return let_go

    async def _row(self) -> tuple[int, bytes | None]:
        async def row(connection: Any, time: float) -> tuple[int, bytes | None]:
            found = await connection.fetchrow(SQL["token"], self._account)
            return (0, None) if found is None else (found["version"], found["record"])

        return await self._runner.run(row)

    async def _sealed(self) -> SealedGrant:
        box: SealedBox = await self._vault.box()
        return SealedGrant(self._account, self._binding, lambda: box, place=self.place)
