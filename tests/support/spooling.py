"""Messages for spools, and the few steps most tests take with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from postbearer.clock import Clock
from postbearer.envelope import Envelope
from postbearer.outcome import RecipientFate
from postbearer.store import (
    Claimed,
    Lane,
    MemorySpool,
    Message,
    NewDelivery,
    Priority,
    Settlement,
    Spool,
    SqliteSpool,
    Staging,
    Status,
)
from postbearer.store.generation import Generation
from postbearer.store.location import SpoolLock
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.url import PostgresUrl

TEXT = b"From: app@example.org\r\nSubject: hello\r\n\r\nhello\r\n"
START = 1_800_000_000.0  # where a ManualClock begins


def sqlite(folder: Path, clock: Clock, *, node: str = "local") -> SqliteSpool:
    return SqliteSpool(folder / "spool.db", clock=clock, node=node, reserve=0, allow_ephemeral=True)


def in_one_commit(spool: SqliteSpool | PostgresSpool) -> asyncio.Future[None]:
    """Done, and told of first, with what is asked of `spool` in the same moment."""

    async def nothing(_: object) -> None: ...

    if isinstance(spool, PostgresSpool):
        return spool._writer.submit(nothing)
    return spool._writer.submit(lambda _: None)


class _NoLock(SpoolLock):
    def take(self) -> None:
        """As if there were no other process."""


class _SharedNote(Generation):
    """Of a log that others write, too, so that nobody knows its length."""

    def note(self, frames: int, *, home: bool = False) -> None:
        super().note(0, home=home)


def postgresql(url: str, clock: Clock, *, node: str = "local", events: bool | None = None) -> PostgresSpool:
    """A spool in a database, whose clock goes by ours."""
    return PostgresSpool(PostgresUrl.parse(url), clock=clock, node=node, events=events, time=clock.now)


def beside(spool: Spool, node: str, clock: Clock) -> Spool:
    """Another node on the same queue. On a file, as if its lock did not hold: then the leases have to."""
    if isinstance(spool, PostgresSpool):
        return PostgresSpool(spool._pool.url, clock=clock, node=node, time=clock.now)
    if isinstance(spool, MemorySpool):
        return MemorySpool(clock, node=node, beside=spool)
    assert isinstance(spool, SqliteSpool)
    path = spool._opening._path
    made = SqliteSpool(path, clock=clock, node=node, reserve=0, allow_ephemeral=True)
    made._opening._claim = _NoLock(path)
    if not isinstance(spool._opening.generation, _SharedNote):
        spool._opening.generation = _SharedNote(path)
    made._opening.generation = spool._opening.generation
    return made


def message(
    name: str, content: Staging, recipients: Sequence[str] = ("you@example.org",), accepted: float = START
) -> Message:
    return Message(
        id=name,
        accepted=accepted,
        client="app",
        envelope=Envelope.of("app@example.org", recipients),
        received="from app by relay.example.org",
        size=content.size,
        sha256=content.sha256,
        expires=accepted + 86_400,
        message_id=f"<{name}@example.org>",
        author="app@example.org",
        subject="hello",
    )


async def accept(
    spool: Spool,
    name: str,
    *,
    text: bytes = TEXT,
    recipients: Sequence[str] = ("you@example.org",),
    account: str = "work",
    client: str = "app",
    due: float = START,
    accepted: float = START,
    author: str = "app@example.org",
    subject: str = "",
) -> Message:
    """Put a message with one delivery into the queue."""
    content = spool.stage(name)
    await content.write(text)
    made = replace(message(name, content, recipients, accepted), author=author, subject=subject)
    await spool.accept(made, content, [delivery(made, account, client, due)])
    return made


def delivery(
    made: Message, account: str = "work", client: str = "app", due: float = START, *, at_once: bool = False
) -> NewDelivery:
    """The one delivery of a message."""
    recipients = made.envelope.recipients
    return NewDelivery(account=account, recipients=recipients, client=client, due=due, at_once=at_once)


async def claim(
    spool: Spool, now: float = START, most: int = 1, account: str = "work", client: str = "app"
) -> Sequence[Claimed]:
    lane = Lane(account=account, priority=Priority.NORMAL, client=client, due=now)
    return await spool.claim({lane: most}, now)


def ending(
    claimed: Claimed,
    status: Status,
    *,
    at: float = START,
    reply: str = "",
    cause: str = "",
    due: float | None = None,
) -> Settlement:
    """All recipients end alike."""
    results = [
        RecipientFate(recipient=each.recipient.address, status=status, reply=reply, cause=cause)
        for each in claimed.targets
    ]
    return Settlement(results=tuple(results), ended=at, due=due)


async def statuses(spool: Spool, name: str) -> list[Status]:
    entry = await spool.show(name)
    return [row.status for row in entry.rows] if entry else []
