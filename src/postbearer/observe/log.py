"""The log: events through the standard `logging`, as text for people or JSON for machines.

Every line about a message carries its id, from the moment it was accepted to the provider's own id.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, TextIO, get_type_hints

import msgspec

from postbearer.observe.words import sentence
from postbearer.observer import (
    AccountPaused,
    Attempted,
    Authenticated,
    Backlog,
    Connected,
    Defect,
    Event,
    Expiring,
    LoginFailed,
    PossibleDuplicate,
    ServerFailed,
    TlsStarted,
    TokenRefused,
    TurnedAway,
    Warned,
)

NAME = "postbearer"

_LEVELS: Mapping[type[Event], int] = {
    Attempted: logging.DEBUG,  # the relay says the same by message, as DeliveryEnded
    Connected: logging.DEBUG,
    TlsStarted: logging.DEBUG,
    Authenticated: logging.DEBUG,
    Warned: logging.WARNING,
    Defect: logging.ERROR,
    TokenRefused: logging.WARNING,
    ServerFailed: logging.WARNING,
    AccountPaused: logging.WARNING,
    PossibleDuplicate: logging.WARNING,
    Expiring: logging.WARNING,
    Backlog: logging.WARNING,
    TurnedAway: logging.WARNING,
    LoginFailed: logging.WARNING,
}


_encode = msgspec.json.Encoder().encode


class Log:
    """An observer that writes every event to the logger ``postbearer``."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(NAME)

    def notice(self, event: Event) -> None:
        level = _LEVELS.get(type(event), logging.INFO)
        if self._logger.isEnabledFor(level):
            # `Logger.log` would walk the stack to find its caller, for each message twice.
            record = logging.LogRecord(NAME, level, "", 0, sentence(event), None, None)
            record.event = event
            self._logger.handle(record)


class TextFormatter(logging.Formatter):
    """One line for a person: time, severity where it matters, account, what happened.

    Under systemd the journal knows the time; then the line begins with the priority it reads
    (sd-daemon(3)) in place of the time.
    """

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        event: Event | None = getattr(record, "event", None)
        account = f"{event.account}: " if event is not None and event.account else ""
        text = account + _one_line(record.getMessage())
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        if self._journal:
            return f"<{_syslog(record.levelno)}>{text}"
        severity = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{_local(int(record.created))} {severity}{text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``event``, the event's own fields, and the sentence."""

    def format(self, record: logging.LogRecord) -> str:
        second, milliseconds = divmod(int(record.created * 1000), 1000)
        fields: dict[str, Any] = {
            "time": f"{_utc(second)}.{milliseconds:03}+00:00",
            "level": record.levelname.lower(),
        }
        event: Event | None = getattr(record, "event", None)
        if event is not None:
            fields["event"] = type(event).__name__
            for name in event.__dataclass_fields__:
                fields[name] = _plain(getattr(event, name))
        fields["text"] = record.getMessage()
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _encode(fields).decode()


class RoundHandler(logging.StreamHandler[TextIO]):
    """Writes what is said in one round of the event loop in one piece, at its end; without a loop at once."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._last: logging.LogRecord | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # that has the end of its round in mind

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record))
            self._last = record
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                if loop is not self._loop:
                    self._loop = loop
                    loop.call_soon(self.flush)
        except Exception:  # of formatting, which can be any: `logging` tells it (`Handler.handleError`)
            self.handleError(record)

    def flush(self) -> None:
        """Write what was said."""
        self.acquire()
        try:
            self._loop, lines, last = None, self._lines, self._last
            self._lines, self._last = [], None
            if last is not None:
                self._write(lines, last)
        finally:
            self.release()

    def _write(self, lines: Sequence[str], last: logging.LogRecord) -> None:
        try:
            self.stream.write("\n".join([*lines, ""]))
            self.stream.flush()
        except (OSError, ValueError):  # a full disk, a closed stream: `logging` tells it, and goes on
            self.handleError(last)


def set_up(stream: TextIO, *, as_json: bool, verbose: bool, journal: bool = False) -> None:
    """Send postbearer's log to `stream`, and nothing of it anywhere else."""
    # What no line shows is not looked up for each of them (logging: "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = RoundHandler(stream)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter(journal=journal))
    logger = logging.getLogger(NAME)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False


# Most lines come in the second of the one before.
@lru_cache(maxsize=1)
def _local(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


@lru_cache(maxsize=1)
def _utc(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


_KNOWN: dict[type[Any], bool] = {}


def _known(kind: type[Any]) -> bool:
    """Whether the encoder writes values of this type as they should be written."""
    known = _KNOWN.get(kind)
    if known is None:
        known = _KNOWN[kind] = _found_known(kind)
    return known


def _found_known(kind: type[Any]) -> bool:
    if not dataclasses.is_dataclass(kind):
        return kind in (str, int, bool, float, type(None)) or issubclass(kind, Enum)
    return _in_parts(kind) and all(_known(each) for each in get_type_hints(kind).values())


def _in_parts(kind: type) -> bool:
    return "__str__" not in vars(kind)  # else it says itself what it is


def _plain(value: Any) -> Any:
    """A field of an event as JSON knows it."""
    if _known(type(value)):
        return value
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if dataclasses.is_dataclass(value) and _in_parts(type(value)):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return str(value)


def _syslog(level: int) -> int:
    return {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4}.get(level, 3)


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
