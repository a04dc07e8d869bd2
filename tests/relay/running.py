"""``postbearer serve`` as a process of its own: started, killed, started again, asked, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from postbearer.clock import SystemClock
from postbearer.control import ControlClient
from postbearer.state import StateFolder
from postbearer.store import Entry, Query, SqliteSpool

T = TypeVar("T")

SENDER = "app@example.org"
START = 30.0  # seconds, on a busy machine
DRAIN = 60.0
RETRY = '[relay.retry]\nfirst = "1s"\nfactor = 1.0\nmaximum = "2s"\n'


def plain_account(port: int, *lines: str, name: str = "out") -> str:
    """An account at a server on loopback that wants neither TLS nor a login."""
    more = "".join(f"{line}\n" for line in lines)
    return (
        f'[accounts.{name}]\nprovider = "smtp"\naddress = "{SENDER}"\nservers = ["127.0.0.1:{port}"]\n'
        f'authentication = "none"\ntls = "none-loopback"\n{more}'
    )


def relay_table(*lines: str, listen: str = "127.0.0.1:0") -> str:
    more = "".join(f"{line}\n" for line in lines)
    return f'[relay]\nlisten = ["{listen}"]\nallow-ephemeral = true\n{more}{RETRY}'


def eventually(found: Callable[[], T | None], seconds: float = 60.0) -> T:
    """What is `found`, once there is something: of other processes, whose clock nobody can turn."""
    deadline = time.monotonic() + seconds
    while not (what := found()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
    return what


class Relay:
    """One relay and everything it keeps, over all its starts; `text` is its configuration."""

    def __init__(self, folder: Path, text: str, spool: Path | None = None) -> None:
        self.folder = folder
        self.config = folder / "postbearer.toml"
        self.state = StateFolder(folder / "state")
        self.spool = spool or folder / "state" / "spool.db"
        self.port = 0
        self.starts: list[float] = []  # seconds that each took
        self._process: subprocess.Popen[bytes] | None = None
        self._logs: list[Path] = []
        self.configure(text)

    def configure(self, text: str) -> None:
        self.config.write_text(text)
        self.config.chmod(0o600)

    # Its life -------------------------------------------------------------------------------------

    def start(
        self,
        *,
        crash_at: str = "",
        wrapped_in: Sequence[str] = (),
        program: Path | None = None,
        environ: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> bool:
        """Start it, and wait until it listens; False when it ended before that.

        `program` is run in place of the command; `environ` is added to its environment.
        """
        assert self._process is None or self._process.poll() is not None, "it runs already"
        self._logs.append(self.folder / f"log-{len(self._logs):04}.jsonl")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTBEARER")}
        clean.pop("RUNTIME_DIRECTORY", None)
        command = [str(program)] if program else ["-m", "postbearer"]
        argv = [*wrapped_in, sys.executable, *command, "serve", "--log", "json", *options]
        began = time.monotonic()
        with self._logs[-1].open("wb") as log:
            self._process = subprocess.Popen(
                [*argv, "--config", str(self.config)],
                env={
                    **clean,
                    "POSTBEARER_STATE": self.state.path,
                    "POSTBEARER_CRASH_AT": crash_at,
                    **(environ or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while self._process.poll() is None and time.monotonic() - began < START:
            if started := self.said("Started", only_last=True):
                self.port = int(started[0]["addresses"].split(",")[0].rpartition(":")[2])
                self.starts.append(time.monotonic() - began)
                return True
            time.sleep(0.01)
        if self._process.poll() is None:
            self.kill()
            raise AssertionError(f"the relay did not start within {START} s\n{self.log}")
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, to it and to what it was wrapped in."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.ended()

    def ended(self, seconds: float = 30.0) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        return self._process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM; its exit status."""
        self.signal(signal.SIGTERM)
        return self.ended(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self.kill()

    # What it says ---------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        """What the last start wrote."""
        return self._logs[-1].read_text(errors="replace") if self._logs else ""

    def events(self, *, only_last: bool = False) -> Iterator[dict[str, Any]]:
        """All it logged, over all starts; a line it died in is left out."""
        for path in self._logs[-1:] if only_last else self._logs:
            for line in path.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    found = json.loads(line)
                    if isinstance(found, dict):
                        yield found

    def said(self, event: str, *, only_last: bool = False) -> list[dict[str, Any]]:
        return [each for each in self.events(only_last=only_last) if each.get("event") == event]

    def wait_for(
        self, event: str, *, text: str = "", seconds: float = 20.0, count: int = 1
    ) -> dict[str, Any]:
        """The `count`-th such event of this start, once it was logged."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [each for each in self.said(event, only_last=True) if text in each["text"]]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)
        raise AssertionError(f"{event} {text!r} was not logged within {seconds} s\n{self.log}")

    def ask(self, act: str, **given: Any) -> Any:
        """What the running relay answers on its control socket."""
        found = ControlClient.find(self.state, {})
        assert found is not None, "no relay answers"
        with found as client:
            return client.call(act, **given)

    def open_recipients(self) -> int:
        """How many still have to be sent."""
        counts = self.ask("queue.stats").counts
        return sum(counts.get(each, 0) for each in ("ready", "leased", "deferred"))

    def drain(self, seconds: float = DRAIN) -> bool:
        """Wait until nothing is left to send; False once for so long there were not fewer."""
        least, deadline = self.open_recipients(), time.monotonic() + seconds
        while left := self.open_recipients():
            if left < least:  # a long queue is no fault
                least, deadline = left, time.monotonic() + seconds
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    async def entries(self) -> list[Entry]:
        """All messages of a spool that nobody has open."""
        spool = SqliteSpool(self.spool, clock=SystemClock(), reserve=0, allow_ephemeral=True)
        await spool.open()
        try:
            return list(await spool.search(Query(limit=1_000_000)))
        finally:
            await spool.close()
