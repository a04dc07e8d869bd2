"""Spans of a relay, where the environment wants them. Who wants none loads nothing for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from postbearer.daemon.service import Service
from postbearer.errors import ConfigError
from postbearer.events import Several, Warned

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FLUSH = 5.0  # seconds at the end for what was not sent yet


class TracingService(Service):
    """Makes spans of what the relay tells, from `start` on. Where that cannot be, mail goes on without."""

    def __init__(self, environ: Mapping[str, str], events: Several) -> None:
        self._environ = environ
        self._events = events
        self._provider: TracerProvider | None = None

    async def start(self) -> None:
        try:
            from postbearer.tracing import SpanIds, Spans, tracer_provider

            ids = SpanIds()
            self._provider = tracer_provider(self._environ, ids)
        except ImportError as error:
            why = f"they need the package {error.name}. Install it: pip install 'postbearer[opentelemetry]'"
        except (ConfigError, ValueError) as error:  # the SDK says so of a variable that it cannot read
            why = str(error)
        else:
            self._events.add(Spans(self._provider, ids))
            return
        self._events.notice(Warned("", f"There are no traces: {why}"))

    async def stop(self, patience: float) -> None:
        if self._provider is None:
            return
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def shut_down(provider: TracerProvider) -> None:
            provider.shutdown()
            with suppress(RuntimeError):  # it took so long that there is no loop any more
                loop.call_soon_threadsafe(sent.set)

        # In a thread that the end of the process does not wait for, either: who takes spans may hang.
        threading.Thread(target=shut_down, args=(self._provider,), daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH):
                await sent.wait()
