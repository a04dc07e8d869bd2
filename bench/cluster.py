"""Relays that share a queue in PostgreSQL: what one database takes, beside other queues in the same one.

    ./dev bench cluster [--quick]
    ./dev bench cluster --only accepts     # durable accepts through one node, beside Postfix
    ./dev bench cluster --only queues      # stored messages claimed and finished, beside other queues
    ./dev bench cluster --only snapshot    # while somebody holds a snapshot for three minutes
    ./dev bench cluster --only nodes       # one node, two, three, four
    ./dev bench cluster --only backlog     # a claim behind a million messages
    ./dev bench cluster --only room        # what the tables take after a million messages
    ./dev bench cluster --only idle        # queries of nodes with nothing to do
    ./dev bench cluster --only outbox      # from the commit of a program to the smarthost
    ./dev bench cluster --only faults      # how soon mail flows again

It starts a PostgreSQL of its own, which syncs each commit. The database, the nodes and what is measured
beside them share the processors of this machine, so ratios count. As root, for Postfix.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

import _queues
from _bench import goal, median, save, show
from _cluster_faults import recovered
from _database import database, on_database, relay, server, sizes, spool
from _queues import LANE, fill, finish
from _relays import Clocked, Ours, Postfix, folder, load, running

from postbearer.store import Settlement
from relay.running import SENDER, Relay, plain_account

Goals = list[dict[str, Any]]


def accepts(quick: bool) -> tuple[dict[str, float], Goals]:
    """Durable accepts a second, ten sessions: one node, the same relay on SQLite, Postfix, and no relay."""
    rounds, messages = (1, 1500) if quick else (3, 4000)
    rates: dict[str, list[float]] = {}
    with (
        server() as on,
        database(on) as url,
        database(on) as bare,
        folder() as ours_at,
        folder() as file_at,
        folder() as theirs_at,
        running(Ours(ours_at, plain_account(9), relay(ours_at, url, plain_account(9)))) as ours,
        running(Ours(file_at, plain_account(9))) as in_a_file,
        running(Postfix(theirs_at, None, tls=False)) as theirs,
    ):
        theirs_at.chmod(0o755)
        for one in (ours, in_a_file):
            assert isinstance(one, Ours)
            one.hold()
        servers = {"one node": ours, "one relay on SQLite": in_a_file, "Postfix": theirs}
        for one in servers.values():
            load(one.port, 10, 200)
        for _ in range(rounds):
            for name, one in servers.items():
                rates.setdefault(name, []).append(messages / load(one.port, 10, messages))
        rates["pgbench, a row each"] = [_queues.pgbench_inserts(on, bare, messages, theirs_at / "script.sql")]
    found = {name: median(each) for name, each in rates.items()}
    return found, [
        goal("accepts, 10 sessions, against Postfix", found["one node"] / found["Postfix"], 0.75),
        goal("the same against SQLite", found["one node"] / found["one relay on SQLite"], 0.8),
    ]


def queues(quick: bool) -> tuple[dict[str, float], Goals]:
    """Stored messages of 4 KB claimed and finished a second."""
    rounds, messages = (1, 2000) if quick else (3, 6000)
    rates: dict[str, list[float]] = {}
    with server() as on, folder() as at:
        at.chmod(0o755)
        for _ in range(rounds):
            for name in ("ours", "procrastinate", "pgqueuer"):
                # procrastinate takes long for as many
                count = messages // 4 if name == "procrastinate" else messages
                with database(on) as url:
                    rate = asyncio.run(getattr(_queues, name)(url, count))
                rates.setdefault(name, []).append(rate)
            with database(on) as url:
                rates.setdefault("pgbench", []).append(_queues.pgbench(on, url, messages, at / "script.sql"))
    found = {name: median(each) for name, each in rates.items()}
    wanted = {"procrastinate": 5.0, "pgqueuer": 1.5, "pgbench": 0.5}
    return found, [
        goal(f"claimed and finished, against {name}", found["ours"] / found[name], least)
        for name, least in wanted.items()
    ]


def snapshot(quick: bool) -> tuple[dict[str, float], Goals]:
    """Accepted and finished a second, before and while somebody holds a snapshot."""
    before, held = (10.0, 20.0) if quick else (60.0, 180.0)
    with server() as on, database(on) as url:
        return asyncio.run(_snapshot(url, before, held))


async def _snapshot(url: str, before: float, held: float) -> tuple[dict[str, float], Goals]:
    import asyncpg

    at, ended, count = spool(url), asyncio.Event(), 0
    await at.open()

    async def program(number: int) -> None:
        each = 0
        while not ended.is_set():
            await _queues.accept(at, f"s{number}-{each}", "work")
            each += 1

    async def sending() -> None:
        nonlocal count
        while not ended.is_set():
            count += await finish(at, 100)
            await asyncio.sleep(0)

    async def rate(seconds: float) -> float:
        first, began = count, time.perf_counter()
        await asyncio.sleep(seconds)
        return (count - first) / (time.perf_counter() - began)

    programs = [asyncio.ensure_future(program(number)) for number in range(10)]
    programs.append(asyncio.ensure_future(sending()))
    await asyncio.sleep(min(10.0, before))
    free = await rate(before)
    holding = await asyncpg.connect(url)
    await holding.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await holding.fetchval("SELECT count(*) FROM postbearer.delivery")
    await asyncio.sleep(held - min(before, held / 3))
    at_its_end = await rate(min(before, held / 3))
    await holding.close()
    after = await rate(before)
    ended.set()
    await asyncio.gather(*programs)
    await at.close()
    found = {"before": free, "at its end": at_its_end, "after": after}
    share = at_its_end / median([free, after])
    return found, [goal(f"while a snapshot is held for {held:g} s, against without", share, 0.9)]


def nodes(quick: bool) -> tuple[dict[str, float], Goals]:
    """Claimed and finished a second by so many nodes, each a process."""
    rounds, messages = (1, 2000) if quick else (3, 6000)
    rates: dict[int, list[float]] = {}
    with server() as on:
        for _ in range(rounds):
            for count in (1, 2, 3, 4):
                with database(on) as url:
                    asyncio.run(fill(url, messages))
                    rates.setdefault(count, []).append(_by_processes(url, count, messages))
    found = {str(count): median(each) for count, each in rates.items()}
    least = min(rate / found["1"] for rate in found.values())
    return found, [goal("the total of more nodes, against one", least, 1)]


def _by_processes(url: str, count: int, messages: int) -> float:
    command = [sys.executable, __file__, "--node", url]
    started = [
        subprocess.Popen([*command, f"n{number}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    found = [json.loads(each.communicate()[0]) for each in started]
    assert sum(each["done"] for each in found) == messages, found
    return messages / (max(each["ended"] for each in found) - min(each["began"] for each in found))


async def _node(url: str, name: str) -> None:
    """One of them, in a process of its own."""
    at = spool(url, name)
    await at.open()
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.time()
    done = await finish(at, 10**9)
    ended = time.time()
    await at.close()
    print(json.dumps({"done": done, "began": began, "ended": ended}))


FILL = """
INSERT INTO message (slot, number, id, accepted, client, envelope, received, size, sha256, eight_bit,
                     is_binary, expires, message_id, author, subject, report_of, people, tags)
