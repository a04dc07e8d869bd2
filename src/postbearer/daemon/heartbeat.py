"""The sign of life of a relay: given while it runs and can keep what it accepts."""

from __future__ import annotations

import asyncio

from postbearer.clock import Clock, event_or_time
from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.engine import Intake
from postbearer.errors import PostbearerError
from postbearer.events import Observer, Warned
from postbearer.tasks import Tasks


class HeartbeatService(Service):
    """Gives the sign as often as the configuration says. That it stays away is what a watch notices."""

    def __init__(self, plan: ServicePlan, intake: Intake, clock: Clock, observer: Observer) -> None:
        self._heartbeat = plan.alerts.heartbeat
        self._intake = intake
        self._clock = clock
        self._observer = observer
        self._tasks = Tasks(clock, observer)
        self._changed = asyncio.Event()
        self._failing = False

    async def start(self) -> None:
        self._tasks.keep(self._run, "heartbeat")

    async def reload(self, plan: ServicePlan) -> None:
        self._heartbeat = plan.alerts.heartbeat
        self._changed.set()

    async def stop(self, patience: float) -> None:
        await self._tasks.stop()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            if not self._heartbeat:
                await self._changed.wait()
                continue
            if await self._intake.has_room(0):
                await self._beat()
            await event_or_time(self._changed, self._heartbeat.every, self._clock)

    async def _beat(self) -> None:
        """Give one sign; what keeps it from arriving is told once."""
        try:
            await self._heartbeat.beat()
        except (PostbearerError, OSError) as error:
            if not self._failing:
                self._observer.notice(Warned("", f"The sign of life did not arrive: {error}"))
            self._failing = True
        else:
            self._failing = False
