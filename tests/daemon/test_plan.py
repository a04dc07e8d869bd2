"""What the configuration makes of the relay: safe by default, and refused with the key and the way out."""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import RelayPlan
from postbearer.engine import Submitter
from postbearer.errors import ConfigError
from postbearer.store import Priority
from postbearer.testing.certificates import Authority
from support.configuration import COMPLETE
from support.submitting import cheap_hash

Planned = Callable[[str], RelayPlan]
HASH = cheap_hash("CANARY-51c2")
SECOND = COMPLETE.replace("[accounts.alerts]", "[accounts.bulk]")
OFF_LOOPBACK = 'address = "0.0.0.0:2525"'
PRINTER = '[[relay.clients]]\nname = "printer"\nlegacy = true\nnetworks = ["192.0.2.9"]\n'


@pytest.fixture
def plan(tmp_path: Path) -> Planned:
    """Reads what follows a complete account."""

    def planned(text: str) -> RelayPlan:
        file = tmp_path / "postbearer.toml"
        file.write_text(COMPLETE + text)
        return RelayPlan.of(Assembly.load(file, {"POSTBEARER_STATE": str(tmp_path / "state")}))

    return planned


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    """Keys of a listener; the files lie beside the configuration."""
    authority = Authority("relay.example.org")
    pem = authority._certificate.private_key_and_cert_chain_pem.bytes()
    (tmp_path / "relay.pem").write_bytes(pem)
    return 'certificate = "relay.pem"'


def test_nothing_said_means_this_machine_only(plan: Planned) -> None:
    relay = plan("")
    (door,) = relay.doors
    assert door.address == "127.0.0.1:2525"
    assert not any((door.legacy, door.implicit_tls, door.context, door.offer.starttls))
    assert door.offer.mechanisms == ()
    assert relay.access.by_network("127.0.0.1") is not None
    assert relay.access.by_network("192.0.2.1") is None
    assert (relay.size, door.offer.limits.max_size) == (36 * 2**20, 36 * 2**20)
    assert relay.router.default_account == "alerts"
    assert relay.hostname == socket.gethostname()
    assert relay.warnings == ()
    offered = door.offer.offered(tls=False).keywords
    assert {"PIPELINING", "CHUNKING", "DSN", "SMTPUTF8", "MT-PRIORITY", "LIMITS", "SIZE"} <= set(offered)
    assert not {"BINARYMIME", "AUTH", "STARTTLS"} & set(offered)


def test_a_listener_with_starttls_asks_for_it_before_all_else(plan: Planned, certificate: str) -> None:
    (door,) = plan(
        f'[[relay.listeners]]\n{OFF_LOOPBACK}\ntls = "starttls"\n{certificate}\n'
        f'[[relay.clients]]\nname = "app"\nusername = "app"\npassword-hash = "{HASH}"\n'
    ).doors
    assert door.context is not None
    assert door.offer.require_tls
    assert not door.offer.auth_in_clear
    assert "AUTH" not in door.offer.offered(tls=False).keywords
    assert door.offer.offered(tls=True).mechanisms == ("PLAIN", "LOGIN")


APP = f'[[relay.clients]]\nname = "app"\nusername = "app"\npassword-hash = "{HASH}"\n'


def test_on_loopback_a_password_comes_in_clear_only_where_that_was_asked_for(plan: Planned) -> None:
    relay = plan(APP)
    assert "AUTH" not in relay.doors[0].offer.offered(tls=False).keywords
    (warning,) = relay.warnings
    assert "no listener takes a login" in warning
    relay = plan(f'[[relay.listeners]]\naddress = "127.0.0.1:25"\nlogin-without-tls = true\n{APP}')
    assert relay.doors[0].offer.offered(tls=False).mechanisms == ("PLAIN", "LOGIN")
    (warning,) = relay.warnings
    assert "127.0.0.1:25 takes passwords without TLS" in warning


