"""Every rule of every catalogue can be reached, is written for people, and never bounces what it must not."""

from __future__ import annotations

import pytest

from postbearer.providers import Disposition, Phase, Rule, Who, names, preset
from postbearer.verdict import explain

OWN = [
    (rule, preset(name).rules)
    for name in names()
    for rule in preset(name).rules
    if rule.provider or name == "smtp"
]
IDS = [rule.name for rule, _ in OWN]


@pytest.mark.parametrize(("rule", "rules"), OWN, ids=IDS)
class TestRule:
    def test_explains_its_own_sample(self, rule: Rule, rules: tuple[Rule, ...]) -> None:
        verdict = explain(rule.sample, rules, rule.phase[0])
        assert verdict.rule == rule.name
        assert verdict.cause == rule.cause

    def test_explains_it_in_each_of_its_phases(self, rule: Rule, rules: tuple[Rule, ...]) -> None:
        for phase in rule.phase:
            assert explain(rule.sample, rules, phase).rule == rule.name

    def test_its_sample_is_not_its_own_words(self, rule: Rule, rules: tuple[Rule, ...]) -> None:
        assert rule.cause.rstrip(".").lower() not in rule.sample.lower()

    def test_is_written_for_people(self, rule: Rule, rules: tuple[Rule, ...]) -> None:
        assert rule.cause.endswith((".", ".default"))
        assert rule.remedy or rule.disposition is Disposition.DONE
        if rule.disposition is Disposition.HOLD:
            assert rule.who is not Who.NOBODY

    def test_never_bounces_mail_for_a_refused_login(self, rule: Rule, rules: tuple[Rule, ...]) -> None:
        if {Phase.AUTH, Phase.TOKEN} & set(rule.phase):
            assert rule.disposition is not Disposition.PERMANENT
        if rule.disposition is Disposition.WINDOW and rule.code:
            assert rule.wait > 0


def test_entra_numbers_stand_in_one_rule_each() -> None:
    numbers = [number for rule in preset("microsoft").rules for number in rule.number]
    assert len(numbers) == len(set(numbers))
    assert {7000215, 7000222, 700082, 90002, 65001, 53003, 50126, 700016} <= set(numbers)
