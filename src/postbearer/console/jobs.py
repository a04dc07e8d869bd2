"""Acts on all messages that fit a filter: counted first, confirmed by number, and seen while they go on."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from starlette.responses import Response

from postbearer.api import HttpProblem
from postbearer.console.queue import ACTS, Filter, target_of
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import JobInfo, Right
from postbearer.errors import Conflict, UsageError
from postbearer.store import JobAction, Query, Status

_LONGEST = 100  # characters of an id


class JobUndo(NamedTuple):
    """An act that takes a job back, and to what fits which search; without an act only where to look."""

    act: str
    label: str
    query: Query
    target: str = ""


async def start(visit: Visit) -> Response:
    """Count what fits, and ask; or begin, once number and filter were confirmed."""
    name = visit.field("act")
    filter_ = Filter.of({each: visit.field(each) for each in Filter._fields})
    if name not in ACTS:
        raise UsageError("That cannot be done to messages.", hint="Go back, and choose what to do.")
    if not (target := target_of(visit, ACTS[name])) and ACTS[name].moves:
        visit.of.say("Nothing was done: choose the account that they are to leave by.", "problem")
        return visit.go(f"/queue?{filter_.address}" if filter_.address else "/queue")
    count = visit.field("count")
    if not count.isascii() or not count.isdecimal():
        return await _ask(visit, name, filter_, target)
    try:
        job = await visit.perform(
            "jobs.start",
            action=name,
            matching=filter_.query(_moment(visit.field("at"), visit.now)),  # as when they were counted
            account=target,
            count=int(count[:18]),
        )
    except Conflict as error:
        visit.of.say(f"Nothing was done: {error.message} This is how many they are now.", "problem")
        return await _ask(visit, name, filter_, target)
    return visit.go(f"/jobs/{job.id}")


async def _ask(visit: Visit, name: str, filter_: Filter, target: str) -> Response:
    now = visit.now
    counted: JobInfo = await visit.perform(
        "jobs.start", action=name, matching=filter_.query(now), account=target, dry_run=True
    )
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
        at=now,
        target=target,
    )


async def listed(visit: Visit) -> Response:
    found = await visit.perform("jobs.list")
    return visit.page("jobs.html", jobs=found.jobs, acts=ACTS)


async def show(visit: Visit) -> Response:
    job = await _job(visit)
    return visit.page("job.html", job=job, acts=ACTS, back=_back(job) if job.changed else None)


def _back(job: JobInfo) -> JobUndo | None:
    """What takes it back as far as that can be; None where nothing does, or nothing is to be said."""
    query = replace(job.matching.query, statuses=())
    match job.action:
        case JobAction.HOLD:
            return JobUndo(
                "release", "Release what fits and is held", replace(query, statuses=(Status.HELD,))
            )
        case JobAction.MOVE if query.account:
            label = f"Send what fits through {query.account} again"
            return JobUndo("move", label, replace(query, account=job.account), query.account)
        case JobAction.CANCEL:
            kept = "While it is kept here, each can be resent from its page, as a new message."
            return JobUndo("", kept, replace(query, statuses=(Status.CANCELLED,)))
        case JobAction.MOVE:
            return JobUndo(
                "",
                "It came from several accounts, so no one step moves it back.",
                replace(query, account=job.account),
            )
    return None


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


def _moment(text: str, now: float) -> float:
    """When messages were counted; `now` where that is not told."""
    try:
        at = float(text)
    except ValueError:
        return now
    return at if 0.0 <= at <= now else now


PAGES = (
    ConsolePage(path="/queue/all", needs=Right.OPERATE, do=start, method="POST"),
    ConsolePage(path="/jobs", needs=Right.LOOK, do=listed),
    ConsolePage(path="/jobs/{id}", needs=Right.LOOK, do=show),
    ConsolePage(path="/jobs/{id}/cancel", needs=Right.OPERATE, do=cancel, method="POST"),
)
