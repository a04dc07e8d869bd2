"""The log: events through the standard `logging`, as text for people or JSON for machines.

Every line about a message carries its id, from the moment it was accepted to the provider's own id. What
others said is escaped, and no line is longer than a few KB.
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

from postbearer.encodings import plain_json
from postbearer.events import (
    AccountPaused,
    Attempted,
    Authenticated,
    Backlog,
    Connected,
    Defect,
    DeliveryEnded,
    Event,
    Expiring,
    LoginFailed,
    PossibleDuplicate,
    ServerFailed,
    Throttled,
    TlsStarted,
    TokenRefused,
    TurnedAway,
    Warned,
    WebhookDisabled,
    WebhookFailing,
)
from postbearer.log.sentences import sentence

LOGGER = "postbearer"

_LEVELS: Mapping[type[Event], int] = {
    Attempted: logging.DEBUG,  # the relay says the same by message, as DeliveryEnded
    Connected: logging.DEBUG,
    Throttled: logging.DEBUG,
    TlsStarted: logging.DEBUG,
    Authenticated: logging.DEBUG,
    Warned: logging.WARNING,
    WebhookDisabled: logging.WARNING,
    WebhookFailing: logging.WARNING,
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


LONGEST = 8192  # characters of a line of text; a line of JSON is cut where it is longer than twice that
LONGEST_FIELD = 500  # characters of a field where that is so …
LONGEST_LIST = 20  # … and entries of a list
MOST_FATES = 10  # recipients in one line; the others have lines of their own

_encode = msgspec.json.Encoder().encode


class EventLog:
    """An observer that writes every event to the logger ``postbearer``."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER)

    def hears(self, kind: type[Event]) -> bool:
        return not kind.for_counting

    def notice(self, event: Event) -> None:
        level = level_of(type(event))
        if self._logger.isEnabledFor(level):
            for each in _lines(event):
                # `Logger.log` would walk the stack to find its caller, for each message twice.
                record = logging.LogRecord(LOGGER, level, "", 0, sentence(each), None, None)
                record.event = each
                self._logger.handle(record)


def level_of(kind: type[Event]) -> int:
    """How much an event of that kind matters, as `logging` has it."""
    return _LEVELS.get(kind, logging.INFO)


def _lines(event: Event) -> Sequence[Event]:
    """The same in as many events as it gets lines."""
    if not isinstance(event, DeliveryEnded) or len(event.fates) <= MOST_FATES:
        return (event,)
    starts = range(0, len(event.fates), MOST_FATES)
    return [dataclasses.replace(event, fates=event.fates[start : start + MOST_FATES]) for start in starts]


class TextFormatter(logging.Formatter):
    """One line for a person: local time with its zone, severity where it matters, account, what happened.

    Under systemd the journal knows the time; then the line begins with the priority it reads
    (sd-daemon(3)) in place of the time.
    """

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = _text(record)
        if self._journal:
            return f"<{_syslog(record.levelno)}>{text}"
        severity = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{_local(int(record.created))} {severity}{text}"


class SyslogFormatter(logging.Formatter):
    """The same for syslog, which has time and priority of its own."""

    def format(self, record: logging.LogRecord) -> str:
        return _text(record)


def _text(record: logging.LogRecord) -> str:
    event: Event | None = getattr(record, "event", None)
    account = f"{event.account}: " if event is not None and event.account else ""
    text = account + record.getMessage()
    return _short(_one_line(text[:LONGEST]), LONGEST, len(text))


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
            for name in _told(type(event)):
                fields[name] = _plain(getattr(event, name))
        else:
            fields["logger"] = record.name
        fields["text"] = record.getMessage()
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if (told := getattr(record, "told", None)) is not None:
            fields["error"] = told
        try:
            line = _encode(fields).decode()
        except UnicodeEncodeError:  # half of a pair, which JSON knows and UTF-8 does not
            line = _encode(_cut(fields, LONGEST)).decode()
        if len(line) > 2 * LONGEST:
            line = _encode(_cut(msgspec.to_builtins(fields), LONGEST_FIELD)).decode()
        return plain_json(line)


class RoundHandler(logging.StreamHandler[TextIO]):
    """Writes what is said in one round of the event loop in one piece, at its end; without a loop at once."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._last: logging.LogRecord | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # that has the end of its round in mind

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self._line(record))
        self._last = record
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            if loop is not self._loop:
                self._loop = loop
                loop.call_soon(self.flush)

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # of formatting, which can be any: it is told in the form of all others
            text = f"a line of the log could not be written: {error!r}"
            return self.format(logging.LogRecord(LOGGER, logging.ERROR, "", 0, text, None, None))

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
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False


# Most lines come in the second of the one before.
@lru_cache(maxsize=1)
def _local(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).astimezone().isoformat(" ")


@lru_cache(maxsize=1)
def _utc(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"


_TOLD: dict[type[Event], Sequence[str]] = {}


def _told(kind: type[Event]) -> Sequence[str]:
    """The fields of an event that a line has: its time is the line's, and lines need no number."""
    told = _TOLD.get(kind)
    if told is None:
        names = [each.name for each in dataclasses.fields(kind)]
        told = _TOLD[kind] = [name for name in names if name not in ("time", "sequence")]
    return told


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


def _cut(value: Any, most: int) -> Any:
    """Without what makes it too long, at any depth, and of text nothing that UTF-8 cannot say."""
    match value:
        case str():
            return _short(value.encode(errors="backslashreplace").decode()[:most], most, len(value))
        case list():
            more = [f"… and {len(value) - LONGEST_LIST} more"] if len(value) > LONGEST_LIST else []
            return [_cut(each, most) for each in value[:LONGEST_LIST]] + more
        case dict():
            return {key: _cut(each, most) for key, each in value.items()}
        case _:
            return value


def _short(text: str, most: int, length: int) -> str:
    """`text` as far as `most`, and how much is missing of its `length`."""
    return text[:most] + (f" … ({length - most} more characters)" if length > most else "")


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
