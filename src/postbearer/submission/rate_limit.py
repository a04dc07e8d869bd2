"""What one client may take of the relay, so that the others do not feel it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from postbearer.clock import Clock, SystemClock
from postbearer.engine import Submitter
from postbearer.events import (
    ClientConnected,
    ClientDisconnected,
    Event,
    LoginFailed,
    Observer,
    Silent,
    TurnedAway,
    Warned,
    hears,
)
from postbearer.submission.access import is_address, is_remote, neighbourhood

MANY = "More clients are turned away, or fail to log in, than are told of one by one."
KEPT = 12  # of so many places one is kept for each kind of client
_ALL = "*"  # no peer is called so


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of the submission server. Times are in seconds, rates in octets a second."""

    connections: int = 100
    connections_per_client: int = 10
    connections_of_this_machine: int = 75  # all its programs have one address
    command: float = 300.0  # until a command is whole, or more of the content comes (RFC 5321 4.5.3.2.7)
    session: float = 3600.0  # without a message
    grace: float = 60.0  # content may begin slowly …
    slowest: float = 500.0  # … but not go on like that
    write: float = 60.0  # a client that does not read its replies
    tls: float = 30.0
    error_delay: float = 1.0  # before each reply to a client that makes one error after the other


class ClientKind(Enum):
    """Of clients, as they connect. None of these can take all places."""

    LOCAL_USER = "by a Unix socket"
    THIS_MACHINE = "by loopback"
    NAMED = "from a network that a client is known by"
    OTHER = "from elsewhere, perhaps to log in"


class ConnectionLimit:
    """Counts who is inside."""

    def __init__(
        self,
        bounds: SessionLimits,
        reject_log: RejectLog | None = None,
        *,
        clock: Clock | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._bounds = bounds
        self._clock = clock or SystemClock()
        self._observer = observer or Silent()
        self._reject_log = reject_log
        self._inside: Counter[str] = Counter()
        self._kinds: Counter[ClientKind] = Counter()

    @contextmanager
    def enter(self, peer: str, *, named: bool = False) -> Iterator[str]:
        """Be inside while the block runs; yields why not, or ``""``.

        `peer`: an address, or a local user. `named`: a client is known by a network that it is in.
        """
        place, kind = neighbourhood(peer), _kind(peer, named)
        if refusal := self._refusal(place, kind):
            if self._reject_log is not None:
                self._reject_log.turned_away(peer, refusal)
            if hears(self._observer, ClientConnected):
                self._observer.notice(ClientConnected("", peer=peer, refused=True))
            yield refusal
            return
        self._inside[place] += 1
        self._kinds[kind] += 1
        since = self._clock.monotonic()
        if hears(self._observer, ClientConnected):
            self._observer.notice(ClientConnected("", peer=peer))
        try:
            yield ""
        finally:
            self._kinds[kind] -= 1
            self._inside[place] -= 1
            if not self._inside[place]:
                del self._inside[place]
            if hears(self._observer, ClientDisconnected):
                seconds = self._clock.monotonic() - since
                self._observer.notice(ClientDisconnected("", peer=peer, seconds=seconds))

    def _refusal(self, place: str, kind: ClientKind) -> str:
        bounds = self._bounds
        remote = kind in (ClientKind.NAMED, ClientKind.OTHER)
        most = bounds.connections_per_client if remote else bounds.connections_of_this_machine
        least = bounds.connections // KEPT
        kept = sum(max(0, least - self._kinds[each]) for each in ClientKind if each is not kind)
        if self._kinds.total() + kept >= bounds.connections:
            return "Too many connections"
        return "Too many connections from your address" if self._inside[place] >= most else ""


def _kind(peer: str, named: bool) -> ClientKind:
    if is_remote(peer):
        return ClientKind.NAMED if named else ClientKind.OTHER
    return ClientKind.THIS_MACHINE if is_address(peer) else ClientKind.LOCAL_USER


class Window:
    """How often something happened to each name within the last minute."""

    SECONDS = 60.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}
        self._swept = clock.monotonic()

    def count(self, name: str) -> int:
        times = self._times.get(name)
        return self._recent(times) if times else 0

    def add(self, name: str) -> None:
        now = self._clock.monotonic()
        if now > self._swept + self.SECONDS:  # names that never come again are forgotten all the same
            self._swept = now
            self._times = {each: times for each, times in self._times.items() if self._recent(times)}
        self._times.setdefault(name, deque()).append(now)

    def take_back(self, name: str) -> None:
        """The last time of `name` was none."""
        if self._times.get(name):
            self._times[name].pop()

    def _recent(self, times: deque[float]) -> int:
        since = self._clock.monotonic() - self.SECONDS
        while times and times[0] <= since:
            times.popleft()
        return len(times)


class RejectLog:
    """Says who is turned away, once a minute of each peer, and whose login fails; at most 60 a minute."""

    MOST = 60

    def __init__(self, clock: Clock, observer: Observer) -> None:
        self._said = Window(clock)
        self._observer = observer

    def turned_away(self, peer: str, reason: str) -> None:
        """Somebody at `peer` was not let in, or may not send."""
        if not self._said.count(peer) and self._tell(TurnedAway("", peer=peer, reason=reason)):
            self._said.add(peer)

    def login_failed(self, peer: str, username: str) -> None:
        """A login failed. `username` is empty when nobody has that name: it may be a password."""
        self._tell(LoginFailed("", peer=peer, username=username))

    def _tell(self, event: Event) -> bool:
        told = self._said.count(_ALL)
        if told <= self.MOST:
            self._said.add(_ALL)
            self._observer.notice(event if told < self.MOST else Warned("", MANY))
        return told < self.MOST


class RateLimit:
    """Messages per minute of each client."""

    def __init__(self, clock: Clock) -> None:
        self._messages = Window(clock)

    def admit(self, client: Submitter) -> bool:
        """Count one message of `client`; False when it has had its share of this minute."""
        if client.messages_per_minute is None:
            return True
        if self._messages.count(client.name) >= client.messages_per_minute:
            return False
        self._messages.add(client.name)
        return True
