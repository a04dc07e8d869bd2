"""Accepting: what is known already is refused, and all else added; several messages in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from postbearer.errors import StoreError
from postbearer.store.keys import refuse_repeated
from postbearer.store.postgres.contents import PostgresStaging
from postbearer.store.postgres.rows import clean
from postbearer.store.postgres.transaction import ACCEPT, Transaction
from postbearer.store.records import Claimed, Incoming


class Arrival(NamedTuple):
    """A message that comes, and its content, which was staged here."""

    new: Incoming
    content: PostgresStaging


def arrival(new: Incoming) -> Arrival:
    return Arrival(new, staged(new.content))


def staged(content: object) -> PostgresStaging:
    if not isinstance(content, PostgresStaging):
        raise StoreError("This content was staged in another spool.")
    return content


class Door:
    """What is known of ids and keys, within one transaction that accepts."""

    def __init__(self, ids: set[str], keys: dict[tuple[str, str], tuple[str, str]]) -> None:
        self._ids = ids
        self._keys = keys
        self._new: dict[tuple[str, str], tuple[str, str, str, str, float]] = {}

    @classmethod
    async def of(cls, transaction: Transaction, arrivals: Sequence[Arrival], *, doubted: bool) -> Door:
        """Ids are new nearly always: they are asked for once adding found one that was not (`doubted`)."""
        connection = transaction.connection
        keys = [key for each in arrivals if (key := each.new.key) is not None]
        known = used = []
        if doubted:
            known = await connection.fetch(ACCEPT["known-ids"], [each.new.message.id for each in arrivals])
        if keys:
            pairs = [clean(key.client) for key in keys], [clean(key.key) for key in keys]
            used = await connection.fetch(ACCEPT["known-keys"], *pairs)
        return cls(
            {row["id"] for row in known},
            {(row["client"], row["key"]): (row["digest"], row["message"]) for row in used},
        )

    def accept(self, transaction: Transaction, batch: Sequence[Arrival]) -> list[Claimed]:
        """All of `batch`, or none of it. Raises `AlreadyAccepted`, `KeyReused`, `StoreError`."""
        ids, keys = set(self._ids), dict(self._keys)
        new = {}
        for each in batch:
            message, key = each.new.message, each.new.key
            if key is not None:
                refuse_repeated(key, keys.get((clean(key.client), clean(key.key))))
                pair = clean(key.client), clean(key.key)
                keys[pair] = key.digest, message.id
                new[pair] = (*pair, key.digest, message.id, message.accepted)
            if message.id in ids:
                raise StoreError(f"There is a message {message.id} already.")
            ids.add(message.id)
        self._ids, self._keys = ids, keys
        self._new |= new
        return [
            claimed
            for each in batch
            for claimed in transaction.keep(each.new.message, each.content, each.new.deliveries)
        ]

    def close(self, transaction: Transaction) -> None:
        """Note the new keys."""
        transaction.use(list(self._new.values()))
