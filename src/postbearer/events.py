"""Events: what postbearer tells whoever listens. Logs, `demo` and `check` are made of them.

An observer only listens: it must not block, and what it raises is a defect of the observer.
No event holds a secret or a token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from postbearer.outcome import Outcome, RecipientFate
from postbearer.reply import Reply

if TYPE_CHECKING:
    from postbearer.clock import Clock


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `account` names whose.

    `Several` says when it was (`time`, Unix seconds), and which one it is (`sequence`, from 1 on).
    """

    account: str
    time: float = field(default=0.0, init=False, compare=False, repr=False)
    sequence: int = field(default=0, init=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TokenFetched(Event):
    """A new access token came from the authorization server; it lives `lifetime` seconds."""

    grant: str
    lifetime: float
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequested(Event):
    """A token was asked for, which took `seconds` until it was kept; `error` names why there is none."""

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

    server: str
    messages: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionReused(Event):
    """A message goes by a connection that stands already."""

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


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something works but should be looked at."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect(Event):
    """Something of ours failed that never should. It goes on all the same, without what it was about.

    `what` failed, for the client at `peer` or the message `id`, with `error` in the line `place`.
    """

    what: str
    error: str
    place: str = ""
    peer: str = ""
    id: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Event):
    """The relay took a message: it is on the disk. `account` carries it first (empty: several do).

    From its end until then it took `seconds`.
    """

    id: str
    client: str
    size: int
    recipients: int
    message_id: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryEnded(Event):
    """An attempt for a queued message ended, and that is on the disk; `account` made it.

    `due` is when those that were deferred are tried again. `queue_id` is the provider's own. `counted` is
    false when nothing could be attempted. The attempt took `seconds`; the message was accepted `age` seconds
    ago.
    """

    id: str
    attempt: int
    fates: tuple[RecipientFate, ...]
    server: str = ""
    queue_id: str = ""
    seconds: float = 0.0
    due: float | None = None
    counted: bool = True
    error: str = ""
    age: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Event):
    """A delivery report about the message `id` was put in the queue, as the message `report`."""

    id: str
    report: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PossibleDuplicate(Event):
    """The message `id` may be delivered more than once; `window` names why."""

    id: str
    window: str
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPaused(Event):
    """The account sends nothing; its mail waits. `person`: somebody must act. `until`: tried again then."""

    reason: str
    remedy: str = ""
    until: float | None = None
    person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResumed(Event):
    """The account sends again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring(Event):
    """`what` of the account ends at `at` (Unix seconds), within `level` days; 0: it has ended."""

    what: str
    at: float
    level: int
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog(Event):
    """So many `messages` wait for the account, the oldest of them `since` then (Unix seconds)."""

    messages: int
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway(Event):
    """Somebody at `peer` was not let in, or may not send. Of one peer this is told once a minute."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFailed(Event):
    """A client at `peer` did not know its password. `username` is empty when nobody has that name."""

    peer: str
    username: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAction(Event):
    """Somebody changed something by hand: `by`, whom `known_by` proves, did `action`.

    To the account, to the message `id` (to `recipient` of it only, if named), or to the relay. `count` of
    recipients, or of messages of an import, were changed.
    """

    action: str
    by: str
    known_by: str
    id: str = ""
    recipient: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConnected(Event):
    """A client at `peer` has a connection to the relay, or one that it was not let in by."""

    peer: str
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientDisconnected(Event):
    """A client that was let in has gone; it was connected for `seconds`."""

    peer: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRejected(Event):
    """A client's `command` was answered by `code`: 4xx or 5xx.

    ``CONTENT`` is the end of a message, ``SUBMIT`` a message by ``submit.sock``, ``OTHER`` no command.
    """

    peer: str
    command: str
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Event):
    """A commit of the queue ended: `jobs` shared it, `pages` were written, in `seconds`; `failed` or not."""

    jobs: int
    pages: int
    seconds: float
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The relay listens on `addresses`."""

    addresses: str


@dataclass(frozen=True, slots=True)
class Reloaded(Event):
    """The relay goes by a new configuration."""


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    """The relay has ended, with all marks written."""


COUNTED: Final = frozenset(  # what is for those who count, and would fill a log
    {
        TokenRequested,
        ConnectionClosed,
        ConnectionReused,
        ClientConnected,
        ClientDisconnected,
        CommandRejected,
        Committed,
    }
)


class Observer(Protocol):
    """Anything that wants to know. One with a method ``hears(kind)`` gets those that this says True of."""

    def notice(self, event: Event) -> None: ...


def hears(observer: Observer, kind: type[Event]) -> bool:
    """Whether `observer` wants events of `kind`: else they need not even be made."""
    wants = getattr(observer, "hears", None)
    return wants is None or bool(wants(kind))


class Several:
    """Several observers as one, which come and go; each hears everything it wants.

    Here an event gets its time and its number.
    """

    def __init__(self, *observers: Observer, clock: Clock) -> None:
        self._observers = observers
        self._clock = clock
        self._sequence = 0
        self._hearers: dict[type[Event], tuple[Observer, ...]] = {}

    def add(self, observer: Observer) -> None:
        """From now on, `observer` hears as well."""
        self._observers = (*self._observers, observer)
        self._hearers.clear()

    def remove(self, observer: Observer) -> None:
        """From now on, `observer` hears nothing; nor does it matter if it never did."""
        self._observers = tuple([each for each in self._observers if each is not observer])
        self._hearers.clear()

    def hears(self, kind: type[Event]) -> bool:
        """Whether anybody wants events of `kind`."""
        hearers = self._hearers.get(kind)
        return bool(self._who_hears(kind) if hearers is None else hearers)

    def notice(self, event: Event) -> None:
        if not event.sequence:  # else it comes from another that stands before this one
            self._sequence += 1
            object.__setattr__(event, "time", self._clock.now())
            object.__setattr__(event, "sequence", self._sequence)
        hearers = self._hearers.get(type(event))
        for each in self._who_hears(type(event)) if hearers is None else hearers:
            try:
                each.notice(event)
            except Exception as error:  # of one that only listens: what it listens to goes on
                self._tell(each, error)

    def _who_hears(self, kind: type[Event]) -> tuple[Observer, ...]:
        found = self._hearers[kind] = tuple([each for each in self._observers if hears(each, kind)])
        return found

    def _tell(self, who: Observer, error: Exception) -> None:
        """Let the others say so. Raises `error` if there is nobody else."""
        others = [each for each in self._observers if each is not who and hears(each, Defect)]
        if not others:
            raise error
        met = Defect("", what=f"observer {type(who).__name__}", error=repr(error)[:500])
        for each in others:
            each.notice(met)


class Silent:
    """The observer that does nothing."""

    def hears(self, kind: type[Event]) -> bool:
        """Nothing."""
        return False

    def notice(self, event: Event) -> None:
        """Ignore `event`."""
