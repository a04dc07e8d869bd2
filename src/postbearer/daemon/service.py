"""A service is a part of the relay that is started, reloaded and stopped; the relay is a list of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from postbearer.daemon.service_plan import ServicePlan
from postbearer.errors import PostbearerError
from postbearer.events import Observer
from postbearer.tasks import defect


class Service:
    """One part of the relay. What a subclass does not define does nothing."""

    async def start(self) -> None:
        """Begin. Raises `ConfigError` or `StoreError`; `stop` is called all the same."""

    async def reload(self, plan: ServicePlan) -> None:
        """Go by another configuration. All that could be refused was refused when `plan` was made."""

    async def stop(self, patience: float) -> None:
        """Take nothing more, and finish what is under way for up to `patience` seconds.

        Also called when `start` failed half-way, or was never called.
        """


class Services(Service):
    """Started and reloaded in order; stopped in the opposite order, one after the other."""

    def __init__(self, services: Sequence[Service], observer: Observer) -> None:
        self._services = list(services)
        self._begun: list[Service] = []
        self._observer = observer

    def add(self, service: Service) -> None:
        """`service` starts after all others, and stops before them."""
        self._services.append(service)

    async def start(self) -> None:
        """Start all. When one fails, it and those before it are stopped, and it is raised."""
        try:
            for each in self._services:
                self._begun.append(each)
                await each.start()
        except BaseException:  # also when the start is cancelled: nothing may stay open
            await self.stop(0.0)
            raise

    async def reload(self, plan: ServicePlan) -> None:
        for each in self._services:
            await each.reload(plan)

    async def stop(self, patience: float) -> None:
        """Stop all that began. One that fails keeps none of the others from it.

        What nobody expected is told as a defect; what is known (`StoreError`) is raised at the end.
        """
        begun, self._begun = self._begun, []
        known = [error for error in await self._stop(begun[::-1], patience) if error is not None]
        if known:
            raise known[0]

    async def _stop(self, services: Sequence[Service], patience: float) -> list[PostbearerError | None]:
        return [await self._ended(each, patience) for each in services]

    async def _ended(self, service: Service, patience: float) -> PostbearerError | None:
        try:
            await service.stop(patience)
        except PostbearerError as error:
            return error
        except Exception as error:  # any: what comes next is to be done all the same
            self._observer.notice(defect(error, "stop"))
        return None


class Together(Services):
    """As `Services`, but all stop at the same time: their patience does not add up."""

    async def _stop(self, services: Sequence[Service], patience: float) -> list[PostbearerError | None]:
        return await asyncio.gather(*(self._ended(each, patience) for each in services))
