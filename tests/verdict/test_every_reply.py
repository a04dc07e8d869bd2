"""Every known reply of a provider is explained, in the phase it belongs to and from a log line alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.diagnosis import explain as ask
from postbearer.providers import preset
from postbearer.verdict import explain

Row = tuple[str, str, str, str, str]


def table() -> list[list[str]]:
    lines = Path(__file__).with_name("replies.txt").read_text().splitlines()
    return [line.split(" | ") for line in lines if not line.startswith("#")]


def replies() -> Iterator[Row]:
    for provider, phase, disposition, scope, *text in (row for row in table() if row[0] != "entra"):
        yield provider, phase, disposition, scope, " | ".join(text)


def numbers() -> Iterator[tuple[str, str]]:
    for _, disposition, listed in (row for row in table() if row[0] == "entra"):
        yield from ((disposition, number) for number in listed.split())


@pytest.mark.parametrize(("provider", "phase", "disposition", "scope", "text"), list(replies()))
def test_a_reply_is_understood(provider: str, phase: str, disposition: str, scope: str, text: str) -> None:
    verdict = explain(text, preset(provider).rules, phase)
    assert verdict.rule, "only its code was understood"
    assert (verdict.disposition, verdict.scope) == (disposition, scope)
    (explained,) = ask(text, [preset(provider)])
    assert not explained.guess
    assert explained.verdict.cause
    assert explained.verdict.remedy or disposition == "done"


def test_a_554_that_nobody_knows_is_not_taken_for_one_about_recipients() -> None:
    (explained,) = ask("554 5.2.0 STOREDRV.Submission.Exception:SomethingNew; Failed to process message")
    assert explained.guess
    assert "recipient" not in explained.verdict.cause


@pytest.mark.parametrize(("disposition", "number"), list(numbers()))
def test_a_number_of_entra_is_understood(disposition: str, number: str) -> None:
    (explained,) = ask(f"AADSTS{number}: Something went wrong.", [preset("microsoft")])
    assert explained.verdict.rule.startswith("entra/")
    assert explained.verdict.disposition == disposition
    assert explained.verdict.remedy
