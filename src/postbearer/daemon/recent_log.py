"""What the relay said lately, kept in memory for who looks by console or HTTP."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Self

from postbearer.control import LEVELS, Level, LogLine, LogPage, LogQuery
from postbearer.events import Event, Several
from postbearer.log import level_of, sentence

KEPT = 1000  # lines
LONGEST = 2000  # characters of one
_NAMES: Mapping[int, Level] = {logging.WARNING: "warning", logging.ERROR: "error"}


class RecentLog:
    """An observer that remembers the last events. They become texts only when somebody looks."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)

    @classmethod
    def of(cls, events: Several) -> Self:
        """One that remembers `events`, from now on."""
        made = cls()
        events.add(made)
        return made

    def hears(self, kind: type[Event]) -> bool:
        return not kind.for_counting and level_of(kind) >= logging.INFO

    def notice(self, event: Event) -> None:
        self._events.append(event)

    def page(self, asked: LogQuery) -> LogPage:
        """What fits, the oldest first."""
        last = self._events[-1].sequence if self._events else 0
        after = asked.after if asked.after <= last else 0  # of an earlier run
        found: list[LogLine] = []
        for line in self._newest_first(after, asked):
            found.append(line)
            if len(found) == asked.limit:
                break
        return LogPage(lines=tuple(reversed(found)), last=last)

    def _newest_first(self, after: int, asked: LogQuery) -> Iterator[LogLine]:
        least, word = LEVELS.index(asked.level), asked.word.casefold()
        for event in reversed(self._events):
            if event.sequence <= after:
                return
            level = _NAMES.get(level_of(type(event)), "info")
            if LEVELS.index(level) < least or asked.account not in ("", event.account):
                continue
            text = sentence(event)[:LONGEST]
            if word in text.casefold():
                yield LogLine(
                    number=event.sequence, at=event.time, level=level, account=event.account, text=text
                )
