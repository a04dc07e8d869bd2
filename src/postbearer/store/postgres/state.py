"""Tokens, ledgers and notes in the database of the spool, for all nodes of a cluster."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from postbearer.clock import Clock
from postbearer.errors import StoreError
from postbearer.oauth import GrantStore
from postbearer.secret import SecretSource
from postbearer.state import ConnectionShare, Document, Ledger
from postbearer.store.postgres.connection_share import PostgresShares
from postbearer.store.postgres.ledger import SQL, PostgresLedger
from postbearer.store.postgres.tokens import PostgresTokens
from postbearer.store.postgres.transaction_runner import TransactionRunner, link_to
from postbearer.store.postgres.url import PostgresUrl
from postbearer.store.postgres.vault import Vault

HOLD = 180.0  # seconds for which one node may work on a document
_CLUSTER = "cluster"  # the document by which relays with one key know each other


class PostgresState:
    """A `Persistence`. `key` seals tokens. `own_clock`: ledgers go by our clock alone, in tests."""

    def __init__(
        self,
        url: PostgresUrl,
        key: SecretSource,
        *,
        password: SecretSource | None = None,
        own_clock: bool = False,
    ) -> None:
        self._runner = link_to(url, cast("Hashable | None", password))
        self._vault = Vault(key)
        self._own_clock = own_clock
        self._ledgers: dict[tuple[str, int], Ledger] = {}
        self._shares: dict[tuple[int, str], PostgresShares] = {}

    def writable(self) -> object:
        """The database tells when it is asked."""
        return self

    async def verify(self, *, mark: bool = False) -> None:
        """A document that is sealed under our key, or a key that is being replaced, says that it is ours."""
        box = await self._vault.box()
        place = f"the row {_CLUSTER} of the table {self._runner.pool.url.schema}.document"
        ours = box.seal(b"", place).encode()

        async def verify(connection: Any, time: float) -> bytes | None:
            if mark:
                await connection.execute(SQL["add-document"], _CLUSTER, ours)
            found = await connection.fetchval(SQL["document"], _CLUSTER)
            return None if found is None else bytes(found)

        found = await self._runner.run(verify)
        if found is None:
            return
        try:
            box.unseal(found.decode("ascii", "replace"), place)
        except StoreError:
            raise StoreError(
                f"This queue is that of relays with another vault.key ({self._runner.place}).",
                hint="Name another schema, postgresql://…?schema=name; or give all relays one key. If that "
                f"was replaced, delete {place.replace('the row', 'the row named')}, and sign in again.",
                configuration=True,
            ) from None

    def token_store(self, account: str, binding: str, *, clock: Clock, shortcut: str = "") -> GrantStore:
        return PostgresTokens(self._runner, account, binding, vault=self._vault, clock=clock)

    def ledger(self, mailbox: str, account: str, *, clock: Clock) -> Ledger:
        """One for all who ask with the same clock, so that it reads the past once."""
        made = PostgresLedger(self._runner, mailbox, clock, own_clock=self._own_clock)
        return self._ledgers.setdefault((mailbox, id(clock)), made)

    def connection_share(self, mailbox: str, most: int, *, clock: Clock, node: str = "") -> ConnectionShare:
        made = PostgresShares(self._runner, clock, node=node, own_clock=self._own_clock)
        return self._shares.setdefault((id(clock), node), made).share(mailbox, most)

    def document(self, name: str) -> Document:
        return PostgresDocument(self._runner, name)

    def close(self) -> None:
        """End its connections; who asks for something opens new ones."""
        self._runner.close()


class PostgresDocument:
    """A `Document` that is a row."""

    def __init__(self, runner: TransactionRunner, name: str) -> None:
        self.place = f"the row {name} of the table {runner.pool.url.schema}.document"
        self._runner = runner
        self._name = name

    async def read(self) -> bytes | None:
        async def read(connection: Any, time: float) -> bytes | None:
            found = await connection.fetchval(SQL["document"], self._name)
            return None if found is None else bytes(found)

        return await self._runner.run(read)

    async def write(self, data: bytes) -> None:
        async def write(connection: Any, time: float) -> None:
            await connection.execute(SQL["write-document"], self._name, data)

        await self._runner.run(write)

    async def put_aside(self) -> None:
        async def put_aside(connection: Any, time: float) -> None:
            await connection.execute(SQL["drop-document"], self._name)
            await connection.execute(SQL["put-document-aside"], self._name)

        with suppress(StoreError):
            await self._runner.run(put_aside)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Who dies meanwhile keeps the others from it for `HOLD`."""
        mine = secrets.token_hex(8)

        async def take(connection: Any, time: float) -> bool:
            await connection.execute(SQL["make-hold"], self._name)
            return bool(await connection.fetchval(SQL["take-hold"], self._name, mine, time, HOLD))

        async def let_go(connection: Any, time: float) -> None:
            await connection.execute(SQL["end-hold"], self._name, mine)

        ours = await self._runner.run(take, synced=False)
        try:
            yield ours
        finally:
            if ours:
                with suppress(StoreError):  # then it ends by itself
                    await asyncio.shield(self._runner.run(let_go, synced=False))
