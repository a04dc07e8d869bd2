"""The process of the relay: signals, the service manager, and a loop that is as fast as there is."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.daemon.relay import DRAIN, Relay
from postbearer.errors import ConfigError, ConfigErrors, SecretError
from postbearer.observe import Log, Supervisor
from postbearer.observer import Reloaded, Started, Stopped, Warned
from postbearer.tasks import Tasks, defect

HURRIED = 5.0  # seconds, once somebody asks for the end a second time


def run(load: Callable[[], Assembly]) -> None:
    """Run the relay until SIGTERM or SIGINT. `load` reads the configuration, now and at each SIGHUP.

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
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_main(load))


async def _main(load: Callable[[], Assembly]) -> None:
    log, supervisor = Log(), Supervisor()
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(partial(_unforeseen, log))
    gc.set_threshold(20_000, 20, 20)
    relay = Relay(load(), observer=log, runtime=Path(runtime) if runtime else None)
    await relay.start()
    _freeze()
    wishes: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, wishes.put_nowait, number)
    listening = ", ".join(relay.addresses)
    log.notice(Started("", listening))
    supervisor.ready(f"Listening on {listening}")
    watchdog = Tasks(SystemClock(), log)
    watchdog.keep(partial(_watch, supervisor), "watchdog")
    while await wishes.get() is signal.SIGHUP:
        supervisor.reloading()
        await _reload(relay, load, log)
        supervisor.ready(f"Listening on {listening}")
    supervisor.stopping()
    await watchdog.stop()
    await _stop(relay, wishes)
    log.notice(Stopped(""))


def _unforeseen(log: Log, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would print: a failure in a callback, or in a task that nobody waits for."""
    said = str(context.get("message", "event loop"))
    error = context.get("exception")
    log.notice(defect(error if isinstance(error, BaseException) else RuntimeError(said), said))


def _freeze() -> None:
    """What the start made stays; and hundreds of objects come and go with each message, none in a cycle."""
    gc.collect()
    gc.freeze()


async def _reload(relay: Relay, load: Callable[[], Assembly], log: Log) -> None:
    """Take the configuration as it is now; if it is wrong, say why and go on with the old one."""
    try:
        await relay.reload(load())
    except (ConfigError, SecretError) as error:  # the latter for a reference that is none
        problems = error.problems if isinstance(error, ConfigErrors) else (error,)
        for problem in problems:
            log.notice(Warned("", f"The configuration was not taken, the old one stays: {problem}"))
    except Exception as error:  # a defect of ours is no reason to take no more mail
        what = f"The configuration was not taken, the old one stays: a defect ({type(error).__name__})."
        log.notice(Warned("", f"{what} Find it by: postbearer -v config validate"))
    else:
        log.notice(Reloaded(""))


async def _stop(relay: Relay, wishes: asyncio.Queue[signal.Signals]) -> None:
    """Stop with patience; a second signal shortens the wait and never skips the marks."""
    stopping = asyncio.create_task(relay.stop(DRAIN))
    hurry = asyncio.create_task(wishes.get())
    await asyncio.wait((stopping, hurry), return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        await relay.worker.drain(HURRIED)
    hurry.cancel()
    await stopping


async def _watch(supervisor: Supervisor) -> None:
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
