"""What is wrong with an account is told to programs by its argument, and to administrators by its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postbearer import ClientCredentials, Limits, Password
from postbearer.account import Account
from postbearer.assembly import Assembly
from postbearer.errors import ConfigError, PostbearerError
from postbearer.secret import Secret

CLIENT = ClientCredentials("client", "env:SECRET")
GOOD: dict[str, Any] = {
    "servers": ["mail.example.org:587"],
    "token_url": "https://login.example.org/token",
    "grant": CLIENT,
}


def account(**changed: Any) -> Account:
    return Account.smtp("alerts@example.org", **{**GOOD, **changed})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"limits": {"messages_per_minute": 5}},
            r"limits: Limits wanted, and no dict\. Give limits=Limits\(",
        ),
        ({"servers": 587}, r"servers: a list of texts wanted, and no int"),
        ({"servers": ["mail"]}, r"^servers: .*not a server"),
        ({"servers": [("mail", 587)]}, r"servers: a list of texts wanted"),
        ({"servers": []}, r"has no servers\. Give servers=\["),
        ({"aliases": {"a": 1}}, r"aliases: a list of texts wanted, and no dict"),
        ({"token_url": ""}, r'^token_url: .*needs a token endpoint\. Give token_url="https'),
        ({"tls": "none-loopback"}, r'^tls: .* Give tls="implicit" or'),
        ({"tls": "ssl"}, r"tls cannot be 'ssl'\. One of implicit, starttls"),
        ({"sender": "forced"}, r"sender cannot be 'forced'\. One of force, check, allow"),
        (
            {"maximum_token_lifetime": "55m"},
            r"maximum_token_lifetime: a number of seconds wanted, and no str",
        ),
        ({"timeout": True}, r"timeout: a number of seconds wanted"),
        ({"timeout": -1}, r"timeout: a number of seconds wanted"),
        ({"ca_file": b"x"}, r"ca_file: a path wanted, and no bytes"),
        ({"username": 5}, r"username: a text wanted, and no int"),
        (
            {"grant": "client-credentials"},
            r"grant: a grant wanted, and no str\. Give grant=ClientCredentials\(",
        ),
        ({"server": ["mail.example.org:587"]}, r"no option 'server'\. Did you mean servers=\?"),
        ({"token-url": "https://login.example.org"}, r"no option 'token-url'\. Did you mean token_url=\?"),
        ({"grant": ClientCredentials("client", "hunter2-and-more")}, r"given as Secret\(value\)"),
        ({"grant": Password("client", "me", "x:y")}, r"given as Secret\(value\)"),
        ({"grant": ClientCredentials("client", "env:")}, r"env: names nothing"),
        ({"authentication": "password", "password": "hunter2-and-more"}, r"given as Secret\(value\)"),
        ({"grant": None}, r"There is no grant.*Give grant=ClientCredentials\("),
        ({"authentication": "password"}, r"There is no password to log in with\. Give password="),
        ({"grant": ClientCredentials("client", 5)}, r"client-secret is no int\. Give Secret\("),  # type: ignore[arg-type]
        ({"certificate": "client.pem"}, r"certificate: a ClientCertificate wanted, and no str"),
        ({"expires": "2030-01-01"}, r"expires: a dict wanted, and no str"),
        ({"authentication": "certificate"}, r"Give certificate=ClientCertificate\("),
    ],
)
def test_what_cannot_be_is_told_by_its_argument(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(PostbearerError, match=told) as error:
        account(**changed)
    assert "hunter2" not in str(error.value)
    assert " = " not in error.value.hint


def test_an_address_is_a_text() -> None:
    with pytest.raises(PostbearerError, match="address: a text wanted, and no NoneType"):
        Account.smtp(None, **GOOD)  # type: ignore[arg-type]


def test_a_tenant_is_told_as_an_argument() -> None:
    with pytest.raises(ConfigError, match=r'^tenant: .*Give tenant="example\.org"'):
        Account.microsoft("alerts@example.org", tenant="a b", grant=CLIENT)


def test_a_cloud_is_told_as_an_argument() -> None:
    with pytest.raises(ConfigError, match=r"^cloud: .*no cloud 'mars'\. One of"):
        Account.microsoft("alerts@example.org", tenant="example.org", cloud="mars", grant=CLIENT)


def test_one_text_may_stand_where_a_list_belongs() -> None:
    made = account(servers=(each for each in ["a.example.org:25", "b.example.org:25"]))
    assert len(made.smarthost.servers) == 2
    one = account(servers="mail.example.org:587", aliases="ops@example.org", sender="allow")
    assert [str(server) for server in one.smarthost.servers] == ["mail.example.org:587"]
    assert one.sender.permits("ops@example.org")
    assert not one.sender.permits("o@example.org")


@pytest.mark.parametrize(
    ("scopes", "asked"),
    [("smtp.send", ("smtp.send",)), ("smtp.send offline", ("smtp.send", "offline")), (["a"], ["a"])],
)
def test_scopes_may_be_one_text(scopes: Any, asked: Any) -> None:
    grant: Any = account(grant=ClientCredentials("client", "env:SECRET", scopes=scopes)).grant
    assert grant.scopes == asked


@pytest.mark.parametrize("none", [(), [], ""])
def test_without_scopes_the_providers_are_asked_for(none: Any) -> None:
    made = Account.microsoft(
        "a@example.org", tenant="example.org", grant=ClientCredentials("client", "env:SECRET", scopes=none)
    )
    scopes: Any = made.grant
    assert scopes.scopes == ("https://outlook.office365.com/.default",)


def test_a_path_and_none_are_taken(tmp_path: Path) -> None:
    made = account(ca_file=tmp_path / "ca.pem", timeout=None, limits=Limits(size=5), proxy=None)
    assert made.smarthost.ca_file == str(tmp_path / "ca.pem")
    assert made.limits.size == 5


def test_a_secret_that_the_program_has_is_given_as_one() -> None:
    assert account(grant=ClientCredentials("client", Secret("hunter2"))).grant


def test_a_configuration_is_told_by_its_key(tmp_path: Path) -> None:
    file = tmp_path / "postbearer.toml"
    file.write_text(
        '[accounts.a]\nprovider = "smtp"\naddress = "a@example.org"\nservers = ["mail.example.org:587"]\n'
        'grant = "client-credentials"\nclient-id = "c"\nclient-secret = "env:S"\n'
    )
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"accounts\.a.*token-url") as error:
        Assembly.load(file).account("a")
    assert "token_url" not in str(error.value)
