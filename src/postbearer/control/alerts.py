"""What people see of alerts: what is open, what was told to whom, and what could not be told yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct

from postbearer.control.method import Method, Nothing
from postbearer.control.principal import Right
from postbearer.errors import UsageError
from postbearer.moments import Time


class OpenAlert(Struct, frozen=True, kw_only=True):
    """Something that somebody was told of, and that is still so. `level`: days that are left."""

    what: Literal["paused", "runs-out", "backlog"]
    account: str
    since: Time | None
    text: str
    level: int | None = None


class WaitingAlert(Struct, frozen=True, kw_only=True):
    """A notice that has not arrived on one of its ways; tried `tries` times, and again at `due`."""

    title: str
    account: str
    to: str
    since: Time
    tries: int
    due: Time


class ToldAlert(Struct, frozen=True, kw_only=True):
    """A notice that arrived, or that was given up for what `error` says."""

    at: Time
    kind: str
    account: str
    title: str
    text: str
    to: str
    error: str


class AlertStatus(Struct, frozen=True, kw_only=True):
    """The `channels` are the ways that notices go; what was `told` comes with the newest first."""

    channels: tuple[str, ...]
    open: tuple[OpenAlert, ...]
    waiting: tuple[WaitingAlert, ...]
    told: tuple[ToldAlert, ...]


class AlertDesk(Protocol):
    """Who watches over the accounts of a relay, and tells."""

    def status(self) -> AlertStatus: ...


class Alerts:
    """The same, for people."""

    def __init__(self, desk: AlertDesk | None) -> None:
        self._desk = desk

    async def show(self) -> AlertStatus:
        """All of it. Raises `UsageError` where no relay runs."""
        if self._desk is None:
            raise UsageError("No relay runs here that could tell.", hint="Start one by: postbearer serve")
        return self._desk.status()


METHODS: Mapping[str, Method] = {
    "alerts.show": Method(Nothing, AlertStatus, Right.LOOK, lambda on, given, by: on.alerts.show()),
}
