"""Clients whose network contains a container's gateway: others may come from there."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from postbearer.config import gateway, parse

GATEWAYS = (ip_address("172.17.0.1"), ip_address("fd00::1"))
BASE = """
[accounts.alerts]
provider = "smtp"
address = "alerts@example.org"
servers = ["mail.example.org:587"]
authentication = "none"

[[relay.listeners]]
address = "{address}"
{more}
"""
PROXY = 'tls = "starttls"\ncertificate = "c.pem"\nproxy-protocol = true\ntrusted-proxies = ["{proxies}"]'
LEGACY = "legacy = true"


@pytest.fixture(autouse=True)
def in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postbearer.config.loading.container_gateways", lambda: GATEWAYS)


def told(networks: str, more: str = LEGACY, address: str = "0.0.0.0:25", login: str = "") -> list[str]:
    text = BASE.format(address=address, more=more)
    text += f'[[relay.clients]]\nname = "printer"\nlegacy = true\nnetworks = ["{networks}"]\n{login}'
    configuration = parse(text.encode(), "/etc/postbearer.toml")
    found = [str(each) for each in configuration.warnings()]
    assert [str(each) for each in configuration.client_warnings()] == found
    return found


@pytest.mark.parametrize("networks", ["172.17.0.0/16", "172.17.0.1", "fd00::/64"])
def test_a_network_with_the_gateway_in_it_is_questioned(networks: str) -> None:
    (doubt,) = told(networks)
    assert "/etc/postbearer.toml:14: relay.clients.0.networks" in doubt
    assert "the gateway of this container's network" in doubt
    assert "username" in doubt
    assert "proxy-protocol" in doubt


def test_one_without_it_is_not() -> None:
    assert told("172.18.0.0/16") == []


def test_neither_is_one_that_is_known_by_a_login_or_behind_a_proxy() -> None:
    login = 'username = "p"\npassword-hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"\n'
    assert told("172.17.0.0/16", login=login) == []
    assert told("172.17.0.0/16", PROXY.format(proxies="172.17.0.9")) == []


@pytest.mark.parametrize("address", ["127.0.0.1:2525", "[::1]:2525", "unix:/run/relay.sock"])
def test_where_nobody_from_outside_gets_in_nothing_is_said(address: str) -> None:
    assert told("172.17.0.0/16", address=address) == []


def test_a_proxy_that_could_be_anybody_is_questioned() -> None:
    (doubt,) = told("192.0.2.0/24", PROXY.format(proxies="172.17.0.0/16"))
    assert "relay.listeners.0.trusted-proxies" in doubt
    assert "172.17.0.1" in doubt


def test_gateways_are_read_as_the_kernel_writes_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT"
    (tmp_path / "route").write_text(
        f"{nowhere}\neth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    (tmp_path / "ipv6_route").write_text(
        f"{'fd00'.ljust(32, '0')} 40 {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001     eth0\n"
        f"{'0' * 32} 00 {'0' * 32} 00 {'fd00'.ljust(31, '0')}1 00000400 00000003 00000000 00000003     eth0\n"
        f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
    )
    monkeypatch.setattr(gateway, "Path", lambda _, name: tmp_path / name)
    monkeypatch.setattr(gateway, "_SIGNS", (str(tmp_path),))
    assert gateway.container_gateways() == GATEWAYS
    monkeypatch.setattr(gateway, "_SIGNS", ())
    for name in ("container", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert gateway.container_gateways() == ()
