"""What follows the queue: one reader for all who listen, who are given what it read last.

Who comes late is given what the spool still has, and then goes on with the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import Final, Protocol

from postbearer.clock import Clock
from postbearer.errors import StoreError
from postbearer.events import Committed, Event, Several, Warned
from postbearer.store import StateChange
from postbearer.tasks import Tasks

KEPT: Final = 2000  # changes in memory, for who is not far behind
PIECE: Final = 500  # changes that are read, or handed over, at a time
CALM: Final = 0.1  # seconds between two looks: what came in between is read together
AGAIN: Final = 5.0  # seconds after a look that failed


class ChangeSource(Protocol):
    """A spool that keeps changes, as `SqliteSpool` does."""

    def history(self, after: int, most: int) -> Awaitable[Sequence[StateChange]]: ...

    def history_kept(self) -> Awaitable[tuple[int, int]]: ...


class Feed:
    """Reads only while somebody follows, and then hears of commits among the others of `observers`."""

    def __init__(self, source: ChangeSource, clock: Clock, observers: Several) -> None:
        self._source = source
        self._clock = clock
        self._observers = observers
        self._tasks = Tasks(clock, observers)
        self._recent: list[StateChange] = []
        self._last = 0
        self._followers = 0
        self._committed = asyncio.Event()
        self._news = asyncio.Event()  # a new one for each look that found something
        self._ended = False

    def hears(self, kind: type[Event]) -> bool:
        return kind is Committed

    def notice(self, event: Event) -> None:
        self._committed.set()

    async def stop(self) -> None:
        """All who follow come to their end."""
        self._ended = True
        self._news.set()
        await self._tasks.stop()

    async def kept(self) -> tuple[int, int]:
        """The numbers of the oldest change that is still there, and of the last one. Raises `StoreError`."""
        return await self._source.history_kept()

    async def follow(self, after: int, patience: float) -> AsyncGenerator[Sequence[StateChange], None]:
        """All changes behind the number `after`, in pieces; an empty one after `patience` seconds of nothing.

        Ends with the relay. Raises `StoreError`.
        """
        self._followers += 1
        try:
            if self._followers == 1:
                await self._begin()
            while not self._ended:
                news = self._news
                piece = await self._behind(after)
                if not piece:
                    piece = await self._wait(news, after, patience)
                if piece:
                    after = piece[-1].number
                yield piece
        finally:
            self._followers -= 1
            if not self._followers:
                self._observers.remove(self)
                self._recent = []

    async def _begin(self) -> None:
        """Take up reading again, after a time in which nobody cared."""
        self._observers.add(self)
        _, self._last = await self._source.history_kept()
        self._recent = []
        self._committed.set()
        if not self._tasks:
            self._tasks.keep(self._run, "feed of events")

    async def _wait(self, news: asyncio.Event, after: int, patience: float) -> Sequence[StateChange]:
        try:
            async with asyncio.timeout(patience):
                await news.wait()
        except TimeoutError:
            return ()
        return await self._behind(after)

    async def _behind(self, after: int) -> Sequence[StateChange]:
        """What comes next behind `after`, as far as it was read; from memory, if it is there."""
        if after >= self._last:
            return ()
        if self._recent and after >= self._recent[0].number - 1:
            start = after - self._recent[0].number + 1  # the numbers have no gaps
            return self._recent[start : start + PIECE]
        return await self._source.history(after, PIECE)

    async def _run(self) -> None:
        while True:
            await self._committed.wait()
            self._committed.clear()
            try:
                await self._look()
            except StoreError as error:
                self._observers.notice(Warned("", f"Events cannot be read: {error}"))
                self._committed.set()
                await self._clock.sleep(AGAIN)
            await self._clock.sleep(CALM)

    async def _look(self) -> None:
        while found := await self._source.history(self._last, PIECE):
            self._recent = [*self._recent, *found][-KEPT:]
            self._last = found[-1].number
            news, self._news = self._news, asyncio.Event()
            news.set()
