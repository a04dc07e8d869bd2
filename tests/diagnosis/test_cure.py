"""What a person types when an account has paused, by what the server said."""

from __future__ import annotations

import pytest

from postbearer.diagnosis import cures
from postbearer.errors import GrantRefused
from postbearer.oauth import ClientCredentials, DeviceCode, Grant, RefreshToken
from postbearer.providers import Phase, preset
from postbearer.secret import Secret
from postbearer.testing.replies import parse_reply
from postbearer.verdict import judge
from support.examining import CLIENT, SECRET, an_account

APP = ClientCredentials(CLIENT, Secret(SECRET))
PERSON = DeviceCode(CLIENT, device_url="http://127.0.0.1:1/device")
LOGIN, CHECK = "postbearer login alerts", "postbearer check alerts"


def cured(grant: Grant, met: str) -> tuple[str, ...]:
    """The commands after a reply to AUTH, or after an error of the token endpoint."""
    account = an_account(provider="microsoft", grant=grant)
    known = preset("microsoft").in_cloud()
    if met[0].isdigit():
        verdict = judge(parse_reply(met), Phase.AUTH, known.rules)
    else:
        code, _, text = met.partition(": ")
        verdict = judge(GrantRefused(text, code=code), Phase.TOKEN, known.rules)
    assert verdict.cause
    return cures(account, known, verdict.cause, "example.org")


@pytest.mark.parametrize(
    ("grant", "met", "commands"),
    [
        (PERSON, "invalid_grant: AADSTS700082: The refresh token has expired.", (LOGIN, CHECK)),
        (RefreshToken(CLIENT, Secret("r")), "invalid_grant: AADSTS700082: It has expired.", (CHECK,)),
        (APP, "invalid_client: AADSTS7000222: The client secret keys are expired.", (CHECK,)),
        (PERSON, "something: nobody has ever seen", (CHECK,)),
    ],
)
def test_a_sign_in_where_one_helps(grant: Grant, met: str, commands: tuple[str, ...]) -> None:
    assert cured(grant, met)[-len(commands) :] == commands


def test_a_switch_is_the_administrators_and_no_sign_in_helps() -> None:
    disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox"
    commands = cured(PERSON, disabled)
    assert any(each.startswith("Set-CASMailbox -Identity alerts@example.org") for each in commands), commands
    assert (LOGIN in commands, commands[-1]) == (False, CHECK)


def test_without_a_known_reason_a_person_may_sign_in() -> None:
    account = an_account(provider="microsoft", grant=PERSON)
    assert cures(account, preset("microsoft").in_cloud(), "Nobody knows.") == (LOGIN, CHECK)


def test_the_commands_hold_no_secret() -> None:
    assert SECRET not in " ".join(cured(APP, "535 5.7.3 Authentication unsuccessful"))
