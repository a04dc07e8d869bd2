"""The page that Prometheus reads. It is made in the background, and only while somebody reads it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from postbearer.clock import Clock
from postbearer.errors import StoreError
from postbearer.events import Observer, Warned
from postbearer.metrics.counters import EventCounters
from postbearer.metrics.gauges import Gauges
from postbearer.metrics.readings import GaugeReader, ReadingSources
from postbearer.tasks import Tasks

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
SOONEST: Final = 2.0  # seconds between two pages …
SHARE: Final = 50  # … or so many times what one takes, if that is more
ATTENTION: Final = 300.0  # seconds after which nobody reads it any more


class Exposition:
    """Metrics as text. Who asks gets the page that was made last: many who ask cost as much as one."""

    def __init__(self, sources: ReadingSources, clock: Clock, observer: Observer) -> None:
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        self._clock = clock
        self._observer = observer
        self._reader = GaugeReader(sources, clock)
        self._gauges = Gauges(clock)
        registry.register(self._gauges)
        self.counters = EventCounters(registry)
        self._shown = _Shown(registry)
        self._tasks = Tasks(clock, observer)
        self._asked_at = -math.inf
        self._asked = asyncio.Event()
        self._page: asyncio.Future[bytes] | None = None

    def use(self, sources: ReadingSources) -> None:
        """Go by another configuration."""
        self._reader.use(sources)

    def start(self) -> None:
        """Begin to make pages, once somebody asks."""
        self._tasks.keep(self._run, "metrics")

    async def stop(self) -> None:
        await self._tasks.stop()

    async def page(self) -> bytes:
        """The page in the text format of Prometheus."""
        self._asked_at = self._clock.monotonic()
        self._asked.set()
        if self._page is None:
            self._page = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._page)

    async def _run(self) -> None:
        while True:
            if self._clock.monotonic() - self._asked_at >= ATTENTION:
                self._page = None  # who asks next waits for a new one
                self._asked.clear()
                await self._asked.wait()
            began = self._clock.monotonic()
            self._show(await self._make())
            took = self._clock.monotonic() - began
            await self._clock.sleep(max(SOONEST, SHARE * took))

    async def _make(self) -> bytes:
        try:
            self._gauges.readings = await self._reader.read()
        except (StoreError, OSError) as error:
            self._observer.notice(Warned("", f"Metrics show what was read last: {error}"))
        return await asyncio.to_thread(generate_latest, self._shown)

    def _show(self, page: bytes) -> None:
        shown = self._page
        if shown is None or shown.done():
            shown = self._page = asyncio.get_running_loop().create_future()
        shown.set_result(page)


class _Shown(Collector):
    """A registry without the time at which each counter began: a second series that nobody needs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [each for each in family.samples if not each.name.endswith("_created")]
            yield family