def test_a_listener_with_implicit_tls(plan: Planned, certificate: str) -> None:
    (door,) = plan(f'[[relay.listeners]]\n{OFF_LOOPBACK}\ntls = "implicit"\n{certificate}\n').doors
    assert door.implicit_tls
    assert door.context is not None
    assert not door.offer.starttls


def test_short_and_long_form_stand_side_by_side(plan: Planned) -> None:
    relay = plan(
        '[relay]\nlisten = ["127.0.0.1:25", "unix:/run/x.sock"]\n[[relay.listeners]]\naddress = "[::1]:25"\n'
    )
    assert [door.address for door in relay.doors] == ["127.0.0.1:25", "unix:/run/x.sock", "[::1]:25"]


def test_a_legacy_listener_is_warned_about_and_takes_any_login(plan: Planned) -> None:
    relay = plan(f"[[relay.listeners]]\n{OFF_LOOPBACK}\nlegacy = true\n{PRINTER}")
    (door,) = relay.doors
    assert door.legacy
    assert door.offer.lenient
    assert door.offer.mechanisms == ("PLAIN", "LOGIN")
    assert door.offer.auth_in_clear
    (warning,) = relay.warnings
    assert "0.0.0.0:2525" in warning
    assert relay.access.by_network("192.0.2.9", legacy=True) is not None


def test_a_client_with_all_its_keys(plan: Planned) -> None:
    relay = plan(
        "[[relay.clients]]\n"
        'name = "shop"\nnetworks = ["10.0.0.0/8", "fd00::/8"]\nsenders = ["@example.org", "a@example.net"]\n'
        'account = "alerts"\npriority = "urgent"\nmessages-per-minute = 10\n'
        'default-sender = "shop@example.org"\nsize = "1 MiB"\n'
    )
    assert relay.access.by_network("10.1.2.3") == Submitter(
        name="shop",
        account="alerts",
        senders=("@example.org", "a@example.net"),
        priority=Priority.URGENT,
        messages_per_minute=10,
        default_sender="shop@example.org",
        size=2**20,
    )


def test_routes_and_retries(plan: Planned) -> None:
    relay = plan(
        "[relay]\nbounces-to = 'ops@example.org'\nsize = '1 MiB'\n"
        "[relay.retry]\nfirst = '10 s'\nwarn-after = '1 h'\n"
        '[[relay.routes]]\nfrom = "codes@example.org"\nheader = "X-Kind: code*"\npriority = "urgent"\n'
        'expire-after = "10 m"\naccount = "alerts"\n'
    )
    (rule,) = relay.router.routes
    assert rule.from_ == "codes@example.org"
    assert rule.header == (("X-Kind", "code*"),)
    assert (rule.route.account, rule.route.priority, rule.route.expire_after) == (
        "alerts",
        Priority.URGENT,
        600.0,
    )
    assert (relay.retry.first, relay.retry.warn_after) == (10.0, 3600.0)
    assert relay.retry.maximum > 0
    assert (relay.bounces_to, relay.size, relay.doors[0].offer.limits.max_size) == (
        "ops@example.org",
        2**20,
        2**20,
    )


LEGACY = f"[[relay.listeners]]\n{OFF_LOOPBACK}\nlegacy = true\n"
CLIENT = '[[relay.clients]]\nname = "app"\n'


