"""What the face of the relay costs: messages accepted from smtp-source, with a spool that keeps nothing.

    ./dev bench accept [MESSAGES]

No disk and no delivery: the upper bound of what the relay accepts. Processor time is that of the relay
alone, so it means something on a busy machine, too. `smtp-source` comes with Debian's postfix.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SESSIONS = (1, 10, 50)
SIZE = 4096


def serve(loop: str) -> None:
    """The relay's side, in a process of its own: prints its port, and serves until it is ended."""
    from postbearer.account import Account
    from postbearer.clock import SystemClock
    from postbearer.engine import Intake, IntakeSettings, Router
    from postbearer.events import Silent
    from postbearer.store import Claimed, Incoming, MemorySpool
    from postbearer.submission import (
        Access,
        ConnectionLimit,
        Listener,
        ListenerContext,
        Logins,
        RateLimit,
        SessionLimits,
    )
    from postbearer.wire import Offer

    class Forgetful(MemorySpool):
        async def accept_all(self, batch: Sequence[Incoming]) -> Sequence[Claimed]:
            return ()

    async def main() -> None:
        clock, access, bounds = SystemClock(), Access(), SessionLimits()
        account = Account.smtp("alerts@example.org", servers=["mail.example.org:587"], authentication="none")
        settings = IntakeSettings(hostname="relay.example.org")
        house = ListenerContext(
            offer=Offer("relay.example.org"),
            intake=Intake(
                Forgetful(clock),
                Router((), "a"),
                {"a": account},
                clock=clock,
                observer=Silent(),
                settings=settings,
            ),
            access=access,
            logins=Logins(access, clock),
            rate_limit=RateLimit(clock),
            clock=clock,
            observer=Silent(),
            bounds=bounds,
        )
        listener = Listener("127.0.0.1:0", house, ConnectionLimit(bounds))
        await listener.start()
        print(listener.address, flush=True)
        await asyncio.Event().wait()

    if loop == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


def processor_time(process: int) -> float:
    """Seconds `process` has used so far (proc(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(source: str, loop: str, sessions: int, messages: int, *, one_connection: bool) -> str:
    command = [sys.executable, __file__, "--serve", loop]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        load = [source, "-s", str(sessions), "-m", str(messages), "-l", str(SIZE), *["-d"] * one_connection]
        used, began = processor_time(server.pid), time.perf_counter()
        try:
            subprocess.run([*load, "-f", "a@example.org", "-t", "b@example.net", address], check=True)
            took, used = time.perf_counter() - began, processor_time(server.pid) - used
        finally:
            server.kill()
    kind = "kept" if one_connection else "new each"
    return f"{loop:8} {sessions:8} {kind:11} {messages / took:12,.0f} {used / messages * 1e6:12,.0f}"


def main(messages: int) -> None:
    source = shutil.which("smtp-source", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if source is None:
        sys.exit("smtp-source is missing: apt install postfix")
    print(f"{'loop':8} {'sessions':>8} {'connections':11} {'messages/s':>12} {'CPU us each':>12}")
    for loop in ("uvloop", "asyncio"):
        for one_connection in (True, False):
            for sessions in SESSIONS:
                print(measure(source, loop, sessions, messages, one_connection=one_connection), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
