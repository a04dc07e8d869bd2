"""Events: what postbearer tells whoever listens. Logs, `demo` and `check` are made of them.

An observer only listens: it must not block, and what it raises is a defect of the observer.
No event holds a secret or a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from postbearer.outcome import Outcome
from postbearer.reply import Reply


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `account` names whose."""

    account: str


@dataclass(frozen=True, slots=True)
class TokenFetched(Event):
    """A new access token came from the authorization server; it lives `lifetime` seconds."""

    grant: str
    lifetime: float
    scope: str = ""


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
class Warned(Event):
    """Something works but should be looked at."""

    text: str


class Observer(Protocol):
    """Anything that wants to know."""

    def notice(self, event: Event) -> None: ...


class Silent:
    """The observer that does nothing."""

    def notice(self, event: Event) -> None:
        """Ignore `event`."""
