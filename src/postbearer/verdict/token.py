"""What a refusal by a token endpoint means (RFC 6749 5.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from postbearer.providers import Disposition, Phase, Rule, Scope, generic_rules
from postbearer.verdict.match import Subject, best
from postbearer.verdict.verdict import Verdict, by_rule, of

THROTTLED_FOR = 60.0
_NUMBER = re.compile(r"AADSTS(\d{4,9})", re.IGNORECASE)


def judge_token_error(
    status: int | None,
    error: str = "",
    description: str = "",
    codes: Sequence[int] = (),
    rules: Sequence[Rule] | None = None,
    *,
    retry_after: float | None = None,
) -> Verdict:
    """What it means that a token endpoint answered `status` with `error` and `description`.

    `codes` are Microsoft's own numbers; those that stand in `description` count too. They only choose the
    words for people: what the queue does hangs on `error` and `status`, unless a rule of the provider says
    more. Mail never fails for it; a `Retry-After` of `retry_after` seconds is kept.
    """
    numbers = (*codes, *numbers_in(description))
    subject = Subject(Phase.TOKEN, description, status=status, error=error, numbers=numbers)
    rule = best(subject, generic_rules() if rules is None else rules)
    verdict = (
        by_rule(rule, Phase.TOKEN) if rule is not None else _unlisted(status, named=bool(error or numbers))
    )
    if retry_after and verdict.disposition in (Disposition.SOON, Disposition.WINDOW):
        return replace(verdict, disposition=Disposition.WINDOW, wait=retry_after)
    if verdict.disposition is Disposition.WINDOW and not verdict.wait:
        return replace(verdict, wait=THROTTLED_FOR)
    return verdict


def numbers_in(text: str) -> tuple[int, ...]:
    """The AADSTS numbers that stand in `text`."""
    return tuple(int(number) for number in _NUMBER.findall(text))


def _unlisted(status: int | None, *, named: bool) -> Verdict:
    refused = named if status is None else 400 <= status < 500
    if not refused:
        return of(Disposition.SOON, Scope.ACCOUNT, "The token endpoint gave no usable answer.")
    return of(
        Disposition.HOLD,
        Scope.ACCOUNT,
        "The token endpoint refuses.",
        "Read its words; check client, tenant, scope and grant.",
    )
