"""How long a command takes to start, and a program that imports the library, over bare Python.

    ./dev bench startup [--quick]

Each round runs every command once; the numbers are medians of the wall time over the rounds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from _bench import goal, median, save, show
from picture import Chart

from postbearer.testing import BackgroundSandbox

POSTBEARER = str(Path(sys.executable).with_name("postbearer"))
COMMANDS = {
    "python3 -c pass": (sys.executable, "-c", "pass"),
    "postbearer --version": (POSTBEARER, "--version"),
    "postbearer token": (POSTBEARER, "token", "sandbox"),
    "import asyncio": (sys.executable, "-c", "import asyncio"),
    "import postbearer": (sys.executable, "-c", "import postbearer"),
    "postbearer.Mailer": (sys.executable, "-c", "from postbearer import Account, Mailer"),
    "import smtplib": (sys.executable, "-c", "import smtplib"),
    "import aiosmtplib": (sys.executable, "-c", "import aiosmtplib"),
}
GOALS = (  # what, against what, at most so many times as long
    ("postbearer --version", "python3 -c pass", 3.0),
    ("postbearer token", "python3 -c pass", 4.5),
    ("import postbearer", "import asyncio", 2.0),
    ("postbearer.Mailer", "import asyncio", None),
)


def run(command: tuple[str, ...], environment: dict[str, str]) -> float:
    """Wall time in ms."""
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True)
    elapsed = (time.perf_counter() - began) * 1000
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode()}")
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="ten rounds instead of a hundred")
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with BackgroundSandbox() as sandbox:
        configuration = sandbox.describe()["configuration"]
        environment = {
            **os.environ,
            "POSTBEARER_CONFIG": configuration,
            "POSTBEARER_STATE": str(sandbox.folder / "state"),
        }
        for command in COMMANDS.values():  # bytecode, page cache, and the token
            run(command, environment)
        for _ in range(10 if options.quick else 100):
            for name, command in COMMANDS.items():
                times[name].append(run(command, environment))
        asked = sandbox.token_requests
    medians = {name: median(values) for name, values in times.items()}
    bare = medians["python3 -c pass"]
    show(
        "Start-up",
        ("command", "ms", "× python3 -c pass"),
        [(name, f"{value:.1f}", f"{value / bare:.2f}") for name, value in medians.items()],
    )
    goals = []
    for name, base, wanted in GOALS:
        ratio = medians[name] / medians[base]
        if wanted is None:
            print(f"    {name}: {ratio:.2f} × {base}")
        else:
            goals.append(goal(f"{name}, × {base}", ratio, wanted, at_most=True))
    goals.append(goal("token requests in all rounds", asked, 1, at_most=True))
    save(
        "startup",
        {"ms": medians, "goals": goals},
        {"": Chart("Milliseconds to start", "ms", medians)},
    )


if __name__ == "__main__":
    main()
