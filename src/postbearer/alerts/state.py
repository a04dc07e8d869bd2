"""What was told, and what is still to be told, in a small document: once each, also across restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from postbearer.alerts.alert import Alert
from postbearer.events import Observer, Warned
from postbearer.state import Document

LONGEST = 200  # notices that wait to be told; the oldest goes first
DONE = 100  # notices that were told, to be looked at
OWN_LETTERS = 100  # ids of our own messages: that they fail is no news


class PendingAlert(msgspec.Struct):
    """One way a notice still has to go. `due` is Unix seconds; tried `tries` times since `since`."""

    to: str
    due: float
    since: float
    tries: int = 0


class Post(msgspec.Struct):
    """A notice on its way."""

    notice: Alert
    targets: list[PendingAlert]


class DoneAlert(msgspec.Struct):
    """A notice that went one of its ways, or did not, for what `error` says."""

    at: float
    notice: Alert
    to: str  # what to call the way
    error: str = ""


class SentAlert(msgspec.Struct):
    """A pause that was told; `with_` names the account whose notice told it, if that was another."""

    since: float
    reasons: list[str]
    with_: str = ""


class Level(msgspec.Struct):
    """The nearest level at which the end at `at` was told."""

    at: float
    days: int


class Failures(msgspec.Struct):
    """What failed and was not told yet; `told` is when somebody heard last."""

    count: int = 0
    since: float = 0.0
    example: str = ""
    told: float = 0.0


class Notes(msgspec.Struct):
    """The document. Dictionaries are by account, `levels` by account and thing."""

    paused: dict[str, SentAlert] = {}
    resumed: dict[str, float] = {}  # when that was told last
    levels: dict[str, Level] = {}
    failures: dict[str, Failures] = {}
    backlog: dict[str, float] = {}  # since when it is told
    letters: list[str] = []
    outbox: list[Post] = []
    done: list[DoneAlert] = []


class AlertState:
    """`notes`, kept in `document`. Only relays write it, one at a time."""

    def __init__(self, document: Document, observer: Observer) -> None:
        self._document = document
        self._observer = observer
        self._kept: bytes | None = None
        self._writing = asyncio.Lock()
        self._turn = asyncio.Lock()
        self.notes = Notes()

    async def load(self) -> None:
        """Take up what an earlier run knew. A damaged document is put aside. Raises `StoreError`."""
        data = await self._document.read()
        if data is None:
            return
        try:
            self.notes = msgspec.json.decode(data, type=Notes)
            self._kept = data
        except msgspec.MsgspecError:
            await self._document.put_aside()
            what = f"{self._document.place} was damaged and is put aside"
            self._observer.notice(Warned("", f"{what}: what was told already may be told again."))

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Whether nobody else tells until the end; the notes are then as the last who did has left them.

        Raises `StoreError`.
        """
        async with self._turn, self._document.alone() as ours:
            if ours and await self._document.read() != self._kept:
                await self.load()
            yield ours

    async def save(self) -> None:
        """Make it durable, if anything changed. Raises `StoreError`."""
        async with self._writing:
            data = msgspec.json.encode(self.notes)
            if data != self._kept:
                await self._document.write(data)
                self._kept = data

    def post(self, notice: Alert, targets: list[str]) -> None:
        """Put a notice on its way."""
        if not targets:
            return
        outbox = self.notes.outbox
        outbox.append(Post(notice, [PendingAlert(to, notice.at, notice.at) for to in targets]))
        while len(outbox) > LONGEST:
            lost = outbox.pop(0).notice
            self._observer.notice(Warned(lost.account, f"Nobody was told: {lost.title}."))

    def ended(self, notice: Alert, to: str, at: float, error: str = "") -> None:
        """A notice arrived, or was given up."""
        self.notes.done = [*self.notes.done[1 - DONE :], DoneAlert(at, notice, to, error)]

    def wrote(self, message: str) -> None:
        """`message` is a letter of ours."""
        self.notes.letters = [*self.notes.letters[1 - OWN_LETTERS :], message]
