"""Acts on all messages that fit a filter: counted first, confirmed by number, and seen while they go on."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.queue import ACTS, Filter
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import JobInfo, Right
from postbearer.errors import Conflict, UsageError

_LONGEST = 100  # characters of an id


async def start(visit: Visit) -> Response:
    """Count what fits, and ask; or begin, once number and filter were confirmed."""
    name = visit.field("act")
    filter_ = Filter.of({each: visit.field(each) for each in Filter._fields})
    if name not in ACTS:
        raise UsageError("That cannot be done to messages.", hint="Go back, and choose what to do.")
    newer_than = _moment(visit.field("newer_than"))
    asked = filter_.query(visit.now)
    if newer_than is not None:  # as it was when they were counted, and not as many seconds later
        asked["newer_than"] = newer_than
    count = visit.field("count")
    if not count.isascii() or not count.isdecimal():
        return await _ask(visit, name, filter_, asked)
    try:
        job = await visit.perform("jobs.start", action=name, matching=asked, count=int(count[:18]))
    except Conflict as error:
        visit.of.say(f"Nothing was done: {error.message} This is how many they are now.", "problem")
        return await _ask(visit, name, filter_, asked)
    return visit.go(f"/jobs/{job.id}")


async def _ask(visit: Visit, name: str, filter_: Filter, asked: dict[str, Any]) -> Response:
    counted: JobInfo = await visit.perform("jobs.start", action=name, matching=asked, dry_run=True)
    if not counted.matched:
        visit.of.say(
            f"Nothing was done: of what fits, nothing can be changed by “{ACTS[name].label}”.", "problem"
        )
        return visit.go(f"/queue?{filter_.address}" if filter_.address else "/queue")
    return visit.page(
        "confirm_all.html",
        act=ACTS[name],
        name=name,
        job=counted,
        filter=filter_,
        newer_than=asked.get("newer_than"),
    )


async def listed(visit: Visit) -> Response:
    found = await visit.perform("jobs.list")
    return visit.page("jobs.html", jobs=found.jobs, acts=ACTS)


async def show(visit: Visit) -> Response:
    return visit.page("job.html", job=await _job(visit), acts=ACTS)


async def cancel(visit: Visit) -> Response:
    """Have it do nothing more."""
    job = await _job(visit)
    try:
        await visit.perform("jobs.cancel", job=job.id)
    except Conflict as error:
        visit.of.say(error.message, "problem")
    else:
        visit.of.say("The job does nothing more. What it has done stays.")
    return visit.go(f"/jobs/{job.id}")


async def _job(visit: Visit) -> JobInfo:
    identifier = visit.request.path_params["id"][:_LONGEST]
    try:
        found: JobInfo = await visit.perform("jobs.show", job=identifier)
    except UsageError as error:
        raise HttpProblem("not-found", error.message, hint=error.hint) from None
    return found


def _moment(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


PAGES = (
    ConsolePage(path="/queue/all", needs=Right.OPERATE, do=start, method="POST"),
    ConsolePage(path="/jobs", needs=Right.LOOK, do=listed),
    ConsolePage(path="/jobs/{id}", needs=Right.LOOK, do=show),
    ConsolePage(path="/jobs/{id}/cancel", needs=Right.OPERATE, do=cancel, method="POST"),
)
