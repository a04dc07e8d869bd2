"""Explaining a line from somebody's log, without knowing which provider it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbearer.providers import Preset, names, preset
from postbearer.verdict import Verdict
from postbearer.verdict import explain as explain_by

_GENERIC = "generic/"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a text means, where it comes from the provider `title` (empty: from anybody).

    `guess`: only a code was understood, and it may mean something else.
    """

    title: str
    verdict: Verdict
    guess: bool


def explain(text: str, presets: Sequence[Preset] | None = None) -> tuple[Explanation, ...]:
    """What `text`, a reply or an error, means to each of the providers it can come from.

    All providers are asked unless `presets` are given; those that know its words go before those that
    know a code of it. Empty if nothing in the text was understood.
    """
    asked = [preset(name) for name in names()] if presets is None else presets
    found: dict[str, Explanation] = {}
    for each in asked:
        verdict = explain_by(text, each.rules)
        if verdict.cause and verdict.rule and not verdict.rule.startswith(_GENERIC):
            guess = len(asked) > 1 and not verdict.certain
            found.setdefault(verdict.rule, Explanation(each.title, verdict, guess))
    verdict = explain_by(text)
    guess = not verdict.rule or (len(asked) > 1 and not verdict.certain)
    anybody = (Explanation("", verdict, guess),) if verdict.cause else ()
    sure = tuple(each for each in found.values() if not each.guess)
    if sure:
        return sure
    if not anybody or guess:
        return tuple(found.values()) or anybody
    closer = (each for each in found.values() if each.verdict.disposition is verdict.disposition)
    return (*anybody, *closer)  # what it is everywhere, and what more it may be there
