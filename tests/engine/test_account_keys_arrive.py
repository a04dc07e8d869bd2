"""What the engine knows of an account, from the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from postbearer.assembly import Assembly
from postbearer.providers import preset

FILE = """
[accounts.alerts]
provider = "microsoft"
address = "alerts@example.org"
tenant = "example.org"
grant = "client-credentials"
client-id = "shop"
client-secret = "env:ALERTS_SECRET"
on-unknown = "hold"
fallback = "spare"
overflow = "spare"
overflow-after = "10m"
limits = { messages-per-minute = 20, size = "1 MB" }

[accounts.spare]
provider = "smtp"
servers = ["mail.example.org:587"]
address = "spare@example.org"
authentication = "password"
password = "env:SPARE_PASSWORD"
"""


@pytest.fixture
def assembly(tmp_path: Path) -> Assembly:
    path = tmp_path / "postbearer.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    return Assembly.load(path, {})


def test_the_keys_of_the_configuration_arrive(assembly: Assembly) -> None:
    alerts = assembly.account("alerts")
    said = alerts.settings
    assert (said.on_unknown, said.fallback, said.overflow) == ("hold", "spare", "spare")
    assert said.overflow_after == 600.0
    usual = preset("microsoft").limits
    assert alerts.limits == replace(usual, messages_per_minute=20, size=1_000_000)
    assert alerts.smarthost.limits.connections == usual.connections
    assert not alerts.outgoing.null_sender
    assert not alerts.password_login
    spare = assembly.account("spare")
    said = spare.settings
    assert (said.on_unknown, said.fallback, said.overflow) == ("retry", None, None)
    assert spare.outgoing.null_sender
    assert spare.password_login


def test_an_account_read_twice_is_the_same(assembly: Assembly) -> None:
    for name in assembly.names:
        assert assembly.account(name) == assembly.account(name)
