"""What may not send is held wherever a server tells it: at login, to MAIL, to RCPT, after the content."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from engine.test_disposition import NOW, claimed
from postbearer.account import Account
from postbearer.engine import RetryPolicy
from postbearer.engine.disposition import AttemptResult, Policy
from postbearer.errors import CredentialRefused, ServerRefused
from postbearer.outcome import Receipt
from postbearer.providers import Disposition, Phase, Rule, Scope, names, preset
from postbearer.reply import Reply
from postbearer.store import Status
from postbearer.testing.replies import parse_reply
from postbearer.verdict import judge, judged
from support.relay import account

# The same code, or the same words, mean something else where they answer something else.
ELSEWHERE = {
    "generic/token-refused-said",  # behind AUTH, what failed to authenticate is the message: DKIM, DMARC
    "generic/auth-not-offered",  # who refuses MAIL for want of a login says so by 530
    "generic/auth-not-implemented",  # 502: any command
    "generic/token-refused-challenge",  # a 334 comes inside AUTH only
    "generic/undecodable",  # 501 5.5.2: the syntax of any command
    "generic/mechanism-unknown",  # 504: the parameter of any command
    "generic/ehlo-name",  # 501
    "google/tls-required",  # a 421 about a recipient's domain
    "google/bad-ehlo-name",  # 501 5.5.4
    "microsoft/token-too-long",  # is no reply: the connection ends
}
PHASES = [Phase.AUTH, Phase.MAIL, Phase.RCPT, Phase.EOD]


def holds() -> dict[str, tuple[Rule, str]]:
    """Every rule that stops an account or a host, with a provider that has it."""
    found: dict[str, tuple[Rule, str]] = {}
    for name in names():
        for rule in preset(name).rules:
            talks = not (rule.finding or set(rule.phase) & {Phase.TOKEN, Phase.TLS, Phase.CONN})
            stops = rule.disposition in (Disposition.HOLD, Disposition.WINDOW) and rule.scope in (
                Scope.ACCOUNT,
                Scope.HOST,
            )
            if talks and stops and rule.name not in ELSEWHERE:
                found.setdefault(rule.name, (rule, name))
    return found


def reply(rule: Rule) -> Reply:
    text = rule.sample if re.match(r"\d{3}[ -]", rule.sample) else f"550 {rule.sample}"
    return parse_reply(text)


def met(of: Account, said: Reply, phase: Phase) -> AttemptResult:
    """What an attempt leads to in which the server says so to `phase`."""
    judging = Policy(of, RetryPolicy(), lambda: 0.5)
    if phase is Phase.AUTH:
        verdict = judge(said, phase, of.smarthost.rules)
        refused = CredentialRefused("Refused.", reply=said)
        later = ServerRefused("Not now.", stage="auth", reply=said)
        return judging.error(claimed(), refused if verdict.disposition is Disposition.HOLD else later, NOW)
    outcome = judged("user0@example.net", said, phase, of.smarthost.rules)
    return judging.receipt(claimed(), Receipt((outcome,), server="mail:587"), NOW)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("name", sorted(holds()))
def test_it_pauses_the_account_and_counts_and_bounces_nothing(name: str, phase: Phase) -> None:
    rule, provider = holds()[name]
    of = replace(account(), outgoing=replace(account().smarthost, rules=preset(provider).rules))
    ending = met(of, reply(rule), phase)
    assert [fate.status for fate in ending.fates] == [Status.DEFERRED]
    assert ending.stop is not None
    assert ending.stop.reason
    assert not ending.counted


def test_the_exceptions_are_still_needed() -> None:
    known = {rule.name for name in names() for rule in preset(name).rules}
    assert known >= ELSEWHERE
