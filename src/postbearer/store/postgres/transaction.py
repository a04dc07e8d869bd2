"""One transaction that writes: what is to be added is collected, and added in one statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from postbearer.store.postgres.additions import add
from postbearer.store.postgres.contents import CHUNK, PostgresStaging
from postbearer.store.postgres.cursors import LATE
from postbearer.store.postgres.numbers import Numbers, WriteTarget
from postbearer.store.postgres.rows import (
    clean,
    message_row,
    recipients_text,
    slot_of,
)
from postbearer.store.queries import queries
from postbearer.store.records import Claimed, Message, NewDelivery, Priority, Status, Target
from postbearer.store.rows import HELD, LEASED, LETTERS, WAITING

ACCEPT = queries("accept", "postgres")
TURN = queries("turn", "postgres")
SESSION = queries("session", "postgres")

AT_ONCE = 16  # chunks of content that one statement adds
READY = LETTERS[Status.READY]
_EVENT_BITS = 20  # of an event's number, behind that of its transaction


@dataclass(frozen=True, slots=True)
class Place:
    """Which recipients an event is about."""

    message: str
    client: str
    account: str
    send_at: float | None = None
    told: bool = True  # it is not new: what is new counts as ready, also where it is held


@dataclass(slots=True)
class Transaction:
    """`time` is the store's; `number` the database's own of this transaction."""

    connection: Any
    number: int
    time: float
    places: WriteTarget
    numbers: Numbers
    slot: int = field(init=False)  # what is new goes there, also when another one is begun meanwhile
    run: int = field(init=False)  # of the node: a new one is known to others once this is committed
    stirs: bool = False  # other nodes should look
    # A query that is true if this was committed, whatever others commit, and its values.
    evidence: tuple[str, tuple[Any, ...]] | None = None
    _messages: list[tuple[Any, ...]] = field(default_factory=list)
    _contents: list[tuple[int, PostgresStaging]] = field(default_factory=list)
    _deliveries: list[tuple[Any, ...]] = field(default_factory=list)
    _ready: list[tuple[Any, ...]] = field(default_factory=list)
    _outcomes: list[tuple[Any, ...]] = field(default_factory=list)
    _events: list[tuple[Any, ...]] = field(default_factory=list)
    _keys: list[tuple[str, str, str, str, float]] = field(default_factory=list)
    _event_count: int = 0
    _traffic: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.slot = self.places.slot
        self.run = self.numbers.node.run

    def lease(self) -> int:
        """One that never was. Raises `StoreError` for who takes none."""
        return self.numbers.lease(self.run)

    def keep(
        self, message: Message, content: PostgresStaging, deliveries: Sequence[NewDelivery]
    ) -> list[Claimed]:
        """Add a message; what is to begin at once is leased."""
        number = self.numbers.number(self.slot)
        addresses = [each.address for one in deliveries for each in one.recipients]
        self._messages.append(message_row(number, message, addresses))
        self._contents.append((number, content))
        self.evidence = self.evidence or ("has-message", (self.slot, number, message.id))
        several = len(deliveries) > 1
        made = [self._deliver(number, message, new, several=several) for new in deliveries]
        return [claimed for claimed in made if claimed is not None]

    def _deliver(self, number: int, message: Message, new: NewDelivery, *, several: bool) -> Claimed | None:
        delivery, lease = self.numbers.number(self.slot), 0
        letter = LETTERS[Status.HELD if new.held else Status.READY]
        state = HELD if new.held else WAITING
        if new.at_once:
            state, lease = LEASED, self.lease()
        self._deliveries.append(
            (
                delivery,
                number,
                int(new.priority),
                new.client,
                new.account,
                state,
                new.due,
                lease,
                1 if lease else 0,
                new.due if lease else 0.0,
                letter * len(new.recipients),
                "0" * len(new.recipients),
                recipients_text(new.recipients),
                max(message.accepted, message.send_at or message.accepted),
                message.send_at is not None,
                several,
            )
        )
        if state == WAITING:
            self.stirs = True
            self.wait(new.account, int(new.priority), new.client, new.due, delivery, 0)
        place = Place(message.id, message.client, new.account, message.send_at, told=False)
        for each in new.recipients:
            self.event(place, each.address, letter, doubtful=False, counts=True)
        if not lease:
            return None
        return Claimed(
            delivery=delivery,
            lease=lease,
            attempt=1,
            account=new.account,
            priority=new.priority,
            client=new.client,
            message=message,
            targets=tuple(Target(row=row, recipient=each) for row, each in enumerate(new.recipients)),
        )

    def wait(self, account: str, priority: int, client: str, due: float, delivery: int, turn: int) -> None:
        """The delivery waits from `due` on; behind what waited before it, where that is long ago."""
        due = max(due, self.time - LATE)
        self.places.cursors.lower((account, Priority(priority), client), due)
        self._ready.append((account, priority, client, due, delivery, turn))

    def outcome(
        self,
        delivery: int,
        lease: int,
        attempt: int,
        counted: bool,
        began: float,
        ended: float,
        *more: Any,
    ) -> None:
        """An attempt is over.

        When it ended is part of the evidence: another node that takes over the lease ends it, too, later on.
        """
        self._outcomes.append((delivery, lease, attempt, counted, began, ended, *more))
        self.evidence = self.evidence or ("has-outcome", (slot_of(delivery), delivery, lease, ended))

    def event(
        self,
        place: Place,
        recipient: str,
        letter: str,
        *,
        doubtful: bool,
        said: str = "",
        counts: bool = False,
    ) -> None:
        """A recipient came into a state, if that is kept; `counts`: it is one more that did."""
        if not self.places.events:
            return
        if counts:
            self._traffic[letter if place.told else READY] += 1
        if letter == READY and (place.send_at or 0.0) > self.time:
            letter = LETTERS[Status.SCHEDULED]
        number = self.number << _EVENT_BITS | self._event_count
        self._event_count += 1
        self._events.append(
            (
                number,
                self.time,
                place.message,
                clean(place.client),
                place.account,
                clean(recipient),
                letter,
                doubtful,
                clean(said),
            )
        )

    def use(self, keys: Sequence[tuple[str, str, str, str, float]]) -> None:
        """From now on they are known: client, key, digest, message, and since when."""
        self._keys += keys

    async def flush(self) -> None:
        """Add what was collected. Raises `UniqueConflict`."""
        minute = int(self.time / 60) * 60
        rows = {
            "messages": self._messages,
            "contents": await self._last_chunks(),
            "deliveries": self._deliveries,
            "ready": self._ready,
            "outcomes": self._outcomes,
            "events": self._events,
            "traffic": [(minute, letter, count) for letter, count in self._traffic.items()],
            "keys": self._keys,
        }
        there = {name: each for name, each in rows.items() if each}
        if there:
            await add(self.connection, there)
        self._clear()

    async def mark(self) -> None:
        """Have it be known that this was committed, if nothing in it shows that."""
        if self.evidence is None:
            mark = self.numbers.mark()
            await self.connection.execute(SESSION["mark"], *mark, self.time)
            self.evidence = "has-mark", mark

    def forget(self, evidence: tuple[str, tuple[Any, ...]] | None) -> None:
        """What was collected since the last `flush` is not added; the evidence is what it was."""
        self.evidence = evidence
        self._clear()

    def _clear(self) -> None:
        self._traffic.clear()
        self._contents.clear()
        for rows in (self._messages, self._deliveries, self._ready, self._outcomes, self._events, self._keys):
            rows.clear()

    async def _last_chunks(self) -> list[tuple[int, int, bytes]]:
        """Rows of the content that was collected; of much of it the last ones, and the others are added."""
        rows: list[tuple[int, int, bytes]] = []
        for number, content in self._contents:
            for chunk, data in enumerate(content.blocks(CHUNK)):
                if len(rows) >= AT_ONCE:
                    await add(self.connection, {"contents": rows})
                    rows.clear()
                rows.append((number, chunk, data))
        return rows
