"""Accounts and counts as of one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from postbearer.control import AccountStatus, MessageSummary, NodeInfo, QueueStatistics, RecipientRow
from postbearer.store import Query, Status, TrafficCount, Waiting

if TYPE_CHECKING:
    from postbearer.api import ApiServices
    from postbearer.console.services import CountingSpool

DAY = 86_400.0
_FAILED = (Status.FAILED, Status.EXPIRED)
_LOOKED_AT = 200  # messages that failed
_SPAN = 600  # seconds: the day is summed up of spans as long


class FailureCause(NamedTuple):
    """Why recipients did not get their message, what to do next, and one of the messages.

    `more`: there are others in their messages, at whose reasons nobody looked.
    """

    account: str
    cause: str
    step: str
    recipients: int
    message: str
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was seen. `day` counts what became of recipients in the last 24 hours."""

    at: float
    accounts: Sequence[AccountStatus]
    stats: QueueStatistics
    waiting: Sequence[Waiting]  # what has not left yet, by account; nothing that is held
    room: bool  # whether the queue takes mail
    day: dict[Status, int]
    failures: Sequence[FailureCause]  # why recipients of the last 24 hours failed, the most frequent first
    nodes: Sequence[NodeInfo]  # the relays that work on the queue

    def account(self, name: str) -> AccountStatus | None:
        return next((each for each in self.accounts if each.name == name), None)


def summed(spans: Sequence[TrafficCount], since: float) -> dict[Status, int]:
    """The counts of all spans from then on."""
    total: dict[Status, int] = {}
    for span in spans:
        if span.begins >= since:
            for status, count in span.counts.items():
                total[status] = total.get(status, 0) + count
    return total


async def look_around(
    services: ApiServices, spool: CountingSpool, now: float, before: Snapshot | None = None
) -> Snapshot:
    """Look now; `before` is what was seen last. Raises `StoreError`."""
    operations, spans = services.operations, await spool.traffic(now - DAY, _SPAN)
    day = summed(spans, now - DAY)
    counted = await spool.statistics()
    return Snapshot(
        at=now,
        accounts=await operations.accounts.list(counted),
        stats=operations.messages.summed(counted),
        waiting=await spool.waiting(),
        room=await services.intake.has_room(0),
        day=day,
        failures=await _failures(services, now, failed(day), before),
        nodes=(await operations.overview.nodes()).nodes,
    )


def failed(day: Mapping[Status, int]) -> int:
    """How many recipients did not get their message, of those counted."""
    return sum(day.get(each, 0) for each in _FAILED)


async def _failures(
    services: ApiServices, now: float, count: int, before: Snapshot | None
) -> Sequence[FailureCause]:
    """Why, by account; looked for anew where some more failed than `before`."""
    if not count:
        return ()
    if before is not None and failed(before.day) == count:
        return before.failures
    query = Query(statuses=_FAILED, newer_than=now - DAY, limit=_LOOKED_AT)
    found: dict[tuple[str, str], list[tuple[MessageSummary, RecipientRow]]] = {}
    for message in (await services.operations.messages.list(query)).messages:
        for row in message.recipients:
            if row.state in _FAILED:
                found.setdefault((row.account, row.cause or row.reply), []).append((message, row))
    causes = [
        FailureCause(
            account=account,
            cause=cause,
            step=some[0][1].remedy,
            recipients=len(some),
            message=some[-1][0].id,
            more=any(_failed_others(message) for message, _ in some),
        )
        for (account, cause), some in found.items()
    ]
    return sorted(causes, key=lambda each: -each.recipients)


def _failed_others(message: MessageSummary) -> bool:
    """Whether more of its recipients failed than it tells of."""
    told = sum(row.state in _FAILED for row in message.recipients)
    return told < sum(message.counts.get(state, 0) for state in _FAILED)
