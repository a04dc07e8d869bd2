"""What the relay said lately, as its log has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

from postbearer.control.method import Method, Text
from postbearer.control.principal import Right
from postbearer.errors import UsageError
from postbearer.moments import Time

MOST = 1000  # lines of an answer
Level = Literal["info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("info", "warning", "error")


class LogLine(Struct, frozen=True, kw_only=True):
    """A line of the log; `number` grows with each, until the relay ends."""

    number: int
    at: Time
    level: Level
    account: str
    text: str


class LogPage(Struct, frozen=True, kw_only=True):
    """Lines, the oldest first. `last` is the number of the newest that there is, of all."""

    lines: tuple[LogLine, ...]
    last: int


class LogQuery(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Lines behind a number, of one account, of a level and above, that have a word in them.

    The newest of them, at most `limit`.
    """

    after: Annotated[int, Meta(ge=0, le=2**62)] = 0
    account: Text = ""
    level: Level = "info"
    word: Text = ""
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 200


class LogDesk(Protocol):
    """Remembers what a running relay said."""

    def page(self, asked: LogQuery) -> LogPage: ...


class Log:
    """The same, for people."""

    def __init__(self, desk: LogDesk | None) -> None:
        self._desk = desk

    async def read(self, asked: LogQuery) -> LogPage:
        """What fits. Raises `UsageError` where nothing is remembered."""
        if self._desk is None:
            raise UsageError("No relay runs here that remembers what it said.", hint="Read its log.")
        return self._desk.page(asked)


METHODS: Mapping[str, Method] = {
    "relay.log": Method(LogQuery, LogPage, Right.LOOK, lambda on, given, by: on.log.read(given)),
}