SELECT slot, (n + 10000000) << 6, 'x' || n, accepted, client, envelope, received, size, sha256, eight_bit,
       is_binary, expires, message_id, author, subject, report_of, people, tags
  FROM message, generate_series(1, {rows}) AS n WHERE id = 'm0';
INSERT INTO delivery (slot, number, message, priority, client, account, state, due, states, doubts,
                      recipients)
SELECT slot, (n + 20000000) << 6, (n + 10000000) << 6, priority, client, account, 'w', due, states, doubts,
       recipients
  FROM delivery, generate_series(1, {rows}) AS n
 WHERE message = (SELECT number FROM message WHERE id = 'm0');
INSERT INTO ready (ring, account, priority, client, due, delivery, turn)
SELECT 0, account, priority, client, due + n * 0.000001, number, turn
  FROM (SELECT *, row_number() OVER () AS n FROM delivery WHERE number >= 20000000::bigint << 6) AS d;
ANALYZE;
"""


def backlog(quick: bool) -> tuple[dict[str, float], Goals]:
    """Milliseconds of a claim, given back at once, behind a thousand messages and behind a million."""
    rows = 100_000 if quick else 1_000_000
    with server() as on, database(on) as few, database(on) as many:
        for url, count in ((few, 1000), (many, rows)):
            asyncio.run(fill(url, 10))
            on_database(on, url, "SET search_path = postbearer", *FILL.format(rows=count).split(";\n")[:-1])
        found = asyncio.run(_claims(few, many, 100 if quick else 300))
    return {"behind 1,000": found[0], f"behind {rows:,}": found[1]}, [
        goal(f"claim behind {rows:,}, against 1,000", found[1] / found[0], 1.2, at_most=True)
    ]


async def _claims(few: str, many: str, times: int) -> tuple[float, float]:
    """By turns."""
    spools, taken = (spool(few), spool(many)), ([], [])
    for each in spools:
        await each.open()
    for _ in range(times):
        for at, times_taken in zip(spools, taken, strict=True):
            began = time.perf_counter()
            await at.lanes(time.time(), {LANE.key})
            [claimed] = await at.claim({LANE: 1}, time.time())
            times_taken.append((time.perf_counter() - began) * 1000)
            await at.settle(claimed, Settlement(results=(), ended=0, counted=False))
    for each in spools:
        await each.close()
    return median(taken[0][times // 5 :]), median(taken[1][times // 5 :])


def room(quick: bool) -> tuple[dict[str, float], Goals]:
    """MiB of the tables after so many messages, and of the last ones, which are kept, written anew."""
    messages = 20_000 if quick else 1_000_000
    kept = messages // 5
    with server() as on, database(on) as url:
        asyncio.run(_through(url, messages, kept))
        on_database(on, url, "VACUUM ANALYZE")
        total, live = sizes(on, url)
    found = {"all": total, "live": live, "messages": messages, "kept": kept}
    return found, [goal(f"tables after {messages:,}, against the live data", total / live, 2, at_most=True)]


async def _through(url: str, messages: int, kept: int) -> None:
    at, batch = spool(url), kept // 5
    await at.open()
    ends: list[float] = []
    for begin in range(0, messages, batch):
        for part in range(begin, begin + batch, 200):
            await asyncio.gather(
                *(_queues.accept(at, f"r{number}", "work") for number in range(part, part + 200))
            )
            await finish(at, 200)
        ends.append(time.time())
        await at.heartbeat()
        if len(ends) > 5:
            await at.retire(ends[-6])
    await at.retire(ends[-6])
    await at.close()


def idle(quick: bool) -> tuple[dict[str, float], Goals]:
    """Queries a second and node, of three relays with nothing to do."""
    seconds, count = 20 if quick else 60, 3
    with (
        server("shared_preload_libraries = 'pg_stat_statements'\n") as on,
        database(on) as url,
        folder() as at,
    ):
        on_database(on, url, "CREATE EXTENSION pg_stat_statements")
        made = []
        for number in range(count):
            (at / str(number)).mkdir()
            made.append(relay(at / str(number), url, plain_account(9), node=f"n{number}"))
            assert made[-1].start(), made[-1].log
        time.sleep(20)
        on_database(on, url, "SELECT pg_stat_statements_reset()")
        time.sleep(seconds)
        asked = int(on_database(on, url, "SELECT sum(calls) FROM pg_stat_statements"))
        for each in made:
            each.stop()
    rate = asked / seconds / count
    return {"queries a second and node": rate}, [
        goal("queries of an idle node a second", rate, 1, at_most=True)
    ]


def outbox(quick: bool) -> tuple[dict[str, float], Goals]:
    """Milliseconds from a program's commit until its message is in the queue, and at the smarthost."""
    with server() as on, database(on) as url, folder() as at, closing(Clocked()) as target:
        client = '[[relay.clients]]\nname = "shop"\ndatabase-roles = ["postgres"]\n'
        made = relay(at, url, plain_account(target.port) + client)
        with made:
            assert made.start(), made.log
            return asyncio.run(_handed_over(url, made, target, 20 if quick else 100))


