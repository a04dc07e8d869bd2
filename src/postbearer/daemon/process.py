"""The process of the relay: signals, the service manager, and a loop that is as fast as there is."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.control import DiagnosisResult
from postbearer.daemon.checks import examined, examining
from postbearer.daemon.relay import DRAIN, Relay
from postbearer.daemon.service import Service
from postbearer.daemon.service_manager import ServiceManager
from postbearer.daemon.workers import Worker
from postbearer.diagnosis import Finding
from postbearer.errors import ConfigError, ConfigErrors, SecretError, StoreError
from postbearer.events import Reloaded, Started, Stopped, Warned
from postbearer.log import EventLog
from postbearer.tasks import Tasks, defect

HURRIED = 5.0  # seconds, once somebody asks for the end a second time
TURN = 50e-6  # seconds after which a thread lets others go on, such as the one that has just committed


def run(
    load: Callable[[], Assembly],
    show_console: Callable[[str], None] | None = None,
    worker: Worker | None = None,
) -> None:
    """Run the relay until SIGTERM or SIGINT. `load` reads the configuration, now and at each SIGHUP.

    `show_console` is given an address that opens the console once, if there is a console. `worker`: it is one
    of several, and ends with their supervisor.

    Raises `ConfigError` or `StoreError` when it cannot start.
    """
    _keep_memory_private()
    factory = None
    if sys.platform != "win32":
        try:
            import uvloop

            factory = uvloop.new_event_loop
        except ImportError:
            factory = None
    sys.setswitchinterval(TURN)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_main(load, show_console, worker))


async def _main(
    load: Callable[[], Assembly], show_console: Callable[[str], None] | None, worker: Worker | None
) -> None:
    log, supervisor = EventLog(), worker or ServiceManager()
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] if worker is None or worker.first else ""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(partial(_unforeseen, log))
    process = _Process(load, log, supervisor)
    with _all_of_it_stays():
        process.relay = relay = Relay(
            load(), observer=log, runtime=Path(runtime) if runtime else None, process=process
        )
        relay.add(_Supervised(process))
        await relay.start()
    if show_console is not None and (address := relay.open_console()):
        show_console(address)
    while await process.wishes.get() is signal.SIGHUP:
        with suppress(ConfigError, SecretError, StoreError):  # they are in the log
            await process.reload()
    await _stop(relay, process.wishes)
    log.notice(Stopped(""))


def _unforeseen(log: EventLog, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would print: a failure in a callback, or in a task that nobody waits for."""
    said = str(context.get("message", "event loop"))
    error = context.get("exception")
    if isinstance(error, OSError):  # no descriptor left, a connection that broke: the system's trouble
        log.notice(Warned("", f"{said}: {error}"))
        return
    log.notice(defect(error if isinstance(error, BaseException) else RuntimeError(said), said))


@contextmanager
def _all_of_it_stays() -> Iterator[None]:
    """What is made here is not looked through for cycles: not while it is made, nor for each message later.

    Hundreds of objects come and go with a message, none in a cycle.
    """
    gc.unfreeze()
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
    finally:
        gc.enable()


class _Process:
    """What signals and the control socket ask of the relay's process."""

    relay: Relay

    def __init__(self, load: Callable[[], Assembly], log: EventLog, supervisor: ServiceManager) -> None:
        self.wishes: asyncio.Queue[signal.Signals] = asyncio.Queue()
        self.log = log
        self.supervisor = supervisor
        self._load = load
        self._alone = asyncio.Lock()  # two may ask at once

    async def reload(self) -> None:
        """Take the configuration as it is now; if it is wrong, say why and go on with the old one."""
        async with self._alone:
            self.supervisor.reloading()
            try:
                await self._take()
            finally:
                self.ready()

    async def _take(self) -> None:
        stays = "The configuration was not taken, the old one stays:"
        try:
            with _all_of_it_stays():
                await self.relay.reload(self._load())
        except (ConfigError, SecretError) as error:  # the latter for a reference that is none
            for problem in error.problems if isinstance(error, ConfigErrors) else (error,):
                self.log.notice(Warned("", f"{stays} {problem}"))
            raise
        except Exception as error:  # a defect of ours is no reason to take no more mail
            what = f"{stays} a defect ({type(error).__name__})."
            self.log.notice(Warned("", f"{what} Find it by: postbearer --debug config validate"))
            raise ConfigError(what, hint="Find it by: postbearer --debug config validate") from error
        self.log.notice(Reloaded(""))

    async def examine(self, account: str, send_to: str) -> DiagnosisResult:
        """Look at the whole way of an account's mail, with the secrets that are here."""
        return await examined(self._load, account, send_to)

    def examining(self, account: str, send_to: str) -> AsyncGenerator[Finding, None]:
        """The same, step by step."""
        return examining(self._load, account, send_to)

    def ready(self) -> None:
        """Tell the service manager."""
        self.supervisor.ready(f"Listening on {', '.join(self.relay.addresses)}")

    def supervisor_went(self) -> None:
        """It says nothing, so there is something to read at its end only."""
        assert isinstance(self.supervisor, Worker)
        asyncio.get_running_loop().remove_reader(self.supervisor.line)
        self.stop()

    def stop(self) -> None:
        """As SIGTERM does."""
        self.wishes.put_nowait(signal.SIGTERM)


class _Supervised(Service):
    """The process as the system sees it: it takes signals, and tells the service manager how it is."""

    def __init__(self, process: _Process) -> None:
        self._process = process
        self._watchdog = Tasks(SystemClock(), process.log)

    async def start(self) -> None:
        process, loop = self._process, asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, process.wishes.put_nowait, number)
        if isinstance(process.supervisor, Worker):
            loop.add_reader(process.supervisor.line, process.supervisor_went)
        process.log.notice(Started("", ", ".join(process.relay.addresses)))
        process.ready()
        self._watchdog.keep(partial(_watch, process.supervisor), "watchdog")

    async def stop(self, patience: float) -> None:
        self._process.supervisor.stopping()
        await self._watchdog.stop()


async def _stop(relay: Relay, wishes: asyncio.Queue[signal.Signals]) -> None:
    """Stop with patience; a second signal shortens the wait and never skips the marks."""
    stopping = asyncio.create_task(relay.stop(DRAIN))
    hurry = asyncio.create_task(wishes.get())
    await asyncio.wait((stopping, hurry), return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        await relay.dispatcher.drain(HURRIED)
    hurry.cancel()
    await stopping


async def _watch(supervisor: ServiceManager) -> None:
    """Say that the loop still turns, twice as often as systemd asks for (WatchdogSec=)."""
    period = int(os.environ.get("WATCHDOG_USEC", "0")) / 1_000_000 / 2
    while period > 0:
        supervisor.alive()
        await asyncio.sleep(period)


def _keep_memory_private() -> None:
    """No core dumps: secrets and tokens are in this memory."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
