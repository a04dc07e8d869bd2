"""Explaining a line from somebody's log."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from postbearer.outcome import State
from postbearer.providers import Disposition, Phase, Rule, Scope, Who, generic_rules
from postbearer.reply import EnhancedStatus, Reply
from postbearer.verdict.judging import judge_reply
from postbearer.verdict.match import Subject, best
from postbearer.verdict.reply_text import plain_text
from postbearer.verdict.token import judge_token_error, numbers_in
from postbearer.verdict.verdict import Verdict, by_rule
from postbearer.verdict.wording import worded

LONGEST = 64 * 1024
TELLING = 12  # characters: shorter texts stand in anything
_ENHANCED = r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])"
_BOTH = re.compile(rf"(?<![\d.:-])([2-5]\d\d)(?:[ -]+|, b['\"]){_ENHANCED}")
# The second form is how Python's smtplib shows a reply.
_CODE = re.compile(r"(?:(?:^|said: |: |> |'|\")(?=...(?:[ -]|$))|\((?=..., b['\"]))([2-5]\d\d)", re.MULTILINE)
_ALONE = re.compile(_ENHANCED)
_STATUS = re.compile(r"\b(?:HTTP(?:/[\d.]+)?|status(?: code)?)[ :=]+(\d{3})\b", re.IGNORECASE)
_ANSWER = re.compile(r"\bHTTP (\d{3})(?: ([A-Za-z][\w.-]*)(?=:|\s|$))?")  # as we show the answer of an API
_WORD = re.compile(r"[a-z]+(?:_[a-z]+)+")
# What a log says of the command that was answered: Postfix, Exim, Python's smtplib.
_ANSWERED: tuple[tuple[Phase, re.Pattern[str]], ...] = tuple(
    (phase, re.compile(words, re.IGNORECASE))
    for phase, words in (
        (Phase.EOD, r"in reply to end of DATA|after end of data|\bSMTPDataError\b"),
        (Phase.RCPT, r"in reply to RCPT TO|after (?:pipelined )?RCPT TO|\bSMTPRecipientsRefused\b"),
        (Phase.MAIL, r"in reply to MAIL FROM|after (?:pipelined )?MAIL FROM|\bSMTPSenderRefused\b"),
        (Phase.DATA, r"in reply to DATA|after (?:pipelined )?DATA:"),
        (Phase.EHLO, r"in reply to [EH][EH]LO|after [EH][EH]LO|\bSMTPHeloError\b"),
        (Phase.AUTH, r"SASL authentication failed|in reply to AUTH|\bSMTPAuthenticationError\b"),
        (
            Phase.CONN,
            r"while receiving the initial server greeting|after initial connection|\bSMTPConnectError\b",
        ),
    )
)


def explain(text: str, rules: Sequence[Rule] | None = None, phase: Phase | str = Phase.ANY) -> Verdict:
    """What `text` means: an SMTP reply, an answer of a token endpoint, or an error, with anything around it.

    `phase` says what it answered, as far as that is known. A verdict with an empty `rule` is a guess by
    the code alone; one with an empty `cause` means that nothing in the text was understood.
    """
    known = generic_rules() if rules is None else rules
    text = text.strip()[:LONGEST]
    phase = Phase(phase)
    if phase is Phase.ANY:
        phase = next((told for told, words in _ANSWERED if words.search(text)), phase)
    verdict = (
        _finding(text, known, named=True)
        or _http(text, known)
        or _token(text, known)
        or _reply(text, known, phase)
        or _finding(text, known, named=False)
        or _words(text, known, phase)
        or Verdict(State.DEFERRED, Scope.MESSAGE, Disposition.SOON, who=Who.HOST_OPERATOR)
    )
    return worded(verdict, known, text)


def _http(text: str, rules: Sequence[Rule]) -> Verdict | None:
    """An answer of an HTTP API, if a rule of the phase ``http`` knows it: a token endpoint answers alike."""
    found = _ANSWER.search(text)
    if found is None:
        return None
    subject = Subject(Phase.HTTP, text[found.end() :], status=int(found[1]), error=found[2] or "")
    rule = best(subject, rules)
    return by_rule(rule, Phase.HTTP) if rule is not None else None


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
    lines = tuple(line.encode() for line in _lines(text[found.end(1) :], found[1], enhanced))
    return judge_reply(Reply(int(found[1]), lines, enhanced), phase, rules)


def _lines(said: str, code: str, enhanced: EnhancedStatus | None) -> list[str]:
    """The lines of one reply, without their codes, however a log has put them together.

    `said` begins with the separator behind the first code, a hyphen where more lines follow. In each
    further line of the log, and where they were joined within a line, the same code stands again. Other
    numbers are words of the server's.
    """
    more = said[:1] == "-"
    mark = rf"{code}[ -](?={re.escape(str(enhanced))}\b)" if enhanced is not None else rf"{code}[ -](?=\S)"
    first, *others = said[1:].split("\n")
    lines = [first, *(re.sub(rf"^(?:.*?[\s:'\"(])?{mark}", "", line, count=1) for line in others)]
    if more:
        lines = [part for line in lines for part in re.split(rf"(?<!\S){mark}", line)]
    return [line.strip() for line in lines]


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
