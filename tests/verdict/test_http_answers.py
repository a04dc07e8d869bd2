"""What answers of an HTTP API mean: by a rule of the phase ``http``, and without one by their status."""

from __future__ import annotations

import pytest

from postbearer.answer import HttpAnswer
from postbearer.errors import ConnectFailed, Disconnected, PostbearerError, RemoteProtocolError, TimedOut
from postbearer.meaning import Disposition, Scope, State
from postbearer.providers import Phase, Rule, names, preset
from postbearer.verdict import explain, judge

DENIED = Rule(
    id="send-as",
    phase=(Phase.HTTP,),
    status=("403",),
    error=("ErrorSendAsDenied",),
    scope=Scope.MESSAGE,
    disposition=Disposition.PERMANENT,
    cause="The account may not send as this sender.",
    mark="documented",
    sample="HTTP 403 ErrorSendAsDenied",
    provider="toy",
)


@pytest.mark.parametrize(
    ("status", "state", "disposition", "scope"),
    [
        (200, State.DELIVERED, Disposition.DONE, Scope.MESSAGE),
        (202, State.DELIVERED, Disposition.DONE, Scope.MESSAGE),
        (302, State.DEFERRED, Disposition.HOLD, Scope.ACCOUNT),
        (400, State.FAILED, Disposition.PERMANENT, Scope.MESSAGE),
        (401, State.DEFERRED, Disposition.HOLD, Scope.ACCOUNT),
        (403, State.DEFERRED, Disposition.HOLD, Scope.ACCOUNT),
        (404, State.FAILED, Disposition.PERMANENT, Scope.MESSAGE),
        (408, State.DEFERRED, Disposition.SOON, Scope.MESSAGE),
        (413, State.FAILED, Disposition.PERMANENT, Scope.MESSAGE),
        (429, State.DEFERRED, Disposition.WINDOW, Scope.ACCOUNT),
        (500, State.UNKNOWN, Disposition.SOON, Scope.MESSAGE),
        (504, State.UNKNOWN, Disposition.SOON, Scope.MESSAGE),
        (503, State.DEFERRED, Disposition.SOON, Scope.MESSAGE),
    ],
)
def test_a_status_alone(status: int, state: State, disposition: Disposition, scope: Scope) -> None:
    verdict = judge(HttpAnswer(status))
    assert (verdict.state, verdict.disposition, verdict.scope) == (state, disposition, scope)
    assert verdict.cause


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (TimedOut("Nothing came."), State.UNKNOWN),
        (Disconnected("It hung up."), State.UNKNOWN),
        (RemoteProtocolError("That is no HTTP."), State.UNKNOWN),
        (ConnectFailed("Nobody is there."), State.DEFERRED),
    ],
)
def test_without_an_answer_nobody_knows_but_where_there_was_no_connection(
    error: PostbearerError, state: State
) -> None:
    assert judge(error, Phase.HTTP).state is state


@pytest.mark.parametrize("status", [429, 503])
def test_who_says_when_to_come_again_is_left_alone_for_so_long(status: int) -> None:
    verdict = judge(HttpAnswer(status, retry_after=120.0))
    assert (verdict.disposition, verdict.scope, verdict.wait) == (Disposition.WINDOW, Scope.ACCOUNT, 120.0)


def test_a_word_of_the_api_is_found_in_its_catalogue() -> None:
    verdict = judge(HttpAnswer(403, "ErrorSendAsDenied", "No."), rules=[DENIED])
    assert (verdict.rule, verdict.state) == ("toy/send-as", State.FAILED)


def test_what_we_show_of_an_answer_can_be_explained() -> None:
    line = f"1xyz: attempt 1: a@example.org failed ({HttpAnswer(403, 'ErrorSendAsDenied', 'No.')})"
    assert explain(line, [DENIED]).rule == "toy/send-as"


@pytest.mark.parametrize("provider", names())
def test_rules_for_replies_and_tokens_explain_no_answer_of_an_api(provider: str) -> None:
    rules = preset(provider).rules
    for rule in rules:
        if Phase.HTTP not in rule.phase and not rule.finding:
            code = rule.error[0] if rule.error else ""
            assert judge(HttpAnswer(400, code, rule.sample), rules=rules).rule == ""


def test_what_an_api_says_does_nothing_to_a_terminal_and_is_not_endless() -> None:
    said = str(HttpAnswer(500, "\x1b[2J", "no\r\nno" + "x" * 100_000))
    assert said.isprintable()
    assert said.startswith("HTTP 500 \\x1b[2J: no\\r\\nno")
    assert len(said) < 1100
