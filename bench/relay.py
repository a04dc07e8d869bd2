"""The relay beside Postfix: durable accepts, the whole way, latency, memory, a million queued.

    ./dev bench relay [--quick]
    ./dev bench relay --only accepts
    ./dev bench relay --only way        # accepted and delivered over TLS, also with limits set
    ./dev bench relay --only idle
    ./dev bench relay --only paced      # five minutes at 30 a minute, in real time
    ./dev bench relay --only queued     # a million messages queued

Both take their turn in each round, on the same disk, with the same load from Postfix's own smtp-source; the
target of both is bench/sink.py. As root, because Postfix starts as root only. Beside the accepts stands what
bench/_bare.py reaches, a server that checks nothing and only syncs: no relay in Python can be faster.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import smtplib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from _bench import goal, helper, median, port_of, save, show, sink
from _relays import TO, Clocked, Ours, Postfix, folder, load, running, tls_account, wait_empty, wake_ups
from _relays import memory as memory_of
from picture import Chart
from spool import accept, fill, spool_at

from relay.running import SENDER, Relay, plain_account, relay_table
from servers.processes import program

SESSIONS = {1: 1.0, 10: 1.0, 50: 1.5}  # goals against Postfix (docs/decisions/0010) …
BARE = 0.5  # … and against a server that only syncs
LIMITED = "postbearer, limits set"
MIB = 1 << 20


def accepts(rounds: int, messages: int) -> dict[str, dict[str, float]]:
    """Durable accepts a second, by sessions; nothing is delivered meanwhile."""
    rates: dict[tuple[str, int], list[float]] = {}
    with (
        folder() as ours_at,
        folder() as theirs_at,
        folder() as bare_at,
        running(Ours(ours_at, plain_account(9))) as ours,
        running(Postfix(theirs_at, None, tls=False)) as theirs,
        helper("_bare.py", str(bare_at)) as bare,
    ):
        assert isinstance(ours, Ours)
        ours.hold()
        ports = {"postbearer": ours.port, "Postfix": theirs.port, "bare": port_of(bare)}
        for _ in range(rounds):
            for sessions in SESSIONS:
                for name, port in ports.items():
                    count = messages if sessions > 1 else messages // 3
                    rate = count / load(port, sessions, count)
                    rates.setdefault((name, sessions), []).append(rate)
        bare.kill()
    return {str(sessions): {name: median(rates[name, sessions]) for name in ports} for sessions in SESSIONS}


def accepts_compared(
    rounds: int, messages: int
) -> tuple[dict[str, dict[str, float]], list[dict[str, object]]]:
    """The same as a table, and which goals are met."""
    taken = accepts(rounds, messages)
    columns = ("sessions", "postbearer", "Postfix", "ratio", "bare", "bare / Postfix")
    lines = [
        (
            sessions,
            *(f"{rates[name]:,.0f}" for name in ("postbearer", "Postfix")),
            f"{rates['postbearer'] / rates['Postfix']:.1f}",
            f"{rates['bare']:,.0f}",
            f"{rates['bare'] / rates['Postfix']:.1f}",
        )
        for sessions, rates in taken.items()
    ]
    show("Durable accepts a second, 4 KB", columns, lines)
    goals = []
    for sessions, wanted in SESSIONS.items():
        ours, postfix, bare = (taken[str(sessions)][name] for name in ("postbearer", "Postfix", "bare"))
        goals.append(goal(f"accepts, {sessions} sessions, against Postfix", ours / postfix, wanted))
        goals.append(goal(f"accepts, {sessions} sessions, against the bare server", ours / bare, BARE))
    return taken, goals


def whole_way(rounds: int, messages: int) -> dict[str, float]:
    """Messages a second accepted from 10 sessions and delivered over TLS, ours with a bearer token."""
    rates: dict[str, list[float]] = {}
    with folder() as notes, folder() as ours_at, folder() as limited_at, folder() as theirs_at:
        tally = notes / "tally"
        with sink("--starttls", "--open", "--tally", str(tally)) as target:
            plain = tls_account(target.port, target.ca_file, "starttls")
            limited = tls_account(target.port, target.ca_file, "starttls", limited=True)
            with (
                running(Ours(ours_at, plain)) as ours,
                running(Ours(limited_at, limited)) as with_limits,
                running(Postfix(theirs_at, target.port, tls=True)) as theirs,
            ):
                servers = {"postbearer": ours, LIMITED: with_limits, "Postfix": theirs}
                _in_turns(servers, tally, rounds, messages, rates)
    return {name: median(each) for name, each in rates.items()}


def _in_turns(
    servers: dict[str, Ours | Postfix],
    tally: Path,
    rounds: int,
    messages: int,
    rates: dict[str, list[float]],
) -> None:
    for _ in range(rounds):
        for name, server in servers.items():
            before, began = arrived(tally), time.perf_counter()
            load(server.port, 10, messages)
            while arrived(tally) < before + messages:
                time.sleep(0.005)
            rates.setdefault(name, []).append(messages / (time.perf_counter() - began))


def arrived(tally: Path) -> int:
    return int(tally.read_text() or 0)


def latency(count: int) -> dict[str, float]:
    """Milliseconds (median) from the end of the content to the smarthost, with nothing else to do."""
    target = Clocked()
    taken: dict[str, list[float]] = {}
    with (
        folder() as ours_at,
        folder() as theirs_at,
        running(Ours(ours_at, plain_account(target.port))) as ours,
        running(Postfix(theirs_at, target.port, tls=False)) as theirs,
    ):
        for _ in range(count):
            for name, server in (("postbearer", ours), ("Postfix", theirs)):
                taken.setdefault(name, []).append(_one(server.port, target))
    target.close()
    return {name: median(each) * 1000 for name, each in taken.items()}


def _one(port: int, target: Clocked) -> float:
    target.there.clear()
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        client.docmd("MAIL", f"FROM:<{SENDER}>")
        client.docmd("RCPT", f"TO:<{TO}>")
        client.docmd("DATA")
        client.send(b"From: app@example.org\r\nSubject: x\r\n\r\n" + b"x" * 70 + b"\r\n.\r\n")
        began = time.perf_counter()
        assert client.getreply()[0] == 250
    assert target.there.wait(30)
    return target.at - began


def msmtp(rounds: int) -> float:
    """Milliseconds (median) that msmtp takes in all."""
    taken = []
    with folder() as at, running(Ours(at, plain_account(9))) as ours:
        words = ["--file=/dev/null", "--host=127.0.0.1", f"--port={ours.port}", f"--from={SENDER}", TO]
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run(
                [program("msmtp", "msmtp"), *words], input=b"Subject: x\n\nHello\n" * 5, check=True
            )
            taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def memory(size: int) -> dict[str, float]:
    """MiB: idle, and what one message of `size` MiB adds to the peak on its way in and out."""
    with (
        sink() as target,
        folder() as at,
        running(Ours(at, tls_account(target.port, target.ca_file))) as ours,
    ):
        assert isinstance(ours, Ours)
        load(ours.port, 1, 20)
        wait_empty(ours)
        idle, peak = memory_of(ours.relay), memory_of(ours.relay, "VmHWM")
        words = ["-l", str(size * MIB), "-f", SENDER, "-t", TO, f"127.0.0.1:{ours.port}"]
        subprocess.run([program("smtp-source", "postfix"), *words], check=True)
        wait_empty(ours)
        return {"idle": idle, "added": memory_of(ours.relay, "VmHWM") - peak}


def idle(seconds: float) -> dict[str, float]:
    """How often a relay that has nothing to do wakes up in a minute."""
    with sink() as target, folder() as at:
        account = tls_account(target.port, target.ca_file, limited=True)
        with running(Ours(at, account)) as ours:
            assert isinstance(ours, Ours)
            load(ours.port, 1, 20)
            wait_empty(ours)
            time.sleep(45)  # its connections are closed after 30 seconds
            before = wake_ups(ours.relay)
            time.sleep(seconds)
            return {"wake-ups a minute": (wake_ups(ours.relay) - before) * 60 / seconds}


def queued(rows: int) -> dict[str, float]:
    """Seconds of the start, and milliseconds until one message is out, behind `rows` that cannot go."""
    target = Clocked()
    with folder() as at:
        text = plain_account(target.port) + plain_account(9, name="spent") + relay_table('account = "out"')
        relay = Relay(at, text)
        asyncio.run(_prepare(relay, rows))
        with relay:
            assert relay.start(), relay.log
            relay.ask("accounts.pause", name="spent")
            taken = [_one(relay.port, target) for _ in range(60)]
            rss = memory_of(relay)
            relay.stop()
    target.close()
    return {"start": relay.starts[0], "latency": median(taken[20:]) * 1000, "memory": rss}


async def _prepare(relay: Relay, rows: int) -> None:
    relay.state.ensure()
    spool = spool_at(relay.spool)
    await spool.open()
    await accept(spool, "first", "spent")
    await spool.pause(_pause())
    await spool.close()
    fill(relay.spool, rows)


def _pause() -> object:
    from postbearer.store import Pause

    return Pause(account="spent", since=time.time(), reason="of the benchmark")


def paced(seconds: float) -> dict[str, float]:
    """With a backlog and 30 a minute: the most in any minute, and the share used of what is allowed."""
    from postbearer.testing import BackgroundSandbox

    with BackgroundSandbox("microsoft") as sandbox, folder() as at:
        with running(Ours(at, sandbox.configuration())) as ours:
            words = ["-s", "5", "-m", str(int(seconds / 2) + 60), "-f", "alerts@example.org", "-t", TO]
            subprocess.run([program("smtp-source", "postfix"), *words, f"127.0.0.1:{ours.port}"], check=True)
            time.sleep(seconds)
            assert isinstance(ours, Ours)
            ours.relay.kill()
        times = [message.at for message in sandbox.inbox.messages]
    most = max(sum(1 for other in times if at <= other < at + 60) for at in times)
    allowed = 30 * (times[-1] - times[0]) / 60
    return {"most in a minute": most, "used": len(times) / allowed}


def step(name: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    began = time.perf_counter()
    found = measure()
    print(f"  {name}: {found} ({time.perf_counter() - began:.0f} s)", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few messages, one round, a tenth of the queue")
    parser.add_argument("--only", choices=("accepts", "way", "idle", "paced", "queued"), help="this one part")
    options = parser.parse_args()
    if options.only == "accepts":
        accepts_compared(1 if options.quick else 5, 2000 if options.quick else 6000)
        return
    os.environ["BENCH_TOKEN"] = "t" * 1400
    if options.only == "way":
        step("messages/s", lambda: whole_way(1 if options.quick else 5, 1000 if options.quick else 3000))
        return
    if options.only == "idle":
        step("nothing to do", lambda: idle(60 if options.quick else 240))
        return
    if options.only == "paced":
        step("30 a minute, for five", lambda: paced(300))
        return
    if options.only == "queued":
        for rows in (1000, 1_000_000):
            step(f"{rows:,} queued", lambda rows=rows: queued(rows))
        return
    rounds, messages, rows = (1, 2000, 100_000) if options.quick else (5, 6000, 1_000_000)
    taken, goals = accepts_compared(rounds, messages)
    way = step("accepted and delivered over TLS, messages/s", lambda: whole_way(rounds, messages // 2))
    goals.append(
        goal(
            "the whole way, 10 sessions, against Postfix",
            way["postbearer"] / way["Postfix"],
            1,
        )
    )
    goals.append(
        goal(
            "the whole way with limits set, 10 sessions, against Postfix",
            way[LIMITED] / way["Postfix"],
            1.2,
        )
    )
    late = step("from the dot to the smarthost, ms", lambda: latency(20 if options.quick else 100))
    goals.append(goal("latency, against Postfix", late["postbearer"] / late["Postfix"], 1, at_most=True))
    mutt = msmtp(10 if options.quick else 50)
    goals.append(goal("msmtp into the relay, ms", mutt, 10, at_most=True))
    held = step("memory, MiB", lambda: memory(150))
    goals.append(goal("idle memory, MiB", held["idle"], 80, at_most=True))
    goals.append(goal("MiB added by 150 MiB", held["added"], 16, at_most=True))
    quiet = step("nothing to do", lambda: idle(60 if options.quick else 240))
    goals.append(goal("wake-ups a minute, with nothing to do", quiet["wake-ups a minute"], 120, at_most=True))
    few, many = step("1,000 queued", lambda: queued(1000)), step(f"{rows:,} queued", lambda: queued(rows))
    goals.append(goal(f"start behind {rows:,}, s", many["start"], 5, at_most=True))
    goals.append(
        goal(f"latency behind {rows:,}, against 1,000", many["latency"] / few["latency"], 1.2, at_most=True)
    )
    results = {
        "accepts": taken,
        "whole way": way,
        "latency": late,
        "msmtp": mutt,
        "memory": held,
        "idle": quiet,
        "queued": {"1000": few, str(rows): many},
    }
    if not options.quick:
        results["paced"] = pace = step("30 a minute, for five", lambda: paced(300))
        goals.append(goal("most in any minute", pace["most in a minute"], 30, at_most=True))
        goals.append(goal("share of the allowance used", pace["used"], 0.99))
    charts = {
        f"-accepts-{s}": Chart(f"Durable accepts a second, {s} sessions", "messages/s", rates)
        for s, rates in taken.items()
    }
    charts["-whole-way"] = Chart("Accepted and delivered over TLS, messages a second", "messages/s", way)
    save("relay", {"rounds": rounds, "results": results, "goals": goals}, charts)


if __name__ == "__main__":
    main()
