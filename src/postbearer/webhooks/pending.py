"""What a webhook has still to be told, and what of it may be sent now. All in memory; nothing waits here.

Of one message an event is sent when those before it have arrived, so they come in order. What failed, and
what stands behind that, is kept aside (in the store, too) and blocks no other message: the position, behind
which a restart reads on, goes past it.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter

from postbearer.store import StateChange, WaitingEvent
from postbearer.webhooks.schedule import LONGEST

_number = attrgetter("number")


@dataclass(slots=True, eq=False)
class PendingEvent:
    """One event. `due` is monotonic, `since` (of the first try that failed) Unix seconds."""

    number: int
    message: str
    change: StateChange | None = None  # None: as it was found in the store, by number only
    since: float = 0.0
    due: float = 0.0
    tries: int = 0
    aside: bool = False
    under_way: bool = False


class PendingEvents:
    """`read` is the number of the last event that was looked at."""

    def __init__(self, read: int) -> None:
        self.read = read
        self._events: dict[int, PendingEvent] = {}
        self._of_message: dict[str, list[PendingEvent]] = {}  # in their order; the first is next
        self._in_line: set[int] = set()  # what a restart reads again
        self._new: list[tuple[int, PendingEvent]] = []  # heaps of first ones: by number …
        self._again: list[tuple[float, int, PendingEvent]] = []  # … and by when they are due
        self._changed: set[int] = set()  # what is to be written of what is aside …
        self._gone: set[int] = set()  # … and what is aside no more

    def __len__(self) -> int:
        return len(self._events)

    @property
    def in_line(self) -> int:
        """How many are not aside."""
        return len(self._in_line)

    @property
    def position(self) -> int:
        """The number up to which nothing is in line any more."""
        return min(self._in_line) - 1 if self._in_line else self.read

    @property
    def oldest(self) -> int | None:
        """The lowest number."""
        return min(self._events, default=None)

    @property
    def failing(self) -> set[str]:
        """Messages of which an event has failed."""
        return {message for message, events in self._of_message.items() if events[0].tries}

    # What comes in ---------------------------------------------------------------------------

    def restore(self, kept: Iterable[WaitingEvent], now: float, monotonic: float) -> None:
        """Take up what was aside when the relay ended, whatever has become of the clock meanwhile."""
        for each in kept:
            due = monotonic + min(max(each.due - now, 0.0), LONGEST)
            self._insert(
                PendingEvent(
                    each.number, each.message, since=each.since, due=due, tries=each.tries, aside=True
                )
            )

    def add(self, change: StateChange) -> None:
        """An event that is wanted, behind all that were read."""
        self.read = change.number
        if change.number not in self._events:
            self._line_up(change)

    def skip(self, number: int) -> None:
        """An event that is not wanted."""
        self.read = number

    def send_again(self, changes: Iterable[StateChange]) -> int:
        """Have events sent that were read before; how many of them were not waiting anyway."""
        new = [each for each in changes if each.number <= self.read and each.number not in self._events]
        for change in new:
            self._set_aside(self._line_up(change))
        return len(new)

    def rewind(self, read: int) -> None:
        """Read again from behind the number `read` on. What stands before that, or is aside, stays."""
        self.read = min(self.read, read)
        behind = [self._events[number] for number in self._in_line if number > self.read]
        for event in [each for each in behind if not each.under_way]:
            self._remove(event)

    def _line_up(self, change: StateChange) -> PendingEvent:
        event = PendingEvent(change.number, change.message, change)
        first = self._of_message.get(change.message, [event])[0]
        self._in_line.add(event.number)
        if first.aside:
            self._set_aside(event)
        self._insert(event)
        return event

    def _insert(self, event: PendingEvent) -> None:
        self._events[event.number] = event
        events = self._of_message.setdefault(event.message, [])
        insort(events, event, lo=1 if events and events[0].under_way else 0, key=_number)
        if events[0] is event:
            self._push(event)

    # What goes out ---------------------------------------------------------------------------

    def take_again(self, monotonic: float) -> PendingEvent | None:
        """One that failed before, and is due."""
        self._tidy()
        if not self._again or self._again[0][0] > monotonic:
            return None
        return self._take(heapq.heappop(self._again)[-1])

    def take_new(self) -> PendingEvent | None:
        """One that was not tried yet."""
        self._tidy()
        return self._take(heapq.heappop(self._new)[-1]) if self._new else None

    @property
    def has_new(self) -> bool:
        self._tidy()
        return bool(self._new)

    @property
    def next_due(self) -> float | None:
        """When the first of those that failed is due."""
        self._tidy()
        return self._again[0][0] if self._again else None

    def _take(self, event: PendingEvent) -> PendingEvent:
        event.under_way = True
        return event

    def give_back(self, event: PendingEvent) -> None:
        """It was not tried after all."""
        event.under_way = False
        self._push(event)

    def arrived(self, event: PendingEvent) -> None:
        """It is done with."""
        event.under_way = False
        self._remove(event)

    def failed(self, event: PendingEvent, due: float, now: float) -> None:
        """It is to be tried again at `due`, and those behind it wait."""
        event.under_way = False
        event.tries += 1
        event.since = event.since or now
        event.due = due
        for each in self._of_message[event.message]:
            self._set_aside(each)
        self._push(event)

    def hurry(self, monotonic: float, *, anew: bool = False) -> None:
        """All that failed is due now, as one try more than it has; `anew`: as if it had never been tried."""
        for event in [each for each in self._events.values() if each.tries and not each.under_way]:
            event.due = monotonic
            event.tries = 0 if anew else max(1, event.tries - 1)
            self._changed.add(event.number)
            self._push(event)

    def forget(self, before: int) -> int:
        """Drop what has a number below `before`, as nobody knows any more what it was; how many."""
        lost = [each for number, each in self._events.items() if number < before and each.change is None]
        for event in lost:
            self._remove(event)
        return len(lost)

    # What is written down -------------------------------------------------------------------

    def unwritten(self, now: float, monotonic: float) -> tuple[list[WaitingEvent], list[int]]:
        """What is to be written, and then is: those aside that changed, and those that are no more."""
        changed = [self._events[number] for number in sorted(self._changed) if number in self._events]
        again = [
            WaitingEvent(
                each.number,
                each.message,
                each.since or now,
                now + max(each.due - monotonic, 0.0),
                each.tries,
            )
            for each in changed
        ]
        gone = sorted(self._gone)
        self._changed.clear()
        self._gone.clear()
        return again, gone

    def not_written(self, again: Collection[WaitingEvent], gone: Collection[int]) -> None:
        """It could not be written."""
        self._changed.update(each.number for each in again if each.number in self._events)
        self._gone.update(each for each in gone if each not in self._events)
        self._gone.update(each.number for each in again if each.number not in self._events)

    def _set_aside(self, event: PendingEvent) -> None:
        event.aside = True
        self._in_line.discard(event.number)
        self._gone.discard(event.number)
        self._changed.add(event.number)

    def _remove(self, event: PendingEvent) -> None:
        del self._events[event.number]
        self._in_line.discard(event.number)
        self._changed.discard(event.number)
        if event.aside:
            self._gone.add(event.number)
        events = self._of_message[event.message]
        events.remove(event)
        if not events:
            del self._of_message[event.message]
        elif not events[0].under_way:
            self._push(events[0])

    def _push(self, event: PendingEvent) -> None:
        if event.tries:
            heapq.heappush(self._again, (event.due, event.number, event))
        else:
            heapq.heappush(self._new, (event.number, event))

    def _tidy(self) -> None:
        """Remove from the tops of the heaps what is not the next of its message, or stands there twice."""
        while self._new and not (self._is_next(self._new[0][-1]) and not self._new[0][-1].tries):
            heapq.heappop(self._new)
        while self._again and not (
            self._is_next(self._again[0][-1])
            and self._again[0][-1].tries
            and self._again[0][0] == self._again[0][-1].due
        ):
            heapq.heappop(self._again)

    def _is_next(self, event: PendingEvent) -> bool:
        events = self._of_message.get(event.message)
        return events is not None and events[0] is event and not event.under_way
