"""How long ``sendmail`` takes to hand a message to the relay, over bare Python.

    ./dev bench sendmail [--quick]

The relay's side is the real one: hand-over socket, intake, SQLite with every commit synced. Each round runs
every command once; the numbers are medians of the wall time over the rounds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from asyncio import run, to_thread
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _bench import goal, helper, median, message, save, show
from picture import Chart

from postbearer.account import Account
from postbearer.clock import SystemClock
from postbearer.engine import Intake, IntakeSettings, Router
from postbearer.events import Silent
from postbearer.oauth import StaticToken
from postbearer.secret import Secret
from postbearer.store import SqliteSpool
from postbearer.submission import (
    Access,
    ConnectionLimit,
    ListenerContext,
    LocalSubmission,
    Logins,
    RateLimit,
    SessionLimits,
)
from postbearer.wire import Offer

BARE = "python3 -I -S -c pass"
GOAL = 2.0


async def serve(folder: Path) -> None:
    clock = SystemClock()
    spool = SqliteSpool(folder / "spool.db", clock=clock, allow_ephemeral=True)
    await spool.open()
    alerts = Account.smtp(
        "alerts@example.org", grant=StaticToken(Secret("bench")), servers=["localhost:465"], name="alerts"
    )
    intake = Intake(
        spool,
        Router((), "alerts"),
        {"alerts": alerts},
        clock=clock,
        observer=Silent(),
        settings=IntakeSettings(hostname="relay.example.org"),
    )
    bounds, access = SessionLimits(), Access()
    house = ListenerContext(
        offer=Offer(hostname="relay.example.org"),
        intake=intake,
        access=access,
        logins=Logins(access, clock),
        rate_limit=RateLimit(clock),
        clock=clock,
        observer=Silent(),
        bounds=bounds,
    )
    handover = LocalSubmission(folder, house, ConnectionLimit(bounds))
    await handover.start()
    print(flush=True)
    await to_thread(sys.stdin.read)
    await handover.stop(1.0)
    await spool.close()


@contextmanager
def relay(folder: Path) -> Iterator[None]:
    """The relay's side, in a process of its own that ends when its input does."""
    with helper("sendmail.py", "--relay", str(folder)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield


def once(command: list[str], stdin: Path, environment: dict[str, str]) -> float:
    """Wall time in ms."""
    with stdin.open("rb") as file:
        began = time.perf_counter()
        done = subprocess.run(command, stdin=file, env=environment, capture_output=True)
        elapsed = (time.perf_counter() - began) * 1000
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode()}")
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="twenty rounds instead of two hundred")
    parser.add_argument("--relay", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.relay:
        run(serve(options.relay))
        return
    with tempfile.TemporaryDirectory(prefix="pb") as name:
        folder = Path(name)
        script = folder / "sendmail"
        postbearer = [sys.executable, "-m", "postbearer", "sendmail"]
        subprocess.run([*postbearer, "--install", str(script)], check=True, stdout=subprocess.DEVNULL)
        rcpt = ["-i", "you@example.net"]
        commands = {
            BARE: [sys.executable, "-I", "-S", "-c", "pass"],
            "sendmail": [str(script), *rcpt],
            "sendmail, relay down": [str(script), *rcpt],
            "postbearer sendmail": [*postbearer, *rcpt],
            "python3 -c 'import smtplib'": [sys.executable, "-c", "import smtplib"],
        }
        down = folder / "down"
        (down / "drop").mkdir(parents=True)
        up = {**os.environ, "POSTBEARER_STATE": name}
        places = dict.fromkeys(commands, up) | {
            "sendmail, relay down": {**os.environ, "POSTBEARER_STATE": str(down)}
        }
        mail = message(name, 4096)
        times: dict[str, list[float]] = {each: [] for each in commands}
        with relay(folder):
            for each, command in commands.items():
                once(command, mail, places[each])
            for _ in range(20 if options.quick else 200):
                for each, command in commands.items():
                    times[each].append(once(command, mail, places[each]))
    medians = {each: median(values) for each, values in times.items()}
    rows = [(each, f"{value:.1f}", f"{value / medians[BARE]:.2f}") for each, value in medians.items()]
    show("One message of 4 KiB, handed over", ("command", "ms", f"× {BARE}"), rows)
    goals = [goal(f"sendmail, × {BARE}", medians["sendmail"] / medians[BARE], GOAL, at_most=True)]
    chart = Chart("Milliseconds to hand over a message", "ms", medians)
    save("sendmail", {"ms": medians, "goals": goals}, {"": chart})


if __name__ == "__main__":
    main()
