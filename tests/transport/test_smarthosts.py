"""What can be configured, and what is refused because it could not be safe."""

from __future__ import annotations

from typing import Any

import pytest

from postbearer.errors import ConfigError, UsageError
from postbearer.transport import Proxy, ServerAddress, Smarthost, SmtpTransport
from postbearer.transport.smarthost import default_ehlo_name

MAIL = ServerAddress("mail.example.org", 587)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("mail.example.org:587", MAIL),
        ("127.0.0.1:25", ServerAddress("127.0.0.1", 25)),
        ("[::1]:465", ServerAddress("::1", 465)),
        ("bücher.example:465", ServerAddress("bücher.example", 465)),
    ],
)
def test_a_server_as_text(text: str, server: ServerAddress) -> None:
    assert ServerAddress.parse(text) == server
    assert str(server) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mail.example.org",
        "mail.example.org:",
        ":25",
        "host:0",
        "host:65536",
        "host:２５",
        "::1:25",
        "a b:25",
        "a/b:1",
        "a\x00b:1",
        "a\r\nb:1",
        "u@h:1",
    ],
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ConfigError, match="servers"):
        ServerAddress.parse(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_this_machine_may_go_without_tls(host: str) -> None:
    assert Smarthost(servers=(ServerAddress(host, 25),), tls="none-loopback", authentication="none")


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"servers": ()}, "servers"),
        ({"username": ""}, "username"),
        ({"authentication": "password", "username": ""}, "username"),
        ({"authentication": "certificate"}, "tls-certificate"),
        ({"tls": "none-loopback"}, "tls"),
        ({"tls": "none-loopback", "servers": (ServerAddress("127.0.0.1", 25), MAIL)}, "tls"),
        ({"tls": "none-loopback", "servers": (ServerAddress("localhost.example.org", 25),)}, "tls"),
        ({"tls": "none-loopback", "servers": (ServerAddress("0.0.0.0", 25),)}, "tls"),
        (
            {
                "tls": "none-loopback",
                "servers": (ServerAddress("127.0.0.1", 25),),
                "proxy": Proxy("http", "p.example.org", 1),
            },
            "tls",
        ),
    ],
)
def test_what_could_not_be_safe_is_refused(fields: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Smarthost(**{"servers": (MAIL,), "username": "alerts@example.org"} | fields)
    assert caught.value.key == key


def test_a_source_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError):
        SmtpTransport(Smarthost(servers=(MAIL,), username="alerts@example.org"))


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("relay.example.org", "relay.example.org"),
        ("xn--gre-6ka8l.example", "xn--gre-6ka8l.example"),
        ("laptop", "[127.0.0.1]"),
        ("größe.example", "[127.0.0.1]"),
        ("app_01.corp.example", "[127.0.0.1]"),
        ("host.local.", "[127.0.0.1]"),
        ("a b.example", "[127.0.0.1]"),
        ("a..example", "[127.0.0.1]"),
        ("-a.example", "[127.0.0.1]"),
        ("a.example\n", "[127.0.0.1]"),
        ("a" * 64 + ".example", "[127.0.0.1]"),
        (("a" * 60 + ".") * 5 + "example", "[127.0.0.1]"),
        ("", "[127.0.0.1]"),
    ],
)
def test_the_name_we_say(machine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: machine)
    assert default_ehlo_name() == name


@pytest.mark.parametrize("name", ["a b", "", "a\r\nNOOP", "größe.example", "a" * 300])
def test_a_name_that_cannot_be_said_is_refused_where_it_is_given(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Smarthost(servers=(MAIL,), username="alerts@example.org", ehlo_name=name)
    assert caught.value.key == "ehlo-name"
