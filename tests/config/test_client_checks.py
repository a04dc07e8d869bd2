"""``[[relay.clients]]`` that keep out other programs of this machine: said where the file is looked at."""

from __future__ import annotations

import pytest

from postbearer.config import parse

BASE = """
[accounts.alerts]
provider = "smtp"
address = "alerts@example.org"
servers = ["mail.example.org:587"]
authentication = "none"

[relay]
account = "alerts"
"""
LOGIN = 'username = "shop"\npassword-hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"\n'
LOCAL = '[[relay.clients]]\nname = "local"\nnetworks = ["127.0.0.0/8", "::1"]\n'


def doubts(clients: str) -> list[str]:
    return [str(each) for each in parse(f"{BASE}{clients}".encode(), "/etc/postbearer.toml").warnings()]


def client(networks: str, more: str = "") -> str:
    return f'[[relay.clients]]\nname = "shop"\nnetworks = [{networks}]\n{more}'


@pytest.mark.parametrize("networks", ['"127.0.0.1"', '"0.0.0.0/0"', '"::1"', '"192.0.2.0/24", "127.0.0.0/8"'])
@pytest.mark.parametrize(
    ("more", "told"),
    [
        (LOGIN, "keeps out every program of this machine that does not log in as shop"),
        ("legacy = true\n", "is known on legacy listeners only"),
        ('senders = ["shop@example.org"]\n', "makes every program of this machine this client"),
    ],
)
def test_a_client_that_names_loopback_is_questioned(networks: str, more: str, told: str) -> None:
    (doubt,) = doubts(client(networks, more))
    assert told in doubt
    assert "/etc/postbearer.toml:12: relay.clients.0.networks" in doubt
    assert 'name = "local"' in doubt
    assert doubts(client(networks, more) + LOCAL) == []


@pytest.mark.parametrize("clients", [client('"192.0.2.0/24"', LOGIN), client('"127.0.0.1"'), ""])
def test_one_that_keeps_out_nobody_is_not(clients: str) -> None:
    assert doubts(clients) == []
