"""Making verdicts: by a rule, or without one."""

from __future__ import annotations

from postbearer.meaning import Disposition, ImmediateAction, Scope, State, Verdict, Who
from postbearer.providers import Phase, Rule

__all__ = ["Verdict", "by_rule", "of", "scope_of"]

_STATES = {
    Disposition.DONE: State.DELIVERED,
    Disposition.SOON: State.DEFERRED,
    Disposition.WINDOW: State.DEFERRED,
    Disposition.HOLD: State.DEFERRED,
    Disposition.PERMANENT: State.FAILED,
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
