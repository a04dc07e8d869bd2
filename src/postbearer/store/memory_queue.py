"""What a spool in memory holds: messages, their deliveries and recipients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from postbearer.address import same_mailbox
from postbearer.envelope import Recipient
from postbearer.errors import UsageError
from postbearer.store.changes import Changes
from postbearer.store.memory_operating import MemoryAudit, MemoryJobs
from postbearer.store.records import (
    ATTEMPTS,
    Attempt,
    Entry,
    Message,
    Pause,
    Priority,
    Query,
    RecipientPage,
    Row,
    Status,
)

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

    def status(self, of: MemoryRecipient, *, early: bool) -> Status:
        """As it is shown; `early`: the time of the message is still to come."""
        if of.status in _WAITING and self.lease:
            return Status.LEASED
        return Status.SCHEDULED if early and of.status is Status.READY else of.status

    def rows(self, *, early: bool) -> Iterator[Row]:
        for each in self.recipients:
            waits = each.status in _WAITING
            yield Row(
                address=each.recipient.address,
                status=self.status(each, early=early),
                account=self.account,
                priority=self.priority,
                due=self.due if waits else None,
                attempts=len(self.attempts),
                reply=each.reply,
                cause=each.cause,
                remedy=each.remedy,
                unknown=each.unknown,
                delivery=self.id,
            )


@dataclass(slots=True)
class MemoryMessage:
    message: Message
    content: bytes
    deliveries: list[MemoryDelivery]

    def entry(self, now: float, *, attempts: bool = False) -> Entry:
        tries = [each for delivery in self.deliveries for each in delivery.attempts] if attempts else []
        early = self.message.waits_for_time(now)
        rows = tuple(row for delivery in self.deliveries for row in delivery.rows(early=early))
        return Entry(
            message=self.message, rows=rows, attempts=tuple(sorted(tries, key=lambda each: each.began))
        )


@dataclass(slots=True)
class MemoryQueue:
    """What all nodes share."""

    now: Callable[[], float]
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
        changed, early = 0, self._early(message)
        for delivery in self._workable(message, matching):
            for each in delivery.recipients:
                if each.status.final or (each.status is Status.HELD and status is Status.HELD):
                    continue
                if matching.statuses and delivery.status(each, early=early) not in matching.statuses:
                    continue
                if address and not same_mailbox(each.recipient.address, address):
                    continue
                each.status = status
                changed += 1
                delivery.due = now if status is Status.READY else delivery.due
                delivery.ended = None if delivery.open else now
        if changed and status is Status.READY:
            self._begin_life(self.kept[message], now)
        return changed

    def time_of(self, message: str) -> float:
        """When it is to leave at the earliest; 0 without such a time."""
        kept = self.kept.get(message)
        return kept.message.send_at or 0.0 if kept is not None else 0.0

    def _early(self, message: str) -> bool:
        kept = self.kept.get(message)
        return kept is not None and kept.message.waits_for_time(self.now())

    def _begin_life(self, kept: MemoryMessage, now: float) -> None:
        """Of a message that a person does not let wait for its time: it lives as long as it would have."""
        if kept.message.waits_for_time(now):
            expires = kept.message.expires - (kept.message.tried_from - now)
            kept.message = replace(kept.message, send_at=None, expires=expires)

    def move_some(self, message: str, account: str, now: float, matching: Query) -> int:
        """The same of deliveries that match, and that are not by `account` already."""
        changed, early = 0, self._early(message)
        for delivery in self._workable(message, matching):
            open_ = [each for each in delivery.recipients if not each.status.final]
            shown = {delivery.status(each, early=early) for each in open_}
            wanted = not matching.statuses or not shown.isdisjoint(matching.statuses)
            if delivery.account != account and open_ and wanted:
                delivery.account, delivery.due = account, max(now, self.time_of(message))
                changed += len(open_)
        return changed

    def _workable(self, message: str, matching: Query) -> list[MemoryDelivery]:
        kept = self.kept.get(message)
        found = kept.deliveries if kept is not None else []
        return [each for each in found if not each.lease and matching.account in ("", each.account)]

    def numbered(self) -> Sequence[tuple[int, Entry]]:
        """All messages, with growing numbers."""
        return sorted(
            (
                (min(each.id for each in kept.deliveries), kept.entry(self.now()))
                for kept in self.kept.values()
            ),
            key=lambda each: each[0],
        )


def part_of(entry: Entry, page: RecipientPage) -> Entry:
    """Some of its recipients. Raises `UsageError`."""
    after = int(page.after) if page.after.isascii() and page.after.isdecimal() else 0
    if page.after and not 0 < after <= len(entry.rows):
        raise page.gone()
    fit = [
        (place, row)
        for place, row in enumerate(entry.rows, 1)
        if place > after and page.status in (None, row.status)
    ]
    rows = tuple(row for _, row in fit[: page.most])
    deliveries = {row.delivery for row in rows}
    return replace(
        entry,
        rows=rows,
        attempts=tuple(each for each in entry.attempts if each.delivery in deliveries)[-ATTEMPTS:],
        counted=entry.counts,
        cursor=str(fit[page.most - 1][0]) if 0 < page.most < len(fit) else "",
    )


def fits(entry: Entry, query: Query) -> bool:
    """Whether a message fits."""
    message, rows = entry.message, entry.rows
    senders, recipients = (message.envelope.reverse_path, message.author), [row.address for row in rows]
    said = [text for row in rows for text in (row.reply, row.cause)]
    return (
        query.id in ("", message.id)
        and message.id.startswith(query.id_prefix)
        and query.report_of in ("", message.report_of)
        and query.client in ("", message.client)
        and (not query.account or any(row.account == query.account for row in rows))
        and (not query.statuses or any(row.status in query.statuses for row in rows))
        and _somewhere(query.address, (*senders, *recipients))
        and _somewhere(query.sender, senders)
        and _somewhere(query.recipient, recipients)
        and _somewhere(query.reply, said)
        and set(query.tags) <= set(message.tags)
        and _somewhere(query.subject, (message.subject,))
        and query.message_id.casefold() in message.message_id.casefold()
        and (query.older_than is None or message.accepted < query.older_than)
        and (query.newer_than is None or message.accepted > query.newer_than)
    )


def _somewhere(wanted: str, texts: Iterable[str]) -> bool:
    return not wanted or any(wanted.casefold() in each.casefold() for each in texts)
