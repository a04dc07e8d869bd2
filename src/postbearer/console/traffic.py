"""What became of mail over an hour, a day and a week: one table, of which the browser draws the chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from postbearer.console.visit import Visit
from postbearer.store import Status, TrafficCount


class Span(NamedTuple):
    """How far back a chart goes, in how large steps; both in seconds."""

    name: str
    title: str
    length: int
    step: int


SPANS = (
    Span("hour", "Last hour", 3600, 120),
    Span("day", "Last 24 hours", 86_400, 3600),
    Span("week", "Last 7 days", 7 * 86_400, 6 * 3600),
)
KINDS: Mapping[str, tuple[Status, ...]] = {
    "accepted": (Status.READY,),
    "sent": (Status.DELIVERED,),
    "will retry": (Status.DEFERRED,),
    "failed": (Status.FAILED, Status.EXPIRED),
}


class Chart(NamedTuple):
    """Rows of a table: when a step begins (Unix seconds), and a number of each of `KINDS`."""

    span: Span
    kinds: Sequence[str]
    rows: Sequence[tuple[float, Sequence[int]]]
    totals: Sequence[int]


async def chart(visit: Visit) -> Chart:
    """The chart that the address asks for; of the last 24 hours, if it asks for none. Raises `StoreError`."""
    asked = visit.request.query_params.get("chart", "day")
    span = next((each for each in SPANS if each.name == asked), SPANS[1])

    async def count(before: Chart | None) -> Chart:
        spans = await visit.services.spool.traffic(visit.now - span.length, span.step)
        return laid_out(span, spans, visit.now)

    return await visit.shared(("chart", span.name), count)


def laid_out(span: Span, counted: Sequence[TrafficCount], now: float) -> Chart:
    """One row for each step, also for those in which nothing happened."""
    by_begin = {int(each.begins): each.counts for each in counted}
    last = int(now) // span.step * span.step
    rows = [
        (float(begins), [_of(by_begin.get(begins, {}), states) for states in KINDS.values()])
        for begins in range(last - span.length + span.step, last + 1, span.step)
    ]
    totals = [sum(row[place] for _, row in rows) for place in range(len(KINDS))]
    return Chart(span, tuple(KINDS), rows, totals)


def _of(counts: Mapping[Status, int], states: Sequence[Status]) -> int:
    return sum(counts.get(each, 0) for each in states)
