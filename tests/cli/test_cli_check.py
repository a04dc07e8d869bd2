"""check --explain: what a line from somebody's log means, and what to do about it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from postbearer.cli.check import command


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant",
            "switched off",
            "Set-CASMailbox",
        ),
        ("AADSTS7000215: Invalid client secret provided.", "client secret", "Value"),
        ("554 5.2.252 SendAsDenied; a not allowed to send as b", "may not send", "SendAs"),
    ],
)
def test_a_line_from_a_log_is_explained(text: str, cause: str, remedy: str) -> None:
    shown = CliRunner().invoke(command, ["--explain", text], standalone_mode=False)
    assert shown.return_value == 0
    assert cause in shown.output
    assert remedy in shown.output
    told = json.loads(
        CliRunner().invoke(command, ["--explain", text, "--json"], standalone_mode=False).output
    )
    assert any(remedy in each["remedy"] for each in told["explanations"])
    assert all(each["rule"] for each in told["explanations"])


def test_what_nobody_knows_is_said_so() -> None:
    shown = CliRunner().invoke(command, ["--explain", "hello"], standalone_mode=False)
    assert shown.return_value == 65
    assert "Nothing in it is known." in shown.output
