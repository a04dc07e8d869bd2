"""The durable queue, as everything above it sees it. One contract suite runs against every implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Protocol

from postbearer.message import Content
from postbearer.store.changes import Waits
from postbearer.store.lease import NodeDetails
from postbearer.store.operating import AuditLog, AuditRecord, JobStore, NodeRecord
from postbearer.store.records import (
    Claimed,
    Entry,
    Found,
    IdempotencyKey,
    Incoming,
    Lane,
    LaneKey,
    Message,
    NewDelivery,
    Pause,
    Query,
    RecipientPage,
    Report,
    Settlement,
    StateChange,
    Statistics,
    Status,
    TrafficCount,
    Waiting,
    WaitingEvent,
    WebhookRow,
)
from postbearer.store.staging import Staging


class Spool(Protocol):
    """Accept, claim, settle, retire: each one transaction, synced before it returns.

    Several nodes may work on one spool. A claim leases a delivery to the node that made it, until the node's
    heartbeat stays away for `LEASE` seconds, on the clock of the store. Every later write carries the lease.

    All methods raise `StoreError`: `StoreFull` when there is no room (nothing changed), `OutcomeUnknown`
    when a commit may or may not stand, `LeaseLost` for work that is not ours any more.
    """

    @property
    def remarks(self) -> Sequence[str]:
        """What a person should know about the place of the spool, once it is open."""
        ...

    async def open(self, *, read_only: bool = False) -> Found:
        """Open, migrate, and put in order what an earlier run of this node left (durability: restart).

        What others have leased stays theirs until it is over. What was found is found again by each start
        until somebody was `told`. With `read_only` nothing is written, and all of that is left to a start;
        raises `SchemaMismatch` for a spool of an older version, too.
        """
        ...

    async def told(self) -> None:
        """Who runs the relay was told what `open` found, and `heartbeat` took over."""
        ...

    async def close(self) -> None:
        """Close after all marks are written, and note that the end was clean."""
        ...

    def stage(self, message: str) -> Staging:
        """Begin to take the content of the message with the id `message`."""
        ...

    async def accept(
        self,
        message: Message,
        content: Staging,
        deliveries: Sequence[NewDelivery],
        *,
        key: IdempotencyKey | None = None,
    ) -> Sequence[Claimed]:
        """Make the message and its deliveries durable, in one synced transaction. After it: 250.

        Those that are to be attempted `at_once` may be leased in it: what is returned is. The others wait.
        With a `key` that is known, nothing is kept: raises `AlreadyAccepted`, or `KeyReused` when it stands
        for something else. A key is known for a day, and for as long as its message is.
        """
        ...

    async def accept_all(self, batch: Sequence[Incoming]) -> Sequence[Claimed]:
        """`accept` of several messages in one transaction: all or none of them are kept."""
        ...

    async def accepted(self, keys: Sequence[IdempotencyKey]) -> Sequence[str]:
        """The ids of the messages that the keys stand for; empty for a key that is not known."""
        ...

    async def room(self, size: int) -> bool:
        """Whether a message of `size` octets can be taken with the reserve kept free."""
        ...

    def time(self) -> float | None:
        """What time it is by the clock of the store; None where it has none of its own."""
        ...

    async def lanes(self, now: float, among: Collection[LaneKey] | None = None) -> Sequence[Lane]:
        """All lanes that hold an open delivery which is not held, with when their first one is due.

        Only those `among` some, if that is given.
        """
        ...

    async def claim(self, shares: Mapping[Lane, int], now: float) -> Sequence[Claimed]:
        """Lease so many due deliveries of each lane at most, an attempt open for each; in one transaction."""
        ...

    async def heartbeat(self) -> Sequence[str]:
        """Have all leases of this node hold for another `LEASE` seconds; called every `HEARTBEAT` seconds.

        What others had leased and did not renew is taken over: deferred, and marked as it may have arrived.
        Returns the ids of these messages, which are to be `told`. One write for the node, however much it has
        leased; none while it has nothing and is alone.
        """
        ...

    def holds(self, claimed: Claimed) -> bool:
        """Whether the lease is ours for certain, so that its message may leave. By memory and clock alone."""
        ...

    async def settle(self, claimed: Claimed, settlement: Settlement) -> None:
        """End the attempt. Raises `LeaseLost` when the lease is not the one claimed; then nothing changed.

        A lease that is over is ours until another node has taken it: what was sent is marked, if late.
        After `OutcomeUnknown` it may be called again: the mark is made now, or `LeaseLost` says that
        it had been made.
        """
        ...

    async def late(self, account: str, before: float, after: int, most: int) -> Sequence[Claimed]:
        """Up to `most` deliveries of `account` that might have left before `before`, their senders not told.

        They come in the order of their numbers, from behind `after`. None is leased.
        """
        ...

    async def warn(self, late: Claimed, report: Report | None) -> bool:
        """Note that the sender was told of the delay, by `report` if there is one; in one transaction.

        False, and nothing changed, when the delivery does not wait any more or the sender was told meanwhile.
        """
        ...

    async def content(self, message: Message) -> Content:
        """The accepted octets, brought so near that they are read without waiting for a network.

        Raises `StoreError`. Reading raises it too, before the last octet, when their hash does not fit.
        """
        ...

    async def introduce(self, details: NodeDetails) -> None:
        """From now on show this of this node."""
        ...

    async def nodes(self) -> Sequence[NodeRecord]:
        """The nodes that work on the queue, by name."""
        ...

    @property
    def jobs(self) -> JobStore:
        """Actions on all messages that match something."""
        ...

    @property
    def audit(self) -> AuditLog:
        """What people did. What they do by a method here is recorded by its `audit`, in its transaction."""
        ...

    async def pause(self, pause: Pause, *, audit: AuditRecord | None = None) -> None:
        """Stop an account: one row, whatever the number of its messages."""
        ...

    async def resume(self, account: str, *, audit: AuditRecord | None = None) -> bool:
        """Let an account send again; False when it was not paused, and then nothing is recorded."""
        ...

    async def pauses(self) -> Sequence[Pause]: ...

    def subscribe(self, waits: Waits, paused: Callable[[], None]) -> None:
        """Have `waits` called whenever something came to wait or may go on, and `paused` when pauses changed.

        Whoever did it: this program, a command, another node. Of what others do it is called some time later,
        by a heartbeat at the latest; of what `claim` and `settle` of this node do, not at all.
        """
        ...

    async def search(self, query: Query) -> Sequence[Entry]:
        """Messages that fit, oldest first, without their attempts.

        Of each `LISTED` recipients at most, and how many there are in each state. If states are asked for,
        those in one of them are told before others. Raises `UsageError` when the one to go on behind is gone.
        """
        ...

    async def latest(self, before: float, place: int) -> float | None:
        """When that one was accepted which has `place` others behind it, of those accepted before then.

        None if there are not so many. It costs a walk through an index of times, and no more.
        """
        ...

    async def show(self, message: str, page: RecipientPage | None = None) -> Entry | None:
        """A message, its recipients and its attempts; None if there is none.

        With `page` some of its recipients, without a look at the others but to count them. Raises
        `UsageError` when the one to go on behind is gone.
        """
        ...

    async def change(
        self,
        message: str,
        status: Status,
        now: float,
        address: str = "",
        *,
        audit: AuditRecord | None = None,
    ) -> int:
        """Hold (HELD), release or retry now (READY) or cancel (CANCELLED) the open recipients of a message.

        Only `address`, if given. Returns how many rows changed; leased ones are never touched. The `audit`
        is recorded with their number, unless there are none. What is let go is due at `now`, and waits for no
        later time any more; its life is as long as it would have been.
        """
        ...

    async def move(self, message: str, account: str, now: float, *, audit: AuditRecord | None = None) -> int:
        """Let what waits, or is held, of a message leave by another account; what waits, from now on.

        Not before its time, if it has one. Returns how many recipients that are; leased ones are never
        touched, nor is what leaves by it already.
        """
        ...

    async def statistics(self) -> Statistics:
        """Counts, without a look at what is counted: it costs the same, however much waits.

        The oldest is told to the second in which it might have left.
        """
        ...

    async def waiting(self) -> Sequence[Waiting]:
        """What has not left yet, by account: it waits, or an attempt is under way.

        Not what is held, nor what waits for its time. It costs no more the more waits; the oldest is told to
        the second in which it might have left.
        """
        ...

    async def retire(self, before: float) -> int:
        """Remove messages all of whose recipients reached a final state before `before`; returns how many."""
        ...

    def export(self) -> AsyncIterator[tuple[Entry, Content]]:
        """Every open message, for another store."""
        ...


class DurableSpool(Spool, Protocol):
    """One that outlives its process. It can also keep what became of recipients, for who follows that."""

    async def keep_history(self) -> None:
        """From now on, keep what becomes of recipients, as `open_spool` would have it with `events`."""
        ...

    async def history(self, after: int, most: int, message: str = "") -> Sequence[StateChange]:
        """What became of recipients behind the number `after`, in the order in which it did.

        Only of one `message`, if it is named: that takes a walk through all of them.
        """
        ...

    async def history_kept(self) -> tuple[int, int]:
        """The numbers of the oldest change that is kept, and of the last one; 0 and 0 before the first."""
        ...

    async def history_since(self, at: float) -> int:
        """The number of the first change at that time (Unix seconds) or later; 0 if there is none."""
        ...

    async def webhooks(self) -> Mapping[str, tuple[WebhookRow, Sequence[WaitingEvent]]]:
        """How far each webhook is, by name."""
        ...

    async def keep_webhook(
        self, row: WebhookRow, again: Collection[WaitingEvent] = (), done: Collection[int] = ()
    ) -> None:
        """Note how far a webhook is: the events `again` are to be sent again, `done` are not any more.

        Changes that a webhook needs are kept longer than others, within a bound.
        """
        ...

    async def drop_webhook(self, name: str) -> None:
        """Forget a webhook."""
        ...

    async def traffic(self, since: float, width: int) -> Sequence[TrafficCount]:
        """How many recipients came into each state since then (Unix seconds), in spans of `width` seconds.

        The oldest first; a span in which nothing happened is left out. Minutes are kept for eight days.
        """
        ...
