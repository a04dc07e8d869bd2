"""What an event is, and who hears it.

An observer only listens: it must not block, and what it raises is a defect of the observer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from postbearer.clock import Clock


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `account` names whose.

    `Several` says when it was (`time`, Unix seconds), and which one it is (`sequence`, from 1 on).
    """

    for_counting: ClassVar[bool] = False  # it would fill a log

    account: str
    time: float = field(default=0.0, init=False, compare=False, repr=False)
    sequence: int = field(default=0, init=False, compare=False, repr=False)


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