async def _handed_over(url: str, made: Relay, target: Clocked, count: int) -> tuple[dict[str, float], Goals]:
    import asyncpg

    program = await asyncpg.connect(url)
    call = "SELECT postbearer.send($1, ARRAY['anna@example.net'], 'x', 'x')"
    arrived, queued = [], []
    for _ in range(count):
        await asyncio.sleep(0.3)  # it rests meanwhile
        target.there.clear()
        async with program.transaction():
            await program.fetchval(call, SENDER)
        began, at = time.perf_counter(), time.time()
        assert await asyncio.to_thread(target.there.wait, 30)
        arrived.append((target.at - began) * 1000)
        [*_, last] = made.said("Accepted")
        queued.append((datetime.fromisoformat(str(last["time"])).timestamp() - at) * 1000)
    await program.close()
    found = {"in the queue": median(queued), "at the smarthost": median(arrived)}
    return found, [goal("ms until it is picked up", found["in the queue"], 20, at_most=True)]


PARTS: dict[str, Callable[[bool], tuple[dict[str, float], Goals]]] = {
    "accepts": accepts,
    "queues": queues,
    "snapshot": snapshot,
    "nodes": nodes,
    "backlog": backlog,
    "room": room,
    "idle": idle,
    "outbox": outbox,
    "faults": recovered,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer messages, one round, short snapshots")
    parser.add_argument("--only", choices=PARTS, help="this one part")
    parser.add_argument("--node", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.node:
        asyncio.run(_node(*options.node))
        return
    results: dict[str, dict[str, float]] = {}
    goals: Goals = []
    for name in [options.only] if options.only else PARTS:
        found, judged = PARTS[name](options.quick)
        results[name] = found
        goals += judged
        rows = [(what, f"{value:,.4g}") for what, value in found.items()]
        show(PARTS[name].__doc__ or name, ("", name), rows)
        sys.stdout.flush()
    if options.only is None:
        save("cluster", {"quick": options.quick, "results": results, "goals": goals}, {})


if __name__ == "__main__":
    main()
