"""The verdict itself."""

from __future__ import annotations

from dataclasses import dataclass

from postbearer.outcome import State
from postbearer.providers import First, Klass, Phase, Rule, Scope, Who

__all__ = ["First", "Klass", "Phase", "Scope", "Verdict", "Who"]

_STATES = {
    Klass.DONE: State.DELIVERED,
    Klass.SOON: State.DEFERRED,
    Klass.WINDOW: State.DEFERRED,
    Klass.HOLD: State.DEFERRED,
    Klass.PERMANENT: State.FAILED,
}
_BY_PHASE = {
    Phase.CONN: Scope.HOST,
    Phase.EHLO: Scope.HOST,
    Phase.TLS: Scope.HOST,
    Phase.AUTH: Scope.ACCOUNT,
    Phase.TOKEN: Scope.ACCOUNT,
    Phase.RCPT: Scope.RECIPIENT,
    Phase.NDR: Scope.RECIPIENT,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A meaning.

    `state` is what becomes of the recipients now, `klass` what the queue does with everything in `scope`,
    and `first` what is tried before that. `wait` is in seconds, at least; 0 leaves it to the schedule.
    A `soon` that was met `hold_after` times in a row becomes `hold` (0: never).
    """

    state: State
    scope: Scope
    klass: Klass
    first: tuple[First, ...] = ()
    wait: float = 0
    cause: str = ""
    remedy: str = ""
    who: Who = Who.NOBODY
    hold_after: int = 0
    tenant: bool = False  # every account of the organisation is affected
    configuration: bool = False  # what was asked is wrong, rather than withdrawn
    rule: str = ""  # catalogue/id; empty: the catalogue does not know it

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}".rstrip()


def by_rule(rule: Rule, phase: Phase) -> Verdict:
    """The verdict that `rule` gives in `phase`."""
    return Verdict(
        state=_STATES[rule.klass],
        scope=rule.scope or scope_of(phase),
        klass=rule.klass,
        first=rule.first,
        wait=rule.wait,
        cause=rule.cause,
        remedy=rule.remedy,
        who=rule.who,
        hold_after=rule.hold_after,
        tenant=rule.tenant,
        configuration=rule.configuration,
        rule=rule.name,
    )


def of(klass: Klass, scope: Scope, cause: str, remedy: str = "", *first: First) -> Verdict:
    """A verdict without a rule."""
    who = Who.HOST_OPERATOR if klass is Klass.HOLD else Who.NOBODY
    return Verdict(_STATES[klass], scope, klass, first, cause=cause, remedy=remedy, who=who)


def scope_of(phase: Phase) -> Scope:
    """How far a failure reaches that says nothing else about it."""
    return _BY_PHASE.get(phase, Scope.MESSAGE)
