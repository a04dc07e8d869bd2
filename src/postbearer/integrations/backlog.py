"""Log records on their way into a mail: a bounded heap that any thread may add to, and how they are told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_RECORD = 16 * 1024  # characters; the rest of a record is cut
LONGEST_MAIL = 512 * 1024  # characters; further records are counted only
LONGEST_SUBJECT = 160  # characters


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One record: its level, its text, and what a mail about it would have as its subject."""

    level: int
    text: str
    subject: str

    @classmethod
    def of(cls, record: logging.LogRecord, text: str, subject: str) -> LogEntry:
        if len(text) > LONGEST_RECORD:
            text = f"{text[:LONGEST_RECORD]}\n… ({len(text) - LONGEST_RECORD} characters more)"
        return cls(record.levelno, _encodable(text), _one_line(subject))


class Backlog:
    """At most `capacity` entries; of those that come when it is full, only the number is known."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: list[LogEntry] = []
        self._left_out = 0
        self._mutex = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._entries) or self._left_out > 0

    def add(self, entry: LogEntry) -> None:
        with self._mutex:
            if len(self._entries) < self._capacity:
                self._entries.append(entry)
            else:
                self._left_out += 1

    def take(self) -> tuple[list[LogEntry], int]:
        """Everything, and how many were left out."""
        with self._mutex:
            taken = self._entries, self._left_out
            self._entries, self._left_out = [], 0
        return taken

    def put_back(self, entries: Sequence[LogEntry], left_out: int) -> None:
        """What could not be sent goes in front; the first of many tell the most, so the last are left out."""
        with self._mutex:
            whole = [*entries, *self._entries]
            self._entries = whole[: self._capacity]
            self._left_out += left_out + len(whole) - len(self._entries)


def subject_of(entries: Sequence[LogEntry], left_out: int) -> str:
    """The subject of the first of the gravest, and how many there are beside it."""
    gravest = max(entries, key=lambda entry: entry.level)
    others = len(entries) + left_out - 1
    return f"{gravest.subject} (and {others} more)" if others else gravest.subject


def text_of(entries: Sequence[LogEntry], left_out: int) -> str:
    """All records, in the order they came, as far as one mail holds them."""
    texts: list[str] = []
    room = LONGEST_MAIL
    for entry in entries:
        room -= len(entry.text)
        if room < 0:
            break
        texts.append(entry.text.rstrip("\n"))
    missing = len(entries) - len(texts) + left_out
    if missing:
        texts.append(f"… {missing} more came in this time and would not fit.")
    return "\n".join(texts) + "\n"


def _encodable(text: str) -> str:
    """Lone surrogates, as file names can have them, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _one_line(text: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in _encodable(text)).split())
    return line if len(line) <= LONGEST_SUBJECT else line[: LONGEST_SUBJECT - 1] + "…"
