"""Explaining a line from somebody's log."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from postbearer.outcome import State
from postbearer.providers import Klass, Phase, Rule, Scope, Who, generic_rules
from postbearer.reply import EnhancedStatus, Reply
from postbearer.verdict.judging import judge_reply
from postbearer.verdict.match import Subject, best
from postbearer.verdict.plain import plain_text
from postbearer.verdict.token import judge_token_error, numbers_in
from postbearer.verdict.verdict import Verdict, by_rule

LONGEST = 64 * 1024
TELLING = 12  # characters: shorter texts stand in anything
_ENHANCED = r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])"
_BOTH = re.compile(rf"(?<![\d.:-])([2-5]\d\d)[ -]+{_ENHANCED}")
_CODE = re.compile(r"(?:^|said: |: |> |'|\")([2-5]\d\d)(?=[ -]|$)", re.MULTILINE)
_ALONE = re.compile(_ENHANCED)
_STATUS = re.compile(r"\b(?:HTTP(?:/[\d.]+)?|status(?: code)?)[ :=]+(\d{3})\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+(?:_[a-z]+)+")
_REPEATED = re.compile(r"^(?:.*?\s)?[2-5]\d\d[ -](?=\S)")


def explain(text: str, rules: Sequence[Rule] | None = None, phase: Phase | str = Phase.ANY) -> Verdict:
    """What `text` means: an SMTP reply, an answer of a token endpoint, or an error, with anything around it.

    `phase` says what it answered, as far as that is known. A verdict with an empty `rule` is a guess by
    the code alone; one with an empty `cause` means that nothing in the text was understood.
    """
    known = generic_rules() if rules is None else rules
    text = text.strip()[:LONGEST]
    return (
        _finding(text, known, named=True)
        or _token(text, known)
        or _reply(text, known, Phase(phase))
        or _finding(text, known, named=False)
        or _words(text, known, Phase(phase))
        or Verdict(State.DEFERRED, Scope.MESSAGE, Klass.SOON, who=Who.HOST_OPERATOR)
    )


def _token(text: str, rules: Sequence[Rule]) -> Verdict | None:
    numbers = numbers_in(text)
    names = {name for rule in rules for name in rule.error}
    error, description = _body(text)
    if not error:
        error = next((word for word in _WORD.findall(text.lower()) if word in names), "")
    found = _STATUS.search(text)
    if not numbers and not error and (not found or _BOTH.search(text)):
        return None
    return judge_token_error(int(found[1]) if found else None, error, description or text, numbers, rules)


def _body(text: str) -> tuple[str, str]:
    """Error and description, where the text holds a token endpoint's JSON."""
    start, end = text.find("{"), text.rfind("}")
    try:
        body = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(body, dict) or not isinstance(body.get("error"), str):
        return "", ""
    return body["error"], f"{body.get('error_description', '')} {body.get('error_subtype', '')}"


def _reply(text: str, rules: Sequence[Rule], phase: Phase) -> Verdict | None:
    found = _BOTH.search(text)
    enhanced = None
    if found:
        enhanced = EnhancedStatus(int(found[2]), int(found[3]), int(found[4]))
    elif (found := _ALONE.search(text)) and not _CODE.search(text):
        return _by_status(text, found, rules, phase)
    else:
        found = _CODE.search(text)
    if found is None:
        return None
    words = text[found.end(1) + 1 :]
    lines = tuple(_REPEATED.sub("", line, count=1).encode() for line in words.splitlines()) or (b"",)
    return judge_reply(Reply(int(found[1]), lines, enhanced), phase, rules)


def _by_status(text: str, found: re.Match[str], rules: Sequence[Rule], phase: Phase) -> Verdict | None:
    """A bounce message often names the enhanced status code alone."""
    enhanced = EnhancedStatus(int(found[1]), int(found[2]), int(found[3]))
    words = plain_text([text[found.start() :].encode()])
    rule = best(Subject(phase, words, enhanced=enhanced), rules)
    if rule is not None:
        return by_rule(rule, rule.phase[0] if phase is Phase.ANY else phase)
    return judge_reply(Reply(enhanced.kind * 100 + 50, (words.encode(),), enhanced), phase, rules)


def _words(text: str, rules: Sequence[Rule], phase: Phase) -> Verdict | None:
    """A reply quoted without its codes, where a rule knows it by enough of its words."""
    subject = Subject(phase, " ".join(text.split()), loose=True)
    rule = best(subject, [rule for rule in rules if min(map(len, rule.text), default=0) >= TELLING])
    return by_rule(rule, rule.phase[0] if phase is Phase.ANY else phase) if rule is not None else None


def _finding(text: str, rules: Sequence[Rule], *, named: bool) -> Verdict | None:
    """An error of ours: by its name, or by the words of a rule that is known by words."""
    name, _, words = text.partition(":")
    for finding in dict.fromkeys(finding for rule in rules for finding in rule.finding):
        if named and finding != name:
            continue
        candidates = rules if named else [rule for rule in rules if rule.text or rule.pattern]
        rule = best(Subject(Phase.ANY, words if named else text, finding=finding), candidates)
        if rule is not None:
            return by_rule(rule, rule.phase[0])
    return None
