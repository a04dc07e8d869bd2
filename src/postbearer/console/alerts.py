"""Alerts: what needs a person, what was told to whom, and what could not be told yet."""

from __future__ import annotations

from starlette.responses import Response

from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right


async def show(visit: Visit) -> Response:
    return visit.page("alerts.html", found=await visit.perform("alerts.show"))


PAGES = (ConsolePage(path="/alerts", needs=Right.LOOK, do=show),)
