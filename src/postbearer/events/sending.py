"""What happens on the way of a message to its server, be it sent by a program or by the relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from postbearer.events.base import Event
from postbearer.outcome import Outcome
from postbearer.reply import Reply


@dataclass(frozen=True, slots=True)
class TokenFetched(Event):
    """A new access token came from the authorization server; it lives `lifetime` seconds."""

    grant: str
    lifetime: float
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequested(Event):
    """A token was asked for, which took `seconds` until it was kept; `error` names why there is none."""

    for_counting: ClassVar[bool] = True

    grant: str
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class TokenRefused(Event):
    """The mail server refused a token; it is dropped and, once, renewed."""

    server: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class Connected(Event):
    """A TCP connection stands."""

    server: str


@dataclass(frozen=True, slots=True)
class ConnectionClosed(Event):
    """A connection that `Connected` told of was closed, after `messages` transactions."""

    for_counting: ClassVar[bool] = True

    server: str
    messages: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionReused(Event):
    """A message goes by a connection that stands already."""

    for_counting: ClassVar[bool] = True

    server: str


@dataclass(frozen=True, slots=True)
class TlsStarted(Event):
    """TLS is up and the certificate holds for the configured name."""

    server: str
    version: str
    cipher: str


@dataclass(frozen=True, slots=True)
class Authenticated(Event):
    """The server knows who we are."""

    server: str
    mechanism: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class ServerFailed(Event):
    """One server of the account could not be used; the next one is tried."""

    server: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Attempted(Event):
    """A transaction ended; one outcome per recipient."""

    server: str
    outcomes: tuple[Outcome, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Throttled(Event):
    """The account has sent all it may for now: the message waits `seconds`."""

    seconds: float
