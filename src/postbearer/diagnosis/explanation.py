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
    """What a text means, where it comes from the provider `title` (empty: from anybody)."""

    title: str
    verdict: Verdict

    @property
    def guess(self) -> bool:
        """Whether only the code was understood."""
        return not self.verdict.rule


def explain(text: str, presets: Sequence[Preset] | None = None) -> tuple[Explanation, ...]:
    """What `text`, a reply or an error, means to each of the providers it can come from.

    All providers are asked unless `presets` are given. Empty if nothing in the text was understood.
    """
    asked = [preset(name) for name in names()] if presets is None else presets
    found: dict[str, Explanation] = {}
    for each in asked:
        verdict = explain_by(text, each.rules)
        if verdict.cause and verdict.rule and not verdict.rule.startswith(_GENERIC):
            found.setdefault(verdict.rule, Explanation(each.title, verdict))
    if found:
        return tuple(found.values())
    verdict = explain_by(text)
    return (Explanation("", verdict),) if verdict.cause else ()