@pytest.mark.parametrize(
    ("text", "key", "message", "hint"),
    [
        (SECOND, "relay.account", "is missing", "alerts, bulk"),
        (f"[[relay.listeners]]\n{OFF_LOOPBACK}\n", "relay.listeners", "has no TLS", "certificate"),
        ('[relay]\nlisten = ["0.0.0.0:25"]\n', "relay.listeners", "has no TLS", "legacy"),
        ('[relay]\nlisten = ["2525"]\n', "relay.listen", "no address to listen on", "host:port"),
        ('[relay]\nlisten = ["systemd:smtp"]\n', "relay.listen", "No socket was handed over", ".socket unit"),
        (LEGACY, "relay.clients", "open to everybody", "networks"),
        (
            f"{LEGACY}{CLIENT}networks = ['10.0.0.0/8']\n",
            "relay.clients", "open to everybody", "legacy = true",
        ),
        (
            f"[[relay.listeners]]\n{OFF_LOOPBACK}\ntls = 'starttls'\n",
            "relay.listeners.certificate", "no certificate", 'key = "',
        ),
        (
            f"[[relay.listeners]]\n{OFF_LOOPBACK}\ntls = 'implicit'\ncertificate = 'none.pem'\n",
            "relay.listeners.certificate", "cannot be used", "PEM",
        ),
        (
            f"{LEGACY}login-without-tls = true\n{PRINTER}",
            "relay.listeners.login-without-tls", "in clear", "loopback",
        ),
        (
            f"[[relay.listeners]]\n{OFF_LOOPBACK}\ntls = 'starttls'\nlogin-without-tls = true\n",
            "relay.listeners.login-without-tls", "in clear", "loopback",
        ),
        (
            '[[relay.listeners]]\naddress = "192.0.2.1:25"\nlogin-without-tls = true\n',
            "relay.listeners", "has no TLS", "starttls",
        ),
        (CLIENT, "relay.clients", "could be anybody", "networks"),
        (f"{CLIENT}networks = ['0.0.0.0/0']\n", "relay.clients.networks", "open relay", "username"),
        (f"{CLIENT}networks = ['0.0.0.0/1', '::/1']\n", "relay.clients.networks", "open relay", "Name"),
        (f"{CLIENT}networks = ['::/0']\n", "relay.clients.networks", "open relay", "username"),
        (f"{CLIENT}networks = ['2000::/3']\n", "relay.clients.networks", "open relay", "username"),
        (f"{PRINTER.replace('192.0.2.9', '0.0.0.0/0')}", "relay.clients.networks", "open relay", "networks"),
        (f"{CLIENT}networks = ['10.0.0.1/8']\n", "networks.0", "host bits set", "192.0.2.0/24"),
        (
            "[[relay.routes]]\naccount = 'alerts'\n[[relay.routes]]\nto = 'b@*'\n",
            "relay.routes.1", "decides nothing", "take it out",
        ),
        (f"{CLIENT}username = 'app'\n", "relay.clients.password-hash", "needs both", "hash-password"),
        (f"{CLIENT}password-hash = '{HASH}'\n", "relay.clients.password-hash", "needs both", "hash-password"),
        (
            f"{CLIENT}username = 'app'\npassword-hash = 'CANARY-51c2'\n",
            "relay.clients.password-hash", "no argon2id hash", "hash-password",
        ),
        (
            f"{CLIENT}networks = ['10.0.0.1']\nsenders = ['nobody']\n",
            "relay.clients.senders", "cannot send as 'nobody'", "@domain",
        ),
        (
            f"{CLIENT}networks = ['10.0.0.1']\n{CLIENT}networks = ['10.0.0.2']\n",
            "relay.clients.name", "two clients", "own",
        ),
    ],
)  # fmt: skip
def test_what_is_unsafe_or_cannot_work_is_refused_with_the_way_out(
    plan: Planned, tmp_path: Path, text: str, key: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(text)
    error = caught.value
    assert error.key.endswith(key)
    assert message in error.message
    assert hint in error.hint
    assert error.file == str(tmp_path / "postbearer.toml")
    assert error.line or "is missing" in error.message
    assert "CANARY" not in str(error)


def test_a_relay_without_any_account_is_told_how_to_get_one(tmp_path: Path) -> None:
    file = tmp_path / "postbearer.toml"
    file.touch(0o600)
    with pytest.raises(ConfigError, match="no account that mail could leave from") as caught:
        RelayPlan.of(Assembly.load(file, {"POSTBEARER_STATE": str(tmp_path / "state")}))
    assert "postbearer init" in caught.value.hint


def test_a_spool_of_an_unknown_kind_is_found_when_the_relay_is_planned(plan: Planned) -> None:
    with pytest.raises(ConfigError, match="cannot be 'mysql://db'") as caught:
        plan("[relay]\nspool = 'mysql://db'\n")
    assert (caught.value.key, caught.value.line is not None) == ("relay.spool", True)


def test_a_network_of_the_whole_world_is_allowed_with_a_login(plan: Planned) -> None:
    relay = plan(f"{CLIENT}networks = ['0.0.0.0/0']\nusername = 'app'\npassword-hash = '{HASH}'\n")
    assert relay.access.by_network("192.0.2.1") is None
    assert relay.access.by_login("app", "192.0.2.1") is not None


@pytest.mark.parametrize("where", ["account = 'none'", "[[relay.routes]]\naccount = 'none'"])
def test_accounts_that_do_not_exist_are_found_when_the_file_is_read(plan: Planned, where: str) -> None:
    text = f"[relay]\n{where}\n"
    with pytest.raises(ConfigError, match="none"):
        plan(text)
    with pytest.raises(ConfigError, match="none"):
        plan(f"{CLIENT}networks = ['10.0.0.1']\naccount = 'none'\n")


def test_operators_are_a_group_of_this_machine(plan: Planned) -> None:
    assert plan("").operators is None
    mine = grp.getgrgid(os.getgid())
    assert plan(f'[relay]\noperators = "{mine.gr_name}"\n').operators == mine.gr_gid
    with pytest.raises(ConfigError, match="no group 'nobody-at-all'") as caught:
        plan('[relay]\noperators = "nobody-at-all"\n')
    assert caught.value.key == "relay.operators"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('listen = ["127.0.0.1:2525", "127.0.0.1:2525"]', "relay.listen"),
        ('listen = ["127.0.0.1:2525"]\nlisteners = [{ address = "127.0.0.1:2525" }]', "relay.listen"),
        ('listeners = [{ address = "unix:/s" }, { address = "unix:/s" }]', "relay.listeners"),
    ],
)
def test_an_address_to_listen_on_stands_there_once(plan: Planned, text: str, key: str) -> None:
    with pytest.raises(ConfigError, match="twice") as caught:
        plan(f"[relay]\n{text}\n")
    assert caught.value.key == key


