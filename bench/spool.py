"""The queue on this disk: durable accepts a second, and what a claim costs behind a long queue.

./dev bench spool [MESSAGES [ROWS]]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import apsw

from postbearer.clock import SystemClock
from postbearer.envelope import Envelope
from postbearer.outcome import RecipientFate
from postbearer.store import Lane, Message, NewDelivery, Priority, Settlement, SqliteSpool, Status

TEXT = b"Subject: hello\r\n\r\n" + b"x" * 70 + b"\r\n" * 2005  # 4 KB
ENVELOPE = Envelope.of("app@example.org", ["you@example.org"])
FILL = """
WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?)
INSERT INTO delivery (message, account, priority, client, due, since)
SELECT (SELECT min(number) FROM message), ?, 1, 'app', n, n FROM up
"""
RECIPIENTS = """
INSERT INTO recipient (delivery, address, notify, orcpt)
SELECT id, 'you@example.org', '', '' FROM delivery WHERE account = ?
"""


async def accept(spool: SqliteSpool, name: str, account: str) -> None:
    content = spool.stage(name)
    await content.write(TEXT)
    message = Message(
        id=name,
        accepted=time.time(),
        client="app",
        envelope=ENVELOPE,
        received="",
        size=content.size,
        sha256=content.sha256,
        expires=time.time() + 86_400,
    )
    delivery = NewDelivery(account=account, recipients=ENVELOPE.recipients, client="app")
    await spool.accept(message, content, [delivery])


async def accepts(spool: SqliteSpool, sessions: int, each: int) -> float:
    """Messages a second, taken by so many sessions that wait for their 250."""

    async def session(number: int) -> None:
        for count in range(each):
            await accept(spool, f"{sessions}-{number}-{count}", "work")

    began = time.perf_counter()
    await asyncio.gather(*(session(number) for number in range(sessions)))
    return sessions * each / (time.perf_counter() - began)


async def deliveries(spool: SqliteSpool, most: int, connections: int = 3) -> float:
    """Messages a second, claimed, read and marked delivered by so many connections."""
    lane = Lane(account="work", priority=Priority.NORMAL, client="app", due=0)
    total = 0

    async def connection() -> None:
        nonlocal total
        while total < most and (batch := await spool.claim({lane: 1}, time.time())):
            total += 1
            sum(map(len, (await spool.content(batch[0].message)).blocks()))
            results = tuple(
                RecipientFate(recipient=each.recipient.address, status=Status.DELIVERED)
                for each in batch[0].targets
            )
            await spool.settle(batch[0], Settlement(results=results, ended=time.time()))

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(connections)))
    return total / (time.perf_counter() - began)


async def claims(spool: SqliteSpool, account: str, times: int = 200) -> tuple[float, float]:
    """Median microseconds of `lanes`, and of a claim given back at once, sync included."""
    lane = Lane(account=account, priority=Priority.NORMAL, client="app", due=0)
    looks, leases = [], []
    for _ in range(times):
        began = time.perf_counter()
        await spool.lanes(time.time())
        looks.append(time.perf_counter() - began)
        began = time.perf_counter()
        [claimed] = await spool.claim({lane: 1}, time.time())
        leases.append(time.perf_counter() - began)
        await spool.settle(claimed, Settlement(results=(), ended=0, counted=False))
    return statistics.median(looks) * 1e6, statistics.median(leases) * 1e6


def fill(path: Path, rows: int) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(FILL, (rows, "spent"))
    connection.execute(RECIPIENTS, ("spent",))
    connection.close()


def spool_at(path: Path) -> SqliteSpool:
    return SqliteSpool(path, clock=SystemClock(), reserve=0, allow_ephemeral=True)


async def main(messages: int, rows: int) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path, long_path = Path(folder) / "spool.db", Path(folder) / "long.db"
        spool = spool_at(path)
        await spool.open()
        for sessions in (1, 10, 50):
            rate = await accepts(spool, sessions, messages // sessions)
            print(f"{sessions:3} sessions  {rate:8,.0f} accepted/s")
        for connections in (3, 30):
            rate = await deliveries(spool, messages, connections)
            print(f"{connections:3} connections {rate:6,.0f} claimed, read and marked/s")
        await spool.close()

        fill(path, 1_000)
        for file in path.parent.glob("spool.db*"), path.parent.glob("spool.generation"):
            for each in file:  # with all that stands beside it, or it is a restored copy, and held
                each.with_name(each.name.replace("spool", "long", 1)).write_bytes(each.read_bytes())
        long_path.chmod(0o600)
        fill(long_path, rows)
        short, long = spool_at(path), spool_at(long_path)
        await short.open()
        began = time.perf_counter()
        await long.open()
        print(f"opened with {rows:,} rows in {time.perf_counter() - began:.3f} s")
        for _ in range(2):  # the second round counts
            quick, slow = await claims(short, "work"), await claims(long, "work")
        print(f"claim  {quick[1]:6.0f} µs behind 1,000 of another account, {slow[1]:6.0f} µs behind {rows:,}")
        print(f"lanes  {quick[0]:6.0f} µs, {slow[0]:6.0f} µs")
        began = time.perf_counter()
        await long.statistics()
        print(f"stats of {rows:,} in {(time.perf_counter() - began) * 1e3:.1f} ms")
        print(f"claim of the long lane itself {(await claims(long, 'spent'))[1]:6.0f} µs")
        await short.close()
        await long.close()


if __name__ == "__main__":
    asyncio.run(main(*map(int, (*sys.argv[1:], *("5000", "1000000")[len(sys.argv) - 1 :]))))
