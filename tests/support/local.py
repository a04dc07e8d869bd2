"""The local ways into a relay, with real sockets and files: hand-over, drop folder, control."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from postbearer.clock import SystemClock
from postbearer.control import ControlServer
from postbearer.control.operations import Operations
from postbearer.engine import Intake, IntakeSettings, Router, Submitter
from postbearer.events import Warned
from postbearer.state import StateFolder
from postbearer.store import Entry, MemorySpool, Query
from postbearer.submission import (
    LOCAL,
    Access,
    ConnectionLimit,
    DropFolder,
    ListenerContext,
    LocalSubmission,
    Logins,
    RateLimit,
    SessionLimits,
)
from postbearer.wire import LineLimits, Offer
from support.relay import HOST, Ears, account

SRC = Path(__file__).parents[2] / "src"
NOBODY = 65534


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket (108 octets)."""
    with tempfile.TemporaryDirectory(prefix="pb") as name:
        yield Path(name)


@dataclass
class Ran:
    code: int
    out: str
    err: str


@dataclass
class LocalRelay:
    """A relay without SMTP and without delivery."""

    state: StateFolder
    spool: MemorySpool
    intake: Intake
    listener_context: ListenerContext
    handover: LocalSubmission
    drop: DropFolder
    control: ControlServer
    ears: Ears
    environ: dict[str, str] = field(default_factory=dict)

    async def accepted(self) -> list[tuple[Entry, bytes]]:
        """Everything that was taken, with its content."""
        found = await self.spool.search(Query())
        return [(entry, b"".join((await self.spool.content(entry.message)).blocks())) for entry in found]

    async def one(self) -> tuple[Entry, bytes]:
        (only,) = await self.accepted()
        return only

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.ears.events if isinstance(event, Warned)]


@asynccontextmanager
async def local_relay(
    folder: Path,
    *,
    client: Submitter = LOCAL,
    bounds: SessionLimits | None = None,
    size: int = 36 * 1024 * 1024,
    handing: bool = True,
) -> AsyncIterator[LocalRelay]:
    """A relay that takes mail from this machine's programs; without `handing` only its folders are there."""
    clock, ears = SystemClock(), Ears()
    spool = MemorySpool(clock)
    alerts = {"alerts": account()}
    settings = IntakeSettings(hostname=HOST, size=size)
    intake = Intake(spool, Router((), "alerts"), alerts, clock=clock, observer=ears, settings=settings)
    bounds = bounds or SessionLimits()
    access = Access()
    listener_context = ListenerContext(
        offer=Offer(hostname=HOST, limits=LineLimits(max_size=size)),
        intake=intake,
        access=access,
        logins=Logins(access, clock),
        rate_limit=RateLimit(clock),
        clock=clock,
        observer=ears,
        bounds=bounds,
    )
    state = StateFolder(folder).ensure()
    drop = DropFolder(state, intake, clock=clock, observer=ears, client=client)
    drop.ensure()
    relay = LocalRelay(
        state,
        spool,
        intake,
        listener_context,
        LocalSubmission(folder, listener_context, ConnectionLimit(bounds), client=client),
        drop,
        ControlServer(folder, Operations(spool, clock, None, ("alerts",), observer=ears), clock, ears),
        ears,
        {"POSTBEARER_STATE": str(folder), "HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )
    if handing:
        await relay.handover.start()
        await relay.control.start()
    try:
        yield relay
    finally:
        await relay.handover.stop(1.0)
        await relay.control.stop()


_AS_USER = """
import sys
sys.path.append({src!r})
import pwd, select, os, binascii
from postbearer.cli.dropin.main import main
from postbearer.cli.dropin import stdio_smtp
if {uid}: os.setgid({uid}); os.setuid({uid})
sys.exit(main(sys.argv[1:]))
"""


async def sendmail(
    *words: str, stdin: bytes = b"", environ: dict[str, str], uid: int = 0, program: str = ""
) -> Ran:
    """Run the fast ``sendmail``; as another user, if we may."""
    script = _AS_USER.format(src=str(SRC), uid=uid)
    command = [program] if program else [sys.executable, "-IS", "-c", script]
    return await running([*command, *words], stdin, environ)


async def running(command: Sequence[str], stdin: bytes, environ: dict[str, str]) -> Ran:
    def run() -> Ran:
        done = subprocess.run(command, input=stdin, capture_output=True, env=environ, timeout=60, check=False)
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return await asyncio.to_thread(run)
