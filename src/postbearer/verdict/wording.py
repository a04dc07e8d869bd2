"""A verdict in the words of one account: the same wherever it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from postbearer.providers import Catalogue, Disposition, Ids, Rule, Scope
from postbearer.verdict.verdict import Verdict

_NOBODY = Ids()


def worded(verdict: Verdict, rules: Sequence[Rule], said: str = "", *, examine: bool = True) -> Verdict:
    """`verdict` with its remedy made for the account that `rules` are written for.

    Blanks are filled in, also from what the server `said`; where somebody has to act, the last thing named
    is the command that finds out more, unless there is nothing to `examine`.
    """
    ids = rules.ids if isinstance(rules, Catalogue) else _NOBODY
    remedy = ids.fill(verdict.remedy, said)
    if examine and ids.check and _wants_a_person(verdict) and ids.check not in remedy:
        remedy = f"{remedy} Then: {ids.check}" if remedy.endswith(".") else f"{remedy}; then: {ids.check}"
    return verdict if remedy == verdict.remedy else replace(verdict, remedy=remedy)


def _wants_a_person(verdict: Verdict) -> bool:
    return verdict.disposition is Disposition.HOLD and verdict.scope in (Scope.ACCOUNT, Scope.HOST)
