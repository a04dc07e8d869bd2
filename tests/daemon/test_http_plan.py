"""``[http]``: what is refused at load, with its place and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from postbearer.assembly import Assembly
from postbearer.daemon.http_plan import DEFAULT_LISTEN
from postbearer.daemon.plan import RelayPlan
from postbearer.errors import ConfigError
from postbearer.state import StateFolder
from support.configuration import COMPLETE


def plan(folder: Path, *lines: str) -> RelayPlan:
    path = folder / "postbearer.toml"
    path.write_text("\n".join([COMPLETE, "[relay]", *lines, ""]))
    return RelayPlan.of(Assembly.load(path, {}, state=StateFolder(folder / "state")))


def test_without_the_table_there_is_no_api(tmp_path: Path) -> None:
    assert plan(tmp_path).http is None


def test_an_empty_table_is_an_api_on_loopback(tmp_path: Path) -> None:
    found = plan(tmp_path, "[http]").http
    assert found is not None
    assert found.addresses == (DEFAULT_LISTEN,)
    assert found.hosts == {"localhost", "127.0.0.1", "[::1]"}
    assert (found.context, found.base_path, found.health) == (None, "", ())


def test_the_console_may_make_the_first_account(tmp_path: Path) -> None:
    path = tmp_path / "postbearer.toml"
    path.write_text('[http]\naccounts = "editable"\n')
    found = RelayPlan.of(Assembly.load(path, {}, state=StateFolder(tmp_path / "state")))
    assert found.router.default_account == ""
    path.write_text("[http]\n")
    with pytest.raises(ConfigError, match="no account that mail could leave from") as caught:
        RelayPlan.of(Assembly.load(path, {}, state=StateFolder(tmp_path / "state")))
    assert 'accounts = "editable"' in caught.value.hint


def test_off_loopback_it_takes_a_certificate_and_answers_to_its_names(tmp_path: Path) -> None:
    certify(tmp_path)
    lines = ['certificate = "chain.pem"', 'key = "key.pem"', 'allowed-hosts = ["Mail.Example.org"]']
    found = plan(tmp_path, "[http]", 'listen = ["0.0.0.0:443", "[::1]:443"]', *lines).http
    assert found is not None
    assert found.context is not None
    assert "Mail.Example.org" in found.hosts
    assert not {"0.0.0.0", "[::]"} & found.hosts


@pytest.mark.parametrize(
    ("lines", "key", "says"),
    [
        (['listen = ["192.0.2.1:2580"]'], "http.listen", "without TLS"),
        (['listen = ["0.0.0.0:2580"]'], "http.listen", "without TLS"),
        (['listen = ["2580"]'], "http.listen", "no address"),
        (['listen = ["127.0.0.1:99999"]'], "http.listen", "no address"),
        (['listen = ["127.0.0.1:1", "127.0.0.1:1"]'], "http.listen", "twice"),
        (['listen = ["127.0.0.1:1"]', 'health-listen = ["127.0.0.1:1"]'], "http.listen", "twice"),
        (['health-listen = ["x"]'], "http.health-listen", "no address"),
        (['certificate = "nothing.pem"'], "http.certificate", "cannot be used"),
        (['key = "key.pem"'], "http.key", "no certificate"),
        (['allowed-hosts = ["*.example.org"]'], "http.allowed-hosts", "no host name"),
        (['allowed-hosts = ["https://example.org"]'], "http.allowed-hosts", "no host name"),
        (['allowed-hosts = ["example.org:443"]'], "http.allowed-hosts", "no host name"),
        (['trusted-proxies = ["proxy"]'], "http.trusted-proxies.0", "no network"),
        (['base-path = "mail"'], "http.base-path", "no path"),
        (['base-path = "/a?b"'], "http.base-path", "no path"),
        (['base-path = "/a//b"'], "http.base-path", "no path"),
        (['tokens = ["env:X"]'], "http.tokens", "not a known key"),
        (["listen = 5"], "http.listen", "list"),
    ],
)
def test_what_is_refused(tmp_path: Path, lines: list[str], key: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as told:
        plan(tmp_path, "[http]", *lines)
    assert told.value.key == key
    assert told.value.line is not None
    assert told.value.hint


def test_every_address_needs_names(tmp_path: Path) -> None:
    certify(tmp_path)
    with pytest.raises(ConfigError, match="by which names") as told:
        plan(tmp_path, "[http]", 'listen = ["0.0.0.0:1"]', 'certificate = "chain.pem"', 'key = "key.pem"')
    assert told.value.key == "http.allowed-hosts"


def test_a_client_may_be_known_by_a_token_alone(tmp_path: Path) -> None:
    client = ["[[relay.clients]]", 'name = "app"']
    with pytest.raises(ConfigError, match="could be anybody"):
        plan(tmp_path, *client)
    assert plan(tmp_path, *client, "[http]").access.by_network("192.0.2.1") is None


def certify(folder: Path) -> None:
    certificate = trustme.CA().issue_cert("mail.example.org")
    (folder / "chain.pem").write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
    (folder / "key.pem").write_bytes(certificate.private_key_pem.bytes())


HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"


def login(name: str = "alice", role: str = "see", *more: str) -> list[str]:
    return ["[[http.logins]]", f'name = "{name}"', f'role = "{role}"', f'password-hash = "{HASH}"', *more]


def test_who_may_log_in_to_the_console(tmp_path: Path) -> None:
    found = plan(tmp_path, "[http]", *login(), *login("bob", "admin", 'totp = "env:BOB"')).http
    assert found is not None
    alice, bob = found.logins
    assert (alice.name, str(alice.role), alice.totp) == ("alice", "see", None)
    assert bob.totp is not None
    assert HASH not in repr(found)


@pytest.mark.parametrize(
    ("lines", "key", "says"),
    [
        (login(" "), "name", "no name"),
        (login("a\\nb"), "name", "no name"),
        ([*login(), *login()], "name", "twice"),
        ([each.replace(HASH, "secret") for each in login()], "password-hash", "no argon2id hash"),
        (login("alice", "root"), "role", "operate"),
        (login("alice", "operate", 'totp = "JBSWY3DPEHPK3PXP"'), "totp", "reference"),
    ],
)
def test_logins_that_are_none_are_refused(tmp_path: Path, lines: list[str], key: str, says: str) -> None:
    with pytest.raises(ConfigError) as told:
        plan(tmp_path, "[http]", *lines)
    assert key in told.value.key
    assert says in f"{told.value} {told.value.hint}"
    assert told.value.hint


def test_who_may_act_from_elsewhere_needs_a_second_factor(tmp_path: Path) -> None:
    certify(tmp_path)
    far = ["[http]", 'listen = ["192.0.2.1:2580"]', 'certificate = "chain.pem"', 'key = "key.pem"']
    proxied = ["[http]", 'trusted-proxies = ["127.0.0.1"]']
    for table in (far, proxied):
        assert plan(tmp_path, *table, *login()).http is not None
        assert plan(tmp_path, *table, *login("alice", "operate", 'totp = "env:ALICE"')).http is not None
        with pytest.raises(ConfigError, match="password alone") as told:
            plan(tmp_path, *table, *login("alice", "operate"))
        assert "secret totp alice" in told.value.hint
