"""What it means that an HTTP API answered a message so (RFC 9110 15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from postbearer.answer import HttpAnswer
from postbearer.meaning import Disposition, ImmediateAction, Scope, State, Verdict
from postbearer.providers import Phase, Rule
from postbearer.verdict.match import Subject, best
from postbearer.verdict.verdict import by_rule, of

_UNAUTHORIZED, _FORBIDDEN, _TOO_LARGE, _TOO_MANY, _UNAVAILABLE = 401, 403, 413, 429, 503
_THROTTLED_FOR = 60.0  # seconds, where it does not say for how long


def judge_http(answer: HttpAnswer, rules: Sequence[Rule]) -> Verdict:
    """The meaning of `answer`. What its Retry-After says holds for the whole account."""
    subject = Subject(Phase.HTTP, answer.message, status=answer.status, error=answer.code)
    rule = best(subject, rules)
    verdict = by_rule(rule, Phase.HTTP) if rule is not None else _unlisted(answer)
    if answer.retry_after and verdict.disposition in (Disposition.SOON, Disposition.WINDOW):
        return replace(
            verdict,
            disposition=Disposition.WINDOW,
            scope=Scope.ACCOUNT,
            wait=answer.retry_after,
        )
    return verdict


def _unlisted(answer: HttpAnswer) -> Verdict:
    """What an answer means that no rule knows."""
    if answer.positive:
        return of(Disposition.DONE, Scope.MESSAGE, "The provider took it.")
    if answer.status == _TOO_MANY:
        throttled = of(Disposition.WINDOW, Scope.ACCOUNT, "The provider wants fewer messages for now.")
        return replace(throttled, wait=_THROTTLED_FOR, first=(ImmediateAction.CUT,))
    if answer.status // 100 == 5 and answer.status != _UNAVAILABLE:
        failed = of(
            Disposition.SOON,
            Scope.MESSAGE,
            "The provider failed when it had the message, and does not say whether it was sent.",
            "Look into the mailbox's Sent Items before sending it again.",
        )
        return replace(failed, state=State.UNKNOWN)
    if answer.transient:
        return of(Disposition.SOON, Scope.MESSAGE, "The provider refuses for now.")
    if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
        return of(
            Disposition.HOLD,
            Scope.ACCOUNT,
            "The provider does not let this account send.",
            "Read its words; check grant, scopes and permissions.",
        )
    if answer.status == _TOO_LARGE:
        return of(Disposition.PERMANENT, Scope.MESSAGE, "The message is too large.", "Make it smaller.")
    if answer.status // 100 != 4:  # a redirect, which is not followed, or no answer at all
        return of(
            Disposition.HOLD,
            Scope.ACCOUNT,
            "What answered is not the provider's API.",
            "Check the address, and what stands in between.",
        )
    return of(
        Disposition.PERMANENT,
        Scope.MESSAGE,
        "The provider refuses for good.",
        "Read its words and correct it.",
    )
