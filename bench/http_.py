"""The HTTP API: posts and batches beside Postfix by SMTP, metrics, event streams, and its cost unused.

    ./dev bench http [--quick]
    ./dev bench http --only posts      # also: metrics, streams, off

Both relays take their turn in each round, on the same disk, with messages of 4 KB: Postfix from smtp-source
over 10 sessions, ours from bench/_post.py over 10 connections, by its parts and as it is, and in batches of
1,000. Beside ours stands what bench/_bare_http.py takes, which reads requests, syncs, and does nothing else:
no relay in Python can be faster. As root, because Postfix starts as root only. CPU is what the relay used for
each message, in µs.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from _bench import HERE, goal, helper, median, message, port_of, save, show
from _relays import TO, Postfix, folder, load, memory, running, wake_ups
from events import Followed, follow, quiet
from picture import Chart

from relay.running import SENDER, Relay, plain_account, relay_table

CONNECTIONS = 10
IN_A_BATCH = 1000
SIZE = 4096
GOALS = {  # against Postfix, and against the bare server: see docs/decisions/0025
    "by its parts": (0.75, 0.12),
    "in batches of 1,000": (2.0, 0.1),
}
METRICS = 10.0  # milliseconds
STREAMS = {"MB": 30.0, "percent": 5.0}

Goals = list[dict[str, Any]]


def requests(at: Path) -> dict[str, tuple[str, str, Path, int]]:
    """Path, media type, body and how many messages it has, by what it is called."""
    head = {"from": SENDER, "to": TO, "subject": "A benchmark"}
    parts = {**head, "text": ("x" * 76 + "\n") * (SIZE // 77)}
    one, many = at / "one.json", at / "many.json"
    one.write_text(json.dumps(parts))
    many.write_text(json.dumps({"messages": [parts] * IN_A_BATCH}))
    return {
        "by its parts": ("/v1/messages", "application/json", one, 1),
        "as it is": (f"/v1/messages?from={SENDER}&to={TO}", "message/rfc822", message(str(at), SIZE), 1),
        "in batches of 1,000": ("/v1/messages/batch", "application/json", many, IN_A_BATCH),
    }


def post(port: int, token: str, path: str, kind: str, body: Path, *, connections: int, count: int) -> float:
    """Seconds until all of `count` requests were answered by 202."""
    words = [str(port), str(connections), str(count), path, kind, token, str(body)]
    command = [sys.executable, str(HERE / "_post.py"), *words]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def posts(quick: bool) -> tuple[dict[str, Any], Goals]:
    """Durable messages a second; nothing is delivered meanwhile."""
    rounds, messages = (1, 2000) if quick else (5, 6000)
    rates: dict[str, list[float]] = {}
    used: dict[str, list[float]] = {}
    bares: dict[str, list[float]] = {}
    with folder() as at, folder() as ours_at, folder() as theirs_at, folder() as bare_at:
        kinds = requests(at)
        with (
            Followed(ours_at) as ours,
            running(Postfix(theirs_at, None, tls=False)) as theirs,
            helper("_bare_http.py", str(bare_at)) as bare,
        ):
            assert ours.start(), ours.log
            ours.ask("accounts.pause", name="out")
            bare_port = port_of(bare)
            for _ in range(rounds):
                rates.setdefault("Postfix", []).append(messages / load(theirs.port, CONNECTIONS, messages))
                for name, (path, kind, body, each) in kinds.items():
                    before = ours.processor()
                    count, connections = max(messages // each, 3), 1 if each > 1 else CONNECTIONS
                    asked = (path, kind, body)
                    taken = post(ours.http, ours.token, *asked, connections=connections, count=count)
                    rates.setdefault(name, []).append(count * each / taken)
                    used.setdefault(name, []).append((ours.processor() - before) / (count * each) * 1e6)
                    taken = post(bare_port, "none", *asked, connections=connections, count=count)
                    bares.setdefault(name, []).append(count * each / taken)
            bare.kill()
    rate = {name: median(each) for name, each in rates.items()}
    cpu = {name: median(each) for name, each in used.items()}
    most = {name: median(each) for name, each in bares.items()}
    postfix = rate["Postfix"]
    lines = [("Postfix", f"{postfix:,.0f}", "1.00", "", "", "")]
    lines += [
        (
            *(name, f"{rate[name]:,.0f}", f"{rate[name] / postfix:.2f}", f"{cpu[name]:.0f}"),
            *(f"{most[name]:,.0f}", f"{most[name] / postfix:.2f}"),
        )
        for name in cpu
    ]
    columns = ("", "messages/s", "ratio", "CPU", "bare", "bare / Postfix")
    show("Durable messages a second, 4 KB", columns, lines)
    goals = []
    for name, (against, share) in GOALS.items():
        goals.append(goal(f"{name}, against Postfix", rate[name] / postfix, against))
        goals.append(goal(f"{name}, against the bare server", rate[name] / most[name], share))
    return {"messages a second": rate, "CPU": cpu, "bare": most}, goals


def metrics(quick: bool) -> tuple[dict[str, Any], Goals]:
    """Milliseconds from the request for /metrics to the end of its answer, with so many accounts."""
    accounts, times = 1000, 50 if quick else 500
    taken: list[float] = []
    with folder() as at:
        text = "".join(plain_account(9, name=f"account-{number}") for number in range(accounts))
        with Followed(at, text, 'account = "account-0"') as relay:
            assert relay.start(), relay.log
            time.sleep(3)  # until there is a page
            with closing(http.client.HTTPConnection("127.0.0.1", relay.http)) as client:
                for _ in range(times):
                    began = time.perf_counter()
                    client.request("GET", "/metrics", headers={"host": "localhost"})
                    page = client.getresponse().read()
                    taken.append((time.perf_counter() - began) * 1000)
                    time.sleep(0.02)
    taken.sort()
    found = {"median": median(taken), "99 of 100": taken[len(taken) * 99 // 100], "size": len(page) / 1e6}
    line = [f"{found['median']:.1f}", f"{found['99 of 100']:.1f}", f"{found['size']:.2f}"]
    show(f"/metrics of {accounts} accounts", ("", "ms", "ms, 99 of 100", "MB"), [("", *line)])
    return found, [goal(f"/metrics of {accounts} accounts, ms", found["median"], METRICS, at_most=True)]


def streams(quick: bool) -> tuple[dict[str, Any], Goals]:
    """What 1,000 open event streams add while nothing happens."""
    count, seconds = 1000, 5.0 if quick else 30.0

    async def measure(relay: Followed) -> dict[str, float]:
        for _, writer in [await follow(relay) for _ in range(20)]:  # what is imported and kept once
            writer.close()
        before, share = memory(relay), await quiet(relay, seconds)
        open_ = [await follow(relay) for _ in range(count)]
        added = {"MB": (memory(relay) - before) * 1.048576}
        added["percent"] = (await quiet(relay, seconds) - share) * 100
        for _, writer in open_:
            writer.close()
        return added

    with folder() as at, Followed(at) as relay:
        assert relay.start(), relay.log
        added = asyncio.run(measure(relay))
    show(
        f"{count} event streams add",
        ("", "MB", "% of a processor"),
        [("", f"{added['MB']:.1f}", f"{added['percent']:.2f}")],
    )
    return added, [
        goal(f"{unit} that {count} streams add", added[unit], most, at_most=True)
        for unit, most in STREAMS.items()
    ]


def off(quick: bool) -> tuple[dict[str, Any], Goals]:
    """A relay without [http] beside one with it: its start, memory, and wake-ups in an idle minute."""
    rounds, seconds = (3, 20) if quick else (9, 120)
    makers: dict[str, Callable[[Path], Relay]] = {
        "without": lambda at: Relay(at, plain_account(9) + relay_table()),
        "with": Followed,
    }
    found: dict[str, dict[str, float]] = {}
    with folder() as without_at, folder() as with_at:
        relays = {name: makers[name](at) for name, at in (("without", without_at), ("with", with_at))}
        for number in range(rounds):
            for relay in relays.values():
                assert relay.start(), relay.log
                if number < rounds - 1:
                    relay.stop()
        time.sleep(3)
        before = {name: wake_ups(relay) for name, relay in relays.items()}
        time.sleep(seconds)
        for name, relay in relays.items():
            woken = (wake_ups(relay) - before[name]) * 60 / seconds
            started = median(relay.starts[1:])
            found[name] = {"start": started, "memory": memory(relay), "wake-ups": woken}
            relay.kill()
    columns = ("[http]", "start, ms", "MiB", "wake-ups a minute")
    rows = [
        (name, f"{each['start'] * 1000:.0f}", f"{each['memory']:.1f}", f"{each['wake-ups']:.0f}")
        for name, each in found.items()
    ]
    show("A relay that has nothing to do", columns, rows)
    return found, []


PARTS = {"posts": posts, "metrics": metrics, "streams": streams, "off": off}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few messages, one round")
    parser.add_argument("--only", choices=PARTS, help="this one part")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    goals: Goals = []
    for name in [options.only] if options.only else PARTS:
        results[name], met = PARTS[name](options.quick)
        goals += met
    if not options.only:
        chart = Chart("Durable messages a second", "messages/s", results["posts"]["messages a second"])
        save("http", {"results": results, "goals": goals}, {"": chart})


if __name__ == "__main__":
    main()
