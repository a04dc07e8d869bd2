"""What was said in one attempt, kept for who looks at one that failed.

A connection outlives attempts, so what it says goes to the recording that is open around who makes it speak.
Only what a person reads later is made a text, so that nearly all attempts cost no more than a list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from postbearer.reply import Reply, cut
from postbearer.transport.capture import Transcript
from postbearer.wire import Auth, AuthResponse, Command

LONGEST = 12_288  # characters of the text of one attempt …
LINE = 600  # … and of one line in it
FIRST, LAST = 30, 60  # commands and replies that are kept, from either end

_OPEN: ContextVar[Recording | None] = ContextVar("recording", default=None)


class Recording:
    """Commands and replies, as `Capture` sees them; the middle of many is left out."""

    def __init__(self) -> None:
        self._first: list[tuple[Any, ...]] = []
        self._last: deque[tuple[Any, ...]] = deque(maxlen=LAST)
        self._count = 0

    def sent(self, command: Command, line: bytes) -> None:
        if isinstance(command, Auth | AuthResponse):  # no credential is kept, however short
            transcript = Transcript()
            transcript.sent(command, line)
            self._keep("lines", transcript.lines)
        else:
            self._keep("sent", command, line)

    def content(self, octets: int) -> None:
        kept = self._last or self._first
        if kept and kept[-1][0] == "content":  # it goes in many pieces
            octets += kept.pop()[1]
            self._count -= 1
        self._keep("content", octets)

    def received(self, command: Command, reply: Reply) -> None:
        self._keep("received", command, reply)

    @property
    def text(self) -> str:
        """As people read it, secrets masked; empty if nothing was said."""
        transcript = Transcript()
        for kind, *told in self._first:
            _tell(transcript, kind, told)
        if left_out := self._count - len(self._first) - len(self._last):
            transcript.lines.append(f"… {left_out} commands and replies left out …")
        for kind, *told in self._last:
            _tell(transcript, kind, told)
        lines = [cut(line, LINE) for line in transcript.lines]
        while sum(map(len, lines)) + len(lines) > LONGEST:
            del lines[len(lines) // 3]  # both ends say more: how it began, and how it ended
        return "\n".join(lines)

    def _keep(self, *entry: Any) -> None:
        self._count += 1
        if len(self._first) < FIRST:
            self._first.append(entry)
        else:
            self._last.append(entry)


def _tell(transcript: Transcript, kind: str, told: list[Any]) -> None:
    match kind:
        case "lines":
            transcript.lines += told[0]
        case "sent":
            transcript.sent(*told)
        case "content":
            transcript.content(*told)
        case _:
            transcript.received(*told)


class OpenRecording:
    """A `Capture` for connections that are kept: it gives all it sees to the recording that is open."""

    def sent(self, command: Command, line: bytes) -> None:
        if (recording := _OPEN.get()) is not None:
            recording.sent(command, line)

    def content(self, octets: int) -> None:
        if (recording := _OPEN.get()) is not None:
            recording.content(octets)

    def received(self, command: Command, reply: Reply) -> None:
        if (recording := _OPEN.get()) is not None:
            recording.received(command, reply)


@contextmanager
def recording() -> Iterator[Recording]:
    """Have what connections with an `OpenRecording` say in here be recorded."""
    made = Recording()
    token = _OPEN.set(made)
    try:
        yield made
    finally:
        _OPEN.reset(token)
