"""What a database and its relays need for so many mailboxes: measured here, for a message, and multiplied.

    ./dev bench sizing [--mailboxes 10000] [--per-minute 30] [--octets 4096] [--messages 4000]

One relay takes messages by SMTP from ten sessions, keeps them in a PostgreSQL of the benchmark's own, which
syncs, and hands them to a sink. Counted are processor time of the relay and of the database, what the
database writes into its log, and what a message takes on the disk while it is kept. That is multiplied by
the rate that is asked for: no other number goes in. Run it on the machine you mean to use.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from pathlib import Path

from _bench import helper, port_of, show
from _database import database, on_database, relay, server
from _relays import TO, folder

from relay.running import SENDER, Relay, plain_account
from servers.postgresql import Postgresql
from servers.processes import program

TICK = os.sysconf("SC_CLK_TCK")
HALF = 0.5  # of a processor is used on purpose: mail comes in bursts, and a backlog has to shrink
WARM_UP = 400
DAY = 86_400


def processor_time(pid: int, *, children: bool = False) -> float:
    """Seconds that a process has used; with those that it started, also those that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = sum(map(int, fields[11:15] if children else fields[11:13])) / TICK
    if children:
        for each in Path("/proc").glob("[0-9]*/stat"):
            try:
                others = each.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(others[1]) == pid:
                used += sum(map(int, others[11:13])) / TICK
    return used


class Counters:
    """What was used until now."""

    def __init__(self, on: Postgresql, url: str, relay: Relay) -> None:
        self.at = time.monotonic()
        self.relay = processor_time(relay.pid)
        self.database = processor_time(on.pid, children=True)
        self.log = float(on_database(on, url, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))
        self.disk = float(on_database(on, url, "SELECT pg_database_size(current_database())"))
        self.commits = float(
            on_database(
                on, url, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            )
        )


def measured(messages: int, octets: int) -> dict[str, float]:
    """For a message, on its whole way."""
    with (
        server() as on,
        database(on) as url,
        folder() as at,
        helper("_swallow.py") as target,
    ):
        made = relay(at, url, plain_account(port_of(target), "limits = { connections = 10 }"))
        with made:
            assert made.start(), made.log
            _send(made, WARM_UP, octets)
            before = Counters(on, url, made)
            _send(made, messages, octets)
            time.sleep(1.5)  # the database tells its counts once a second
            after = Counters(on, url, made)
    return {
        "rate": messages / (after.at - 1.5 - before.at),
        **{
            name: (getattr(after, name) - getattr(before, name)) / messages
            for name in ("relay", "database", "log", "disk", "commits")
        },
    }


def _send(made: Relay, messages: int, octets: int) -> None:
    words = ["-d", "-s", "10", "-m", str(messages), "-l", str(octets), "-f", SENDER, "-t", TO]
    subprocess.run([program("smtp-source", "postfix"), *words, f"127.0.0.1:{made.port}"], check=True)
    deadline = time.monotonic() + 600
    while made.open_recipients():
        assert time.monotonic() < deadline, "the queue does not get empty"
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mailboxes", type=int, default=10_000)
    parser.add_argument("--per-minute", type=float, default=30, help="messages of each")
    parser.add_argument("--octets", type=int, default=4096, help="of a message")
    parser.add_argument("--messages", type=int, default=4000, help="that are measured")
    options = parser.parse_args()
    cost = measured(options.messages, options.octets)
    asked = options.mailboxes * options.per_minute / 60
    show(
        f"For a message of {options.octets:,} octets, by SMTP in and by SMTP out",
        ("what", "measured"),
        [
            ("processor time of the relay, µs", f"{cost['relay'] * 1e6:,.0f}"),
            ("processor time of the database, µs", f"{cost['database'] * 1e6:,.0f}"),
            ("written into the log of the database, octets", f"{cost['log']:,.0f}"),
            ("on the disk while it is kept, octets", f"{cost['disk']:,.0f}"),
            ("transactions", f"{cost['commits']:.2f}"),
            ("messages a second in this run", f"{cost['rate']:,.0f}"),
        ],
    )
    rows = [(1, asked)] + [(parts, asked / parts) for parts in (2, 4, 8)]
    show(
        f"{options.mailboxes:,} mailboxes at {options.per_minute:g} a minute: {asked:,.0f} messages a second",
        ("databases", "each a second", "processors for it", "for its relays", "log, MB/s", "kept a day, GB"),
        [
            (
                str(parts),
                f"{rate:,.0f}",
                f"{rate * cost['database'] / HALF:.1f}",
                f"{rate * cost['relay'] / HALF:.1f}",
                f"{rate * cost['log'] / 1e6:.1f}",
                f"{rate * cost['disk'] * DAY / 1e9:,.0f}",
            )
            for parts, rate in rows
        ],
    )
    most = HALF / cost["database"]
    print(
        f"\nA processor of the database, half used, carries {most:,.0f} messages a second: "
        f"{most * 60 / options.per_minute:,.0f} such mailboxes; one of the relays "
        f"{HALF / cost['relay']:,.0f}: {HALF / cost['relay'] * 60 / options.per_minute:,.0f}."
    )


if __name__ == "__main__":
    main()
