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

Entry = tuple[Any, ...]  # what kind it is, and what was told of it

_OPEN: ContextVar[Recording | None] = ContextVar("recording", default=None)


class Recording:
    """Commands and replies, as a `Capture` sees them; the middle of many is left out."""

    __slots__ = ("count", "first", "last")

    def __init__(self) -> None:
        self.first: list[Entry] = []
        self.last: deque[Entry] = deque(maxlen=LAST)
        self.count = 0

    @property
    def text(self) -> str:
        """As people read it, secrets masked; empty if nothing was said."""
        transcript = Transcript()
        for kind, *told in self.first:
            _tell(transcript, kind, told)
        if left_out := self.count - len(self.first) - len(self.last):
            transcript.lines.append(f"… {left_out} commands and replies left out …")
        for kind, *told in self.last:
            _tell(transcript, kind, told)
        lines = [cut(line, LINE) for line in transcript.lines]
        while sum(map(len, lines)) + len(lines) > LONGEST:
            del lines[len(lines) // 3]  # both ends say more: how it began, and how it ended
        return "\n".join(lines)


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
    """A `Capture` for connections that are kept: it gives all it sees to the recording that is open.

    It does so itself: each message is recorded, and hardly any recording is read.
    """

    def sent(self, command: Command, line: bytes) -> None:
        if (recording := _OPEN.get()) is None:
            return
        entry: Entry = ("sent", command, line)
        if isinstance(command, Auth | AuthResponse):  # no credential is kept, however short
            transcript = Transcript()
            transcript.sent(command, line)
            entry = ("lines", transcript.lines)
        recording.count += 1
        (recording.first if len(recording.first) < FIRST else recording.last).append(entry)

    def content(self, octets: int) -> None:
        if (recording := _OPEN.get()) is None:
            return
        kept = recording.last or recording.first
        if kept and kept[-1][0] == "content":  # it goes in many pieces
            kept[-1] = ("content", octets + kept[-1][1])
            return
        recording.count += 1
        (recording.first if len(recording.first) < FIRST else recording.last).append(("content", octets))

    def received(self, command: Command, reply: Reply) -> None:
        if (recording := _OPEN.get()) is None:
            return
        recording.count += 1
        (recording.first if len(recording.first) < FIRST else recording.last).append(
            ("received", command, reply)
        )


@contextmanager
def recording() -> Iterator[Recording]:
    """Have what connections with an `OpenRecording` say in here be recorded."""
    made = Recording()
    token = _OPEN.set(made)
    try:
        yield made
    finally:
        _OPEN.reset(token)