def test_a_listener_behind_a_proxy_believes_the_proxies_that_are_named(
    plan: Planned, certificate: str
) -> None:
    listener = f'[[relay.listeners]]\naddress = "127.0.0.1:2525"\ntls = "starttls"\n{certificate}\n'
    named = 'proxy-protocol = true\ntrusted-proxies = ["192.0.2.1", "2001:db8::/64"]\n'
    (door,) = plan(listener + named).doors
    assert door.proxies is not None
    assert [str(each) for each in door.proxies] == ["192.0.2.1/32", "2001:db8::/64"]
    (door,) = plan(listener).doors
    assert door.proxies is None


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ('tls = "starttls"\nproxy-protocol = true', "trusted-proxies", "needs both"),
        ('tls = "starttls"\ntrusted-proxies = ["192.0.2.1"]', "proxy-protocol", "needs both"),
        ('proxy-protocol = true\ntrusted-proxies = ["127.0.0.1"]', "relay.listeners", "and has no TLS"),
        (
            'tls = "starttls"\nlogin-without-tls = true\nproxy-protocol = true\ntrusted-proxies = ["::1"]',
            "login-without-tls",
            "passwords in clear",
        ),
    ],
)
def test_what_is_half_said_of_a_proxy_is_refused(
    plan: Planned, certificate: str, text: str, key: str, told: str
) -> None:
    """Whoever connects to a proxy may be anywhere, also where the proxy is on this machine."""
    files = certificate if "starttls" in text else ""
    with pytest.raises(ConfigError, match=told) as caught:
        plan(f'[[relay.listeners]]\naddress = "127.0.0.1:2525"\n{text}\n{files}\n')
    assert caught.value.key.endswith(key)
