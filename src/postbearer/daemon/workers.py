"""Several relays of one machine under one supervisor, which shares out the ports and begins anew what died.

Each worker is a process, and a node of the queue, of its own. The supervisor opens the listening sockets, and
the workers inherit them: nothing that waits in the backlog of a socket is lost with one of them, and a port
below 1024 has to be had once only. The supervisor touches no mail.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from msgspec import structs

from postbearer.assembly import Assembly
from postbearer.daemon.plan import RelayPlan, relay_settings, spool_url
from postbearer.daemon.service_manager import ServiceManager
from postbearer.errors import ConfigError, UsageError
from postbearer.state import StateFolder
from postbearer.store import PostgresUrl
from postbearer.submission import INHERITED, listening_sockets

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a worker that died is begun anew
STEADY = 60.0  # seconds after which one that died is thought to have been well
LOOK = 0.5  # seconds between looks whether something is due
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOG = logging.getLogger("postbearer")


class Worker(ServiceManager):
    """A worker as its own process sees it: a number, from 1 on, and a line to the supervisor."""

    def __init__(self, number: int, line: socket.socket) -> None:
        super().__init__({})
        self.number = number
        self.line = line  # at its end once the supervisor is gone

    @property
    def first(self) -> bool:
        """Whether it is the one that people talk to."""
        return self.number == 1

    def ready(self, text: str) -> None:
        with suppress(OSError):
            self.line.send(text.encode() or b"ready")


@dataclass(slots=True)
class _Running:
    number: int
    line: socket.socket
    begun: float
    ready: bool = False


class Workers:
    """Runs `count` times `work`, which is a worker's whole life and returns its exit code."""

    def __init__(self, count: int, work: Callable[[Worker], int]) -> None:
        self._count = count
        self._work = work
        self._running: dict[int, _Running] = {}  # by process
        self._due: dict[int, float] = {}  # when a worker is begun anew, by number
        self._pauses: dict[int, float] = {}
        self._manager = ServiceManager()
        self._told = False
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Until SIGTERM or SIGINT, and all have ended; the exit code."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
        os.environ.pop("NOTIFY_SOCKET", None)  # it is ours alone
        for number in range(1, self._count + 1):
            self._begin(number, before)
        while self._running or (self._due and not self._stopping):
            found = signal.sigtimedwait({*_FORWARDED, signal.SIGCHLD}, LOOK)
            if found is not None and found.si_signo in _FORWARDED:
                self._forward(signal.Signals(found.si_signo))
            self._reap()
            self._look()
            for number in [each for each, due in self._due.items() if due <= time.monotonic()]:
                del self._due[number]
                self._begin(number, before)
        return self._code

    def _begin(self, number: int, signals: set[int | signal.Signals]) -> None:
        ours, theirs = socket.socketpair()
        process = os.fork()
        if process:
            theirs.close()
            ours.setblocking(False)
            self._running[process] = _Running(number, ours, time.monotonic())
            return
        code = 70  # as for any defect
        try:
            for each in (ours, *(other.line for other in self._running.values())):
                each.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
            code = self._work(Worker(number, theirs))
        finally:
            os._exit(code)

    def _forward(self, number: signal.Signals) -> None:
        if number is not signal.SIGHUP:
            self._stop()
            return
        for process in self._running:
            os.kill(process, number)

    def _stop(self) -> None:
        self._stopping = True
        self._due.clear()
        self._manager.stopping()
        for process in self._running:
            os.kill(process, signal.SIGTERM)

    def _reap(self) -> None:
        for process in tuple(self._running):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                self._hear(self._running[process])
                self._ended(self._running.pop(process), os.waitstatus_to_exitcode(status))

    def _ended(self, one: _Running, code: int) -> None:
        one.line.close()
        if self._stopping:
            self._code = self._code or max(code, 0)
            return
        if not one.ready and not self._told:  # it says why in the log: none of them can run
            self._code = code if code > 0 else 70
            self._stop()
            return
        lived = time.monotonic() - one.begun
        pause = FIRST_PAUSE if lived > STEADY else self._pauses.get(one.number, FIRST_PAUSE)
        self._pauses[one.number] = min(2 * pause, LONGEST_PAUSE)
        self._due[one.number] = time.monotonic() + pause
        how = f"with code {code}" if code >= 0 else f"by signal {-code}"
        _LOG.warning("worker %s ended %s, and is begun anew in %g s", one.number, how, pause)

    def _look(self) -> None:
        """Hear who is ready, and tell the service manager."""
        for each in self._running.values():
            self._hear(each)
        if (
            not self._told
            and not self._stopping
            and sum(one.ready for one in self._running.values()) == self._count
        ):
            self._told = True
            self._manager.ready(f"{self._count} workers")
        self._manager.alive()

    def _hear(self, one: _Running) -> None:
        with suppress(OSError):
            one.ready = bool(one.line.recv(4096)) or one.ready


def run_workers(count: int, load: Callable[[StateFolder | None], Assembly], work: Callable[..., int]) -> int:
    """Run `count` relays that share a queue in a database and the places to listen at; the exit code.

    `load` reads the configuration, with another state folder if one is given; `work` is the life of
    one, which is given what reads its own. Raises `ConfigError`, `UsageError`.
    """
    if not hasattr(os, "fork") or not hasattr(signal, "sigtimedwait"):
        raise UsageError("Workers are there on Linux only.", hint="Start several relays instead.")
    first = load(None)
    if not isinstance(spool_url(first), PostgresUrl):
        raise ConfigError(
            f"{count} workers cannot share a queue in a file.",
            key="relay.spool",
            hint='Put it into PostgreSQL: spool = "postgresql://user@host/database".',
        )
    plan = RelayPlan.of(first)
    if any(each.path for each in plan.log):
        raise ConfigError(
            f"{count} workers cannot write to one log file.",
            key="relay.log",
            hint="Use syslog:, or standard error.",
        )
    for door in plan.doors:
        if not door.address.startswith("unix:"):
            INHERITED[door.address] = listening_sockets(door.address, os.environ)

    def begin(worker: Worker) -> int:
        if worker.first:
            return work(partial(load, None), worker)
        folder = StateFolder(Path(first.state.path, f"worker-{worker.number}"))
        return work(lambda: _as_worker(load(folder), worker.number), worker)

    return Workers(count, begin).run()


def _as_worker(assembly: Assembly, number: int) -> Assembly:
    """What one that is not the first goes by: a name of its own, and what people talk to is the first's."""
    settings = assembly.configuration.settings
    relay = relay_settings(assembly)
    relay = structs.replace(
        relay,
        node=f"{relay.node}#{number}" if relay.node else None,
        listen=tuple(each for each in relay.listen if not each.startswith("unix:")),
        listeners=tuple(each for each in relay.listeners if not each.address.startswith("unix:")),
    )
    settings = structs.replace(settings, relay=relay, http=None)
    configuration = replace(assembly.configuration, settings=settings)
    return Assembly(configuration, assembly.state, assembly.environ)
