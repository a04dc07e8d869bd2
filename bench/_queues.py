"""Stored messages of 4 KB, claimed and finished a second: ours, other queues on PostgreSQL, and pgbench."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Any

from _database import numbered, on_database, spool
from spool import TEXT, accept

from postbearer.outcome import RecipientFate
from postbearer.store import Claimed, Lane, Priority, Settlement, Status
from postbearer.store.postgres.additions import ADDING
from postbearer.store.postgres.claiming import NEAR
from postbearer.store.postgres.connection_pool import SQL as SESSION
from postbearer.store.postgres.spool import PostgresSpool
from postbearer.store.postgres.transaction import TURN
from servers.postgresql import Postgresql

WORKERS = 30  # deliveries at a time, for each that can be told
CLIENTS = 10  # of pgbench
LANE = Lane(account="work", priority=Priority.NORMAL, client="app", due=0)


async def fill(url: str, count: int, name: str = "m", sessions: int = 50) -> None:
    """Have so many messages wait."""
    filling = spool(url, "filling")
    await filling.open()

    async def session(number: int) -> None:
        for each in range(number, count, sessions):
            await accept(filling, f"{name}{each}", "work")

    await asyncio.gather(*map(session, range(sessions)))
    await filling.close()


async def ours(url: str, count: int) -> float:
    """As a relay does it, which has nothing of them in memory: claimed, read, marked."""
    await fill(url, count)
    finishing = spool(url, "finishing")
    await finishing.open()
    began = time.perf_counter()
    assert await finish(finishing, count) == count
    taken = time.perf_counter() - began
    await finishing.close()
    return count / taken


async def finish(at: PostgresSpool, most: int, workers: int = WORKERS) -> int:
    """Look and claim for each free worker, as the dispatcher does; how many were finished."""
    free, done = asyncio.Semaphore(workers), 0
    running: set[asyncio.Task[None]] = set()

    async def work(claimed: Claimed) -> None:
        nonlocal done
        sum(map(len, (await at.content(claimed.message)).blocks()))
        result = RecipientFate(recipient=claimed.targets[0].recipient.address, status=Status.DELIVERED)
        await at.settle(claimed, Settlement(results=(result,), ended=time.time()))
        done += 1
        free.release()

    while done + len(running) < most:
        await free.acquire()
        slots = 1
        while not free.locked() and slots < most - done - len(running):
            await free.acquire()
            slots += 1
        await at.lanes(time.time(), {LANE.key})
        batch = await at.claim({LANE: slots}, time.time())
        for _ in range(slots - len(batch)):
            free.release()
        for each in batch:
            task = asyncio.ensure_future(work(each))
            running.add(task)
            task.add_done_callback(running.discard)
        if not batch and not running:
            break
    await asyncio.gather(*running)
    return done


async def procrastinate(url: str, count: int) -> float:
    """Its own worker, with as many jobs at a time; a task that does nothing."""
    import procrastinate as library

    app = library.App(connector=library.PsycopgConnector(conninfo=url, max_size=WORKERS))
    left = count

    @app.task(name="send")
    async def send(content: str) -> None:
        nonlocal left
        left -= 1

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        jobs = [{"content": TEXT.decode()}] * 500
        for _ in range(0, count, len(jobs)):
            await send.batch_defer_async(*jobs[: count - _])
        began = time.perf_counter()
        await app.run_worker_async(
            wait=False, concurrency=WORKERS, install_signal_handlers=False, listen_notify=False
        )
        taken = time.perf_counter() - began
    assert left == 0, left
    return count / taken


async def pgqueuer(url: str, count: int) -> float:
    """Its own worker, as it is set by default: ten jobs a fetch."""
    import asyncpg
    from pgqueuer import PgQueuer
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries
    from pgqueuer.types import QueueExecutionMode

    connection = await asyncpg.connect(url)
    driver = AsyncpgDriver(connection)
    queue, queries = PgQueuer(driver), Queries(driver)
    await queries.install()
    left = count

    @queue.entrypoint("send")
    async def send(job: Any) -> None:
        nonlocal left
        left -= 1

    for begin in range(0, count, 500):
        most = min(500, count - begin)
        await queries.enqueue(["send"] * most, [TEXT] * most, [0] * most)
    began = time.perf_counter()
    await queue.qm.run(mode=QueueExecutionMode.drain)
    taken = time.perf_counter() - began
    await connection.close()
    assert left == 0, left
    return count / taken


def pgbench(on: Postgresql, url: str, count: int, script: Path) -> float:
    """The same statements, one message at a time, by a program in C with ten connections."""
    asyncio.run(fill(url, count + 50 * CLIENTS))
    on_database(on, url, f"ALTER DATABASE {url.rpartition('/')[2]} SET search_path = postbearer")
    script.write_text(_script())
    script.chmod(0o644)
    words = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-t", str(count // CLIENTS)]
    text = on.run("pgbench", *words, "-D", "floor=0", "-D", "seq=0", "-f", str(script), url)
    done = on_database(on, url, "SELECT count(*) FROM postbearer.delivery WHERE state = 'x'")
    if int(done) != count // CLIENTS * CLIENTS:
        sys.exit(f"pgbench finished {done} of {count}: {text}")
    return _rate(text)


def pgbench_inserts(on: Postgresql, url: str, count: int, script: Path) -> float:
    """What the database alone does: a row of 4 KB and a synced commit a message, by ten connections."""
    on_database(on, url, "CREATE TABLE bare (number bigint GENERATED ALWAYS AS IDENTITY, data bytea)")
    script.write_text(f"INSERT INTO bare (data) VALUES (decode(repeat('78', {len(TEXT)}), 'hex'));\n")
    script.chmod(0o644)
    words = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-t", str(count // CLIENTS)]
    return _rate(on.run("pgbench", *words, "-f", str(script), url))


def _rate(text: str) -> float:
    found = re.search(r"tps = ([\d.]+)", text)
    assert found is not None, text
    return float(found[1])


def _script() -> str:
    """A transaction that claims, with the content, and one that marks: as `PostgresSpool` has them."""
    begin = numbered(SESSION["begin"], "'postbearer'", "'off'", "true", "true", "'auto'")
    begin = begin.replace("AS number", "AS xid").replace("AS time", "AS moment")
    lane = ("ARRAY['work']", "ARRAY[1]::smallint[]", "ARRAY['app']", "ARRAY[1]")
    lease = "((:client_id + 1000)::bigint << 32) + :seq"
    claim = numbered(
        TURN["claim"],
        *(*lane, ":moment::float8", lease, "ARRAY[:floor::float8]", "ARRAY[0::bigint]", str(NEAR)),
    )
    ours = (":slot::smallint", "ARRAY[:delivery::bigint]", "ARRAY[:lease::bigint]")
    now = "ARRAY[:moment::float8]"
    marks = ("ARRAY['x']", "ARRAY[1]", "ARRAY[NULL::float8]", now, "ARRAY[false]", "ARRAY['work']")
    settle = numbered(TURN["settle"], *ours, *marks, "ARRAY['o']", "ARRAY['0']")
    said = ("ARRAY['']",) * 3 + ("ARRAY['[]']", "ARRAY['']")
    outcome = numbered(
        ADDING["outcomes"], *ours[1:], "ARRAY[1]", "ARRAY[true]", now, now, "ARRAY[false]", *said
    )
    first = f"BEGIN;\n{begin} \\gset\n"
    return (
        f"\\set seq :seq + 1\n{first}{claim} \\gset\nCOMMIT;\n\\set floor :due\n"
        f"{first}{settle} \\gset gone_\n{outcome};\nCOMMIT;\n"
    )
