from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.config import load
from postbearer.errors import ConfigError
from support.configuration import COMPLETE

Write = Callable[[str], Path]


def test_the_environment_overrides_any_key(written: Write) -> None:
    environ = {
        "POSTBEARER_ACCOUNTS__ALERTS__CLIENT_ID": "12345",
        "POSTBEARER_ACCOUNTS__ALERTS__SERVERS": '["a.example.org:465", "b.example.org:465"]',
        "POSTBEARER_ACCOUNTS__ALERTS__MAXIMUM_TOKEN_LIFETIME": "1 s",
        "POSTBEARER_ACCOUNTS__ALERTS__LIMITS__MESSAGES_PER_MINUTE": "5",
        "POSTBEARER_ALLOW_EPHEMERAL": "true",
        "POSTBEARER_RELAY__SPOOL": "sqlite:/x",
        "POSTBEARER_STATE": "/elsewhere",
    }
    configuration = load(written(COMPLETE), environ)
    account = configuration.account("alerts")
    assert account.client_id == "12345"
    assert account.servers == ("a.example.org:465", "b.example.org:465")
    assert account.maximum_token_lifetime == 1
    assert account.limits.messages_per_minute == 5
    assert configuration.settings.allow_ephemeral is True
    assert configuration.settings.relay is not None


def test_a_whole_account_can_come_from_the_environment(written: Write) -> None:
    lines = {
        "PROVIDER": "smtp",
        "SERVERS": '["mail.example.org:587"]',
        "ADDRESS": "new@example.org",
        "GRANT": "static",
        "TOKEN": "env:T",
    }
    environ = {f"POSTBEARER_ACCOUNTS__NEW__{key}": value for key, value in lines.items()}
    assert load(written(COMPLETE), environ).account("new").address == "new@example.org"


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("POSTBEARER_ACCOUNTS__ALERTS__TLS", "startls", "cannot be 'startls'"),
        ("POSTBEARER_ACCOUNTS__ALERTS__CLIENT_SECRET", "canary-literal", "not a secret reference"),
        ("POSTBEARER_ACCOUNTS__ALERTS__CLIENT_IDD", "x", "Did you mean client-id?"),
        ("POSTBEARER_ACOUNTS__ALERTS__CLIENT_ID", "x", "Did you mean accounts?"),
        ("POSTBEARER_ACCOUNTS__ALERTS__CLIENT_ID__X", "x", "nothing below"),
        ("POSTBEARER_ACCOUNTS__ALERTS", "x", "must be a table"),
    ],
)
def test_what_is_wrong_there_is_told_with_the_variable(
    written: Write, variable: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(COMPLETE), {variable: value})
    (problem,) = caught.value.problems
    assert variable in str(problem)
    assert says in str(problem)
    assert "canary" not in str(problem)


def test_a_variable_that_could_mean_two_accounts_is_refused(written: Write) -> None:
    twice = COMPLETE.replace("alerts]", "a-b]") + COMPLETE.replace("alerts]", "a_b]")
    with pytest.raises(ConfigError, match="a-b or a_b"):
        load(written(twice), {"POSTBEARER_ACCOUNTS__A_B__CLIENT_ID": "x"})


def test_a_value_cannot_smuggle_in_another_key(written: Write) -> None:
    environ = {"POSTBEARER_ACCOUNTS__ALERTS__CLIENT_ID": '"x"\n[accounts.evil]\nprovider = "smtp"'}
    configuration = load(written(COMPLETE), environ)
    assert set(configuration.settings.accounts) == {"alerts"}
