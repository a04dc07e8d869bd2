"""The log in the places that ``relay.log`` names, beside standard error."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from postbearer.daemon.service import Service
from postbearer.daemon.service_plan import ServicePlan
from postbearer.errors import ConfigError
from postbearer.events import Observer, Warned
from postbearer.log import LOGGER, LogDestination


class LogService(Service):
    """Writes there from `start` on. A reload opens files anew, as logrotate wants it."""

    def __init__(self, plan: ServicePlan, events: Observer) -> None:
        self._plan = plan
        self._events = events
        self._handlers: list[logging.Handler] = []

    async def start(self) -> None:
        self._use(_opened(self._plan.relay.log))

    async def reload(self, plan: ServicePlan) -> None:
        try:
            opened = _opened(plan.relay.log)
        except ConfigError as error:
            self._events.notice(Warned("", f"The log stays where it was: {error}"))
            return
        self._plan = plan
        self._use(opened)

    async def stop(self, patience: float) -> None:
        self._use([])

    def _use(self, handlers: list[logging.Handler]) -> None:
        logger, before = logging.getLogger(LOGGER), self._handlers
        self._handlers = handlers
        for each in handlers:
            logger.addHandler(each)
        for each in before:
            logger.removeHandler(each)
            each.close()


def _opened(destinations: Sequence[LogDestination]) -> list[logging.Handler]:
    """All of them, or none. Raises `ConfigError`."""
    handlers: list[logging.Handler] = []
    try:
        handlers.extend(each.open() for each in destinations)
    except ConfigError:
        for handler in handlers:
            handler.close()
        raise
    return handlers
