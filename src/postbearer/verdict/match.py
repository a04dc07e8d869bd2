"""Which rule of a catalogue fits best.

A provider's own rules come before the generic ones. Among those that hold, the most specific wins:
an error number, then a distinguishing text, then an exact enhanced status code, a range of them, the
code, the phase; at a tie the longer text, then the earlier rule. Where the phase is not known, a bare code
that belongs to one phase explains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from postbearer.providers import Phase, Rule
from postbearer.reply import EnhancedStatus

Score = tuple[int, ...]
_MISS = -1


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked up. None and empty: not known. `text` is one line without status codes."""

    phase: Phase
    text: str = ""
    code: int | None = None
    enhanced: EnhancedStatus | None = None
    status: int | None = None
    error: str = ""
    numbers: tuple[int, ...] = ()
    finding: str = ""
    loose: bool = False  # codes that are not known fit any rule whose text does


def best(subject: Subject, rules: Sequence[Rule]) -> Rule | None:
    """The rule that explains `subject`, if any does."""
    lowered = subject.text.lower()
    winner: Rule | None = None
    highest: Score = ()
    for rule in rules:
        score = _score(rule, subject, lowered)
        if score and score > highest:
            winner, highest = rule, score
    return winner


def _score(rule: Rule, subject: Subject, lowered: str) -> Score:
    """How specifically `rule` fits; empty if it does not."""
    if not _same_kind(rule, subject):
        return ()
    parts = (
        _listed(rule.number, subject.numbers),
        _listed(rule.finding, (subject.finding,)),
        _text(rule, subject.text, lowered),
        _enhanced(rule, subject),
        _listed(rule.error, (subject.error,)),
        _range(rule.code, subject.code, unknown=bool(rule.enhanced or rule.text or rule.pattern)),
        _range(rule.status, subject.status, unknown=False),
    )
    if _MISS in parts:
        return ()
    number, finding, text, *rest = parts
    return (bool(rule.provider), number, finding, bool(text), *rest, Phase.ANY not in rule.phase, text)


def _same_kind(rule: Rule, subject: Subject) -> bool:
    """Findings, token errors, answers of an HTTP API and replies never explain each other."""
    if bool(rule.finding) != bool(subject.finding):
        return False
    if rule.finding:
        return True
    if (Phase.TOKEN in rule.phase) != (subject.phase is Phase.TOKEN):
        return False
    if (Phase.HTTP in rule.phase) != (subject.phase is Phase.HTTP):
        return False
    if subject.phase is Phase.ANY and _says_nothing_alone(rule):
        return False
    return subject.phase in (*rule.phase, Phase.ANY) or Phase.ANY in rule.phase or subject.phase is Phase.ANY


def _says_nothing_alone(rule: Rule) -> bool:
    """Whether only a code leads to it, which means something else where it answers something else."""
    return Phase.ANY not in rule.phase and not (rule.text or rule.pattern or rule.enhanced)


def _listed(wanted: Sequence[object], had: Sequence[object]) -> int:
    if not wanted:
        return 0
    return 1 if any(item in wanted for item in had) else _MISS


def _text(rule: Rule, text: str, lowered: str) -> int:
    """The length of what matched: a longer text says more."""
    if not rule.text and not rule.pattern:
        return 0
    found = [len(part) for part in rule.text if part.lower() in lowered]
    found += [
        len(match[0]) + 1 for match in (expression.search(text) for expression in _compiled(rule)) if match
    ]
    return max(found, default=_MISS)


def _compiled(rule: Rule) -> tuple[re.Pattern[str], ...]:
    return tuple(_expression(pattern) for pattern in rule.pattern)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _enhanced(rule: Rule, subject: Subject) -> int:
    """2 for an exact code, 1 for a range or a wild class."""
    if not rule.enhanced:
        return 0
    if subject.enhanced is None:
        return 0 if subject.loose and (rule.text or rule.pattern) else _MISS
    return max(_one_enhanced(wanted, subject.enhanced) for wanted in rule.enhanced)


def _one_enhanced(wanted: str, had: EnhancedStatus) -> int:
    kind, about, detail = wanted.split(".")
    low, _, high = detail.partition("-")
    if kind not in ("*", str(had.kind)) or int(about) != had.subject:
        return _MISS
    if not int(low) <= had.detail <= int(high or low):
        return _MISS
    return 1 if high or kind == "*" else 2


def _range(wanted: Sequence[str], had: int | None, *, unknown: bool) -> int:
    """2 for an exact number, 1 for a range; a number that is not known fits where `unknown` says so."""
    if not wanted:
        return 0
    if had is None:
        return 0 if unknown else _MISS
    fits = _MISS
    for item in wanted:
        low, _, high = item.partition("-")
        if int(low) <= had <= int(high or low):
            fits = max(fits, 1 if high else 2)
    return fits
