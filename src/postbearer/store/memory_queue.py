"""What a spool in memory holds: messages, their deliveries and recipients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from postbearer.address import same_mailbox
from postbearer.envelope import Recipient
from postbearer.errors import UsageError
from postbearer.store.changes import Changes
from postbearer.store.memory_operating import MemoryAudit, MemoryJobs
from postbearer.store.records import Attempt, Entry, Message, Pause, Priority, Query, Row, Status

_WAITING = (Status.READY, Status.DEFERRED)


@dataclass(slots=True)
class MemoryRecipient:
    row: int
    recipient: Recipient
    status: Status = Status.READY
    reply: str = ""
    cause: str = ""
    remedy: str = ""
    unknown: bool = False


@dataclass(slots=True)
class MemoryDelivery:
    id: int
    account: str
    priority: Priority
    client: str
    due: float
    recipients: list[MemoryRecipient]
    lease: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    warned: bool = False
    ended: float | None = None

    @property
    def waiting(self) -> list[MemoryRecipient]:
        return [each for each in self.recipients if each.status in _WAITING]

    @property
    def open(self) -> bool:
        return any(not each.status.final for each in self.recipients)

    def rows(self) -> Iterator[Row]:
        for each in self.recipients:
            waits = each.status in _WAITING
            yield Row(
                address=each.recipient.address,
                status=Status.LEASED if waits and self.lease else each.status,
                account=self.account,
                priority=self.priority,
                due=self.due if waits else None,
                attempts=len(self.attempts),
                reply=each.reply,
                cause=each.cause,
                remedy=each.remedy,
                unknown=each.unknown,
            )


@dataclass(slots=True)
class MemoryMessage:
    message: Message
    content: bytes
    deliveries: list[MemoryDelivery]

    def entry(self, *, attempts: bool = False) -> Entry:
        tries = [each for delivery in self.deliveries for each in delivery.attempts] if attempts else []
        rows = tuple(row for delivery in self.deliveries for row in delivery.rows())
        return Entry(
            message=self.message, rows=rows, attempts=tuple(sorted(tries, key=lambda each: each.began))
        )


@dataclass(slots=True)
class MemoryQueue:
    """What all nodes share."""

    kept: dict[str, MemoryMessage] = field(default_factory=dict)
    deliveries: dict[int, tuple[MemoryMessage, MemoryDelivery]] = field(default_factory=dict)
    pauses: dict[str, Pause] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # digest, id of the message
    gone: dict[str, float] = field(default_factory=dict)  # messages that are no more, when accepted
    nodes: dict[int, tuple[str, float]] = field(default_factory=dict)  # by run: name, when it is over
    untold: list[str] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    audit: MemoryAudit = field(default_factory=MemoryAudit)
    jobs: MemoryJobs = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = MemoryJobs(self, self.audit, fits, self.changes.waits)

    def change_some(
        self, message: str, status: Status, now: float, matching: Query, address: str = ""
    ) -> int:
        """The recipients of a message that match, and that nothing is under way for."""
        if not status.by_hand:
            raise UsageError(f"A recipient cannot be made {status} by hand.")
        changed = 0
        for delivery in self._workable(message, matching):
            for each in delivery.recipients:
                if each.status.final or (each.status is Status.HELD and status is Status.HELD):
                    continue
                if matching.statuses and each.status not in matching.statuses:
                    continue
                if address and not same_mailbox(each.recipient.address, address):
                    continue
                each.status = status
                changed += 1
                delivery.due = now if status is Status.READY else delivery.due
                delivery.ended = None if delivery.open else now
        return changed

    def move_some(self, message: str, account: str, now: float, matching: Query) -> int:
        """The same of deliveries that match, and that are not by `account` already."""
        changed = 0
        for delivery in self._workable(message, matching):
            open_ = [each for each in delivery.recipients if not each.status.final]
            wanted = not matching.statuses or any(each.status in matching.statuses for each in open_)
            if delivery.account != account and open_ and wanted:
                delivery.account, delivery.due = account, now
                changed += len(open_)
        return changed

    def _workable(self, message: str, matching: Query) -> list[MemoryDelivery]:
        kept = self.kept.get(message)
        found = kept.deliveries if kept is not None else []
        return [each for each in found if not each.lease and matching.account in ("", each.account)]

    def numbered(self) -> Sequence[tuple[int, Entry]]:
        """All messages, with growing numbers."""
        return sorted(
            ((min(each.id for each in kept.deliveries), kept.entry()) for kept in self.kept.values()),
            key=lambda each: each[0],
        )


def fits(entry: Entry, query: Query) -> bool:
    """Whether a message fits."""
    message, rows = entry.message, entry.rows
    people = (message.envelope.reverse_path, message.author, *(row.address for row in rows))
    return (
        query.id in ("", message.id)
        and message.id.startswith(query.id_prefix)
        and query.client in ("", message.client)
        and (not query.account or any(row.account == query.account for row in rows))
        and (not query.statuses or any(row.status in query.statuses for row in rows))
        and any(query.address.casefold() in each.casefold() for each in people)
        and query.message_id.casefold() in message.message_id.casefold()
        and (query.older_than is None or message.accepted < query.older_than)
        and (query.newer_than is None or message.accepted > query.newer_than)
    )
