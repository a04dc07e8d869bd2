"""Who follows what becomes of recipients: the changes that are kept, and how far each webhook is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple
from functools import partial
from typing import Any

from postbearer.store.postgres import tally
from postbearer.store.postgres.auditing import SQL as OPERATING
from postbearer.store.postgres.auditing import Write
from postbearer.store.postgres.connection_pool import ConnectionPool
from postbearer.store.postgres.nodes import NODES
from postbearer.store.postgres.numbers import WriteTarget
from postbearer.store.postgres.reads import LOOK
from postbearer.store.postgres.rows import clean, status_of, tags_of
from postbearer.store.postgres.transaction import Transaction
from postbearer.store.records import StateChange, TrafficCount, WaitingEvent, WebhookRow

COUNTED = 8 * 86_400.0  # seconds for which counts are kept


class Following:
    """What `DurableSpool` has beside `Spool`, by the spool's writer and its readers."""

    def __init__(self, write: Write, pool: ConnectionPool, places: WriteTarget) -> None:
        self._write = write
        self._pool = pool
        self._places = places

    async def keep_history(self) -> None:
        """From now on; other nodes begin with their next heartbeat."""

        async def begin(transaction: Transaction) -> None:
            await transaction.connection.execute(NODES["set"], "events", 1.0)
            self._places.events = True

        await self._write(begin)

    async def history(self, after: int, most: int, message: str = "") -> Sequence[StateChange]:
        async with self._pool.reading() as connection:
            return [
                StateChange(
                    number=row["number"],
                    at=row["at"],
                    message=row["message"],
                    client=row["client"],
                    account=row["account"],
                    recipient=row["recipient"],
                    status=status_of(row["state"]),
                    unknown=row["doubtful"],
                    said=row["said"],
                    tags=tags_of(row["tags"]),
                )
                for row in await connection.fetch(LOOK["events"], after, most, message)
            ]

    async def history_kept(self) -> tuple[int, int]:
        async with self._pool.reading() as connection:
            row = await connection.fetchrow(LOOK["events-kept"])
            return row["first"], row["last"]

    async def history_since(self, at: float) -> int:
        async with self._pool.reading() as connection:
            return int(await connection.fetchval(LOOK["first-event-since"], at) or 0)

    async def traffic(self, since: float, width: int) -> Sequence[TrafficCount]:
        async with self._pool.reading() as connection:
            return await tally.traffic(connection, since, width)

    async def _forget_traffic(self, now: float) -> None:
        await self._write(partial(tally.forget_traffic, before=now - COUNTED))

    async def webhooks(self) -> Mapping[str, tuple[WebhookRow, Sequence[WaitingEvent]]]:
        async with self._pool.reading() as connection:
            rows = [WebhookRow(**row) for row in await connection.fetch(OPERATING["webhooks"])]
            return {row.name: (row, await _waiting(connection, row.name)) for row in rows}

    async def keep_webhook(
        self, row: WebhookRow, again: Collection[WaitingEvent] = (), done: Collection[int] = ()
    ) -> None:
        values = [clean(each) if isinstance(each, str) else each for each in astuple(row)]
        columns = list(zip(*map(astuple, again), strict=True))

        async def keep(transaction: Transaction) -> None:
            await transaction.connection.execute(OPERATING["keep-webhook"], *values)
            if done:
                await transaction.connection.execute(OPERATING["drop-event"], row.name, list(done))
            if columns:
                await transaction.connection.execute(OPERATING["keep-event"], row.name, *map(list, columns))

        await self._write(keep)

    async def drop_webhook(self, name: str) -> None:
        async def drop(transaction: Transaction) -> None:
            for query in ("drop-webhook", "drop-webhook-events"):
                await transaction.connection.execute(OPERATING[query], name)

        await self._write(drop)


async def _waiting(connection: Any, name: str) -> Sequence[WaitingEvent]:
    return [WaitingEvent(*row) for row in await connection.fetch(OPERATING["waiting-events"], name)]
