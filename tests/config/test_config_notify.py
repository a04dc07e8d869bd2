"""``[notify]``: who is told, refused where it could not work."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.config import Configuration, WebhookSettings, json_schema, parse
from postbearer.errors import ConfigError

ACCOUNT = """
[accounts.{name}]
provider = "smtp"
address = "{name}@example.org"
servers = ["mail.example.org:587"]
authentication = "none"
"""
ONE = ACCOUNT.format(name="alerts")
TWO = ONE + ACCOUNT.format(name="other")


def read(text: str, accounts: str = TWO) -> Configuration:
    return parse(f"{accounts}[notify]\n{text}\n".encode(), "/etc/postbearer.toml")


def test_everything_that_can_be_said() -> None:
    notify = read(
        'webhooks = ["https://ops.example.org/a", { url = "env:HOOK", secret = "env:HOOK_SECRET" }]\n'
        'mail-to = ["ops@example.org"]\naccount = "other"\ncommand = ["page", "--now"]\n'
        'events = ["account", "expiry"]\nbacklog-after = "2h"'
    ).settings.notify
    assert notify.webhooks == (
        "https://ops.example.org/a",
        WebhookSettings(url="env:HOOK", secret="env:HOOK_SECRET"),
    )
    assert (notify.account, notify.command, notify.backlog_after) == ("other", ("page", "--now"), 7200.0)
    assert notify.events == ("account", "expiry")


@pytest.mark.parametrize(
    ("text", "accounts", "key", "says"),
    [
        ('mail-to = ["o@example.org"]\naccount = "alerts"', ONE, "account", "the only account"),
        ('mail-to = ["o@example.org"]\naccount = "gone"', TWO, "account", "does not exist"),
        ('account = "other"', TWO, "account", "has no effect"),
        ('webhooks = ["http://ops.example.org/canary"]', TWO, "webhooks.0", "http://"),
        ('webhooks = [{ url = "http://ops.example.org/canary" }]', TWO, "webhooks.0.url", "http://"),
        ('webhooks = ["https://169.254.169.254/canary"]', TWO, "webhooks.0", "cannot be called"),
        ('webhooks = ["https://u:canary@ops.example.org/"]', TWO, "webhooks.0", "user name or password"),
        ('webhooks = ["canary"]', TWO, "webhooks.0", "not a secret reference"),
        ('webhooks = [{ url = "https://x.example.org", secret = "canary" }]', TWO, "webhooks.0.secret", ""),
        ('webhooks = [{ secret = "env:S" }]', TWO, "webhooks.0.url", "is missing"),
        ("webhooks = [1]", TWO, "webhooks.0", "must be a text or a table"),
        ('mail-to = ["ops"]', TWO, "mail-to.0", "no mail address"),
        ('events = ["everything"]', TWO, "events.0", "cannot be"),
        ('command = "page \'now"', TWO, "command", "cannot be split"),
        ('command = " "', TWO, "command", "names no program"),
        ('backlog-after = "soon"', TWO, "backlog-after", "not a duration"),
        ('heartbeat = "http://ops.example.org/canary"', TWO, "heartbeat", "http://"),
        ('heartbeat = "canary"', TWO, "heartbeat", "not a secret reference"),
        ('heartbeat-every = "1m"', TWO, "heartbeat-every", "has no effect"),
        ('heartbeat-file = "x"\nheartbeat-every = "0"', TWO, "heartbeat-every", "zero"),
    ],
)
def test_what_could_not_work_is_refused_with_its_place(text: str, accounts: str, key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, accounts)
    assert caught.value.key == f"notify.{key}"
    assert caught.value.line
    assert says in caught.value.message
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_loopback_may_be_called_without_tls() -> None:
    assert read('webhooks = ["http://127.0.0.1:8080/hook"]').settings.notify.webhooks


def test_a_call_without_a_signature_is_worth_a_word() -> None:
    (warning,) = read(
        'webhooks = ["https://a.example.org", { url = "https://b.example.org", secret = "env:S" }]'
    ).warnings()
    assert (warning.key, "signature" in warning.message) == ("notify.webhooks.0", True)


def test_the_only_account_cannot_tell_that_it_cannot_send() -> None:
    (warning,) = read('mail-to = ["ops@example.org"]', ONE).warnings()
    assert (warning.key, "cannot tell" in warning.message) == ("notify.mail-to", True)
    assert read('mail-to = ["ops@example.org"]', TWO).warnings() == ()


def test_an_editor_is_told(tmp_path: Path) -> None:
    assert "NotifySettings" in str(json_schema())
