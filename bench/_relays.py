"""The two relays that are compared, each in a folder and processes of its own, on the same disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from relay.running import SENDER, Relay, relay_table
from servers.postfix import start_postfix
from servers.processes import program
from servers.sink import Received
from servers.sink import Sink as PlainSink
from support.ports import free_ports

TO = "anna@example.net"
MAIN = """
myhostname = mail.example.org
smtpd_peername_lookup = no
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
message_size_limit = 209715200
mailbox_size_limit = 0
smtpd_client_restrictions = {hold}
relayhost = [127.0.0.1]:{target}
smtp_tls_security_level = {tls}
smtp_tls_connection_reuse = {reuse}
smtp_destination_concurrency_limit = 3
initial_destination_concurrency = 3
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = static:all
"""


@contextmanager
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="postbearer-", dir=os.environ.get("BENCH_DIR")))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def load(port: int, sessions: int, messages: int) -> float:
    """Seconds that smtp-source takes to have so many messages answered by 250."""
    words = ["-d", "-s", str(sessions), "-m", str(messages), "-l", "4096", "-f", SENDER, "-t", TO]
    began = time.perf_counter()
    subprocess.run([program("smtp-source", "postfix"), *words, f"127.0.0.1:{port}"], check=True)
    return time.perf_counter() - began


def memory(relay: Relay, what: str = "VmRSS") -> float:
    """MiB."""
    lines = Path(f"/proc/{relay.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def wake_ups(relay: Relay) -> int:
    """How often one of its threads had waited for something, and went on."""
    return sum(
        int(line.split()[1])
        for status in Path(f"/proc/{relay.pid}/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("voluntary_ctxt_switches")
    )


class Clocked(PlainSink):
    """Notes when a message is there."""

    at = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.there = threading.Event()

    def record(self, message: Received) -> None:
        self.at = time.perf_counter()
        self.there.set()


class Server(Protocol):
    """Something that takes mail on a port."""

    port: int

    def left(self) -> int:
        """How many messages it has not handed on."""
        ...


class Postfix:
    """Of the system, with Debian's settings but for where mail goes. `target` None: it keeps it all."""

    def __init__(self, folder: Path, target: int | None, *, tls: bool) -> None:
        folder.chmod(0o755)
        [self.port] = free_ports(1)
        main = MAIN.format(
            hold="check_client_access static:hold" if target is None else "",
            target=target or 9,
            tls="encrypt" if tls else "none",
            reuse="yes" if tls else "no",
        )
        self._queue = folder / "queue"
        self._process = start_postfix(folder, main, f"127.0.0.1:{self.port} inet n - n - - smtpd")
        self._process.wait_for_port(self.port)

    def left(self) -> int:
        return sum(
            1
            for name in ("incoming", "active", "deferred")
            for file in (self._queue / name).rglob("*")
            if file.is_file()
        )

    def stop(self) -> None:
        self._process.stop()


class Ours:
    """The relay; three connections to its target, as with Postfix."""

    def __init__(self, folder: Path, account: str, relay: Relay | None = None) -> None:
        """`relay`: another than one with its queue in `folder`."""
        self.relay = relay or Relay(folder, account + relay_table('size = "200MiB"'))
        if not self.relay.start():
            sys.exit(self.relay.log)
        self.port = self.relay.port

    def left(self) -> int:
        return self.relay.open_recipients()

    def hold(self) -> None:
        self.relay.ask("accounts.pause", name="out")

    def stop(self) -> None:
        self.relay.stop()


NEVER_REACHED = (
    ", messages-per-minute = 10000000, messages-per-day = 100000000, recipients-per-day = 100000000"
)


def tls_account(port: int, ca_file: str, tls: str = "implicit", *, limited: bool = False) -> str:
    """`limited`: with limits that are asked for each message, and never reached."""
    return (
        f'[accounts.out]\nprovider = "smtp"\naddress = "{SENDER}"\nservers = ["localhost:{port}"]\n'
        f'tls = "{tls}"\nca-file = "{ca_file}"\ngrant = "static"\ntoken = "env:BENCH_TOKEN"\n'
        f"limits = {{ connections = 3{NEVER_REACHED if limited else ''} }}\n"
    )


@contextmanager
def running(server: Postfix | Ours) -> Iterator[Postfix | Ours]:
    try:
        yield server
    finally:
        server.stop()


def wait_empty(server: Server, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while server.left():
        if time.monotonic() > deadline:
            sys.exit("the queue does not get empty")
        time.sleep(0.02)
