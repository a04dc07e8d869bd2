"""The verdict itself."""

from __future__ import annotations

from dataclasses import dataclass

from postbearer.outcome import State
from postbearer.providers import Disposition, ImmediateAction, Phase, Rule, Scope, Who

__all__ = ["Disposition", "ImmediateAction", "Phase", "Scope", "Verdict", "Who"]

_STATES = {
    Disposition.DONE: State.DELIVERED,
    Disposition.SOON: State.DEFERRED,
    Disposition.WINDOW: State.DEFERRED,
    Disposition.HOLD: State.DEFERRED,
    Disposition.PERMANENT: State.FAILED,
}
_OURS = (Who.MAILBOX_USER, Who.TENANT_ADMIN, Who.APP_OWNER, Who.HOST_OPERATOR)  # who look after an account
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

    `state` is what becomes of the recipients now, `disposition` what the queue does with everything in
    `scope`, and `first` what is tried before that. `wait` is in seconds, at least; 0 leaves it to the
    schedule.
    A `soon` that was met `hold_after` times in a row becomes `hold` (0: never).
    """

    state: State
    scope: Scope
    disposition: Disposition
    first: tuple[ImmediateAction, ...] = ()
    wait: float = 0
    cause: str = ""
    remedy: str = ""
    who: Who = Who.NOBODY
    hold_after: int = 0
    tenant: bool = False  # every account of the organisation is affected
    configuration: bool = False  # what was asked is wrong, rather than withdrawn
    rule: str = ""  # catalogue/id; empty: the catalogue does not know it
    certain: bool = False  # words told it, or a code that means the same wherever it comes

    @property
    def refuses_us(self) -> bool:
        """Whether it is the account or its sender that is refused, and not the recipient or the content."""
        lasting = self.disposition is Disposition.PERMANENT and self.who in _OURS
        return self.disposition is Disposition.HOLD or lasting

    def __str__(self) -> str:
        return f"{self.cause} {self.remedy}".rstrip()


def by_rule(rule: Rule, phase: Phase) -> Verdict:
    """The verdict that `rule` gives in `phase`."""
    return Verdict(
        state=_STATES[rule.disposition],
        scope=rule.scope or scope_of(phase),
        disposition=rule.disposition,
        first=rule.first,
        wait=rule.wait,
        cause=rule.cause,
        remedy=rule.remedy,
        who=rule.who,
        hold_after=rule.hold_after,
        tenant=rule.tenant,
        configuration=rule.configuration,
        rule=rule.name,
        certain=_certain(rule),
    )


# Enhanced status codes that IANA registers go up to here, by subject; what lies beyond is a vendor's own.
_REGISTERED = {0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}


def _certain(rule: Rule) -> bool:
    """Whether what leads to `rule` can mean nothing else, whoever says it."""
    if rule.text or rule.pattern or rule.number or rule.error or rule.finding or rule.status:
        return True
    if not rule.provider:
        return Phase.ANY in rule.phase
    return bool(rule.enhanced) and all(map(_own, rule.enhanced))


def _own(enhanced: str) -> bool:
    _, about, detail = enhanced.split(".")
    return int(detail.partition("-")[0]) > _REGISTERED.get(int(about), -1)


def of(
    disposition: Disposition, scope: Scope, cause: str, remedy: str = "", *first: ImmediateAction
) -> Verdict:
    """A verdict without a rule."""
    who = Who.HOST_OPERATOR if disposition is Disposition.HOLD else Who.NOBODY
    return Verdict(_STATES[disposition], scope, disposition, first, cause=cause, remedy=remedy, who=who)


def scope_of(phase: Phase) -> Scope:
    """How far a failure reaches that says nothing else about it."""
    return _BY_PHASE.get(phase, Scope.MESSAGE)
