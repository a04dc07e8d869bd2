"""The environment files of relays in containers: who sends, for whom, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postbearer.assembly import Assembly
from postbearer.daemon import RelayPlan
from postbearer.errors import ConfigError
from postbearer.submission import is_password_hash
from support.importing import accounts, environment, noted, relay, told

GMAIL = """\
# a Postfix that logs in by XOAUTH2
FORCE_COLOR=1
ALLOWED_SENDER_DOMAINS=example.org example.net
RELAYHOST=[smtp.gmail.com]:587
RELAYHOST_USERNAME=alerts@example.org
POSTFIX_smtp_tls_security_level="encrypt"
XOAUTH2_CLIENT_ID='app'
XOAUTH2_SECRET=canary-secret
XOAUTH2_INITIAL_REFRESH_TOKEN=canary-token
XOAUTH2_TOKEN_ENDPOINT=https://accounts.google.com/o/oauth2/token
"""
ENTRA = """\
ENTRA_CLIENT_ID=app
ENTRA_TENANT_ID=01234567-89ab-cdef-0123-456789abcdef
ENTRA_CLIENT_SECRET=canary-secret
SENDER_EMAIL=alerts@example.org
SENDER_PASSWORD=canary-password
SMTP_SERVER_ADDR=:1025
SMTP_MAX_MESSAGE_BYTES=10485760
"""
NESTED = """\
export Relay__TenantId="contoso.example"
export Relay__ClientId="app"
export Relay__ClientSecret="canary-secret"
export Relay__Graph__SenderUser="alerts@example.org"
export Relay__AllowedSenders__0="alerts@example.org"
export Relay__AllowedSenders__1="desk@example.org"
export Relay__Smtp__Port="2526"
"""
SHORT = "PORT=25\nCLIENT_ID=app\nCLIENT_SECRET=canary-secret\nTENANT_ID=contoso\n"
GRAPH = {
    "provider": "microsoft",
    "address": "alerts@example.org",
    "grant": "client-credentials",
    "client-id": "app",
    "client-secret": "env:ALERTS_EXAMPLE_ORG_CLIENT_SECRET",
}
OF_GOOGLE = {
    "provider": "google",
    "servers": ["smtp.gmail.com:587"],
    "tls": "starttls",
    "address": "alerts@example.org",
    "mechanism": "xoauth2",
    "grant": "refresh-token",
    "client-id": "app",
    "client-secret": "env:ALERTS_EXAMPLE_ORG_CLIENT_SECRET",
    "refresh-token": "env:ALERTS_EXAMPLE_ORG_REFRESH_TOKEN",
}
LOCAL = {"name": "allowed", "networks": ["127.0.0.0/8", "::1/128"]}

FILES: list[tuple[str, dict[str, str], dict[str, Any], dict[str, Any]]] = [
    (
        GMAIL,
        {},
        OF_GOOGLE,
        {"listen": ["127.0.0.1:2525"], "clients": [{**LOCAL, "senders": ["@example.org", "@example.net"]}]},
    ),
    (
        NESTED,
        {},
        {**GRAPH, "tenant": "contoso.example"},
        {
            "listen": ["127.0.0.1:2526"],
            "clients": [{**LOCAL, "senders": ["alerts@example.org", "desk@example.org"]}],
        },
    ),
    (
        SHORT,
        {"address": "alerts@example.org"},
        {**GRAPH, "tenant": "contoso.onmicrosoft.com"},
        {"listen": ["127.0.0.1:25"]},
    ),
    (
        "RELAYHOST=mail.example.org\nRELAYHOST_USERNAME=me@example.org\nRELAYHOST_PASSWORD=canary\n",
        {},
        {
            "provider": "smtp",
            "address": "me@example.org",
            "servers": ["mail.example.org:25"],
            "tls": "starttls",
            "authentication": "password",
            "password": "env:ME_EXAMPLE_ORG_PASSWORD",
        },
        {"listen": ["127.0.0.1:2525"]},
    ),
    (
        "- RELAYHOST=[2001:db8::1]:smtps\n- RELAYHOST_USERNAME=me\n- RELAYHOST_PASSWORD_FILE=/run/mail\n",
        {"address": "me@example.org"},
        {
            "provider": "smtp",
            "address": "me@example.org",
            "servers": ["[2001:db8::1]:465"],
            "tls": "implicit",
            "username": "me",
            "authentication": "password",
            "password": "file:/run/mail",
        },
        {"listen": ["127.0.0.1:2525"]},
    ),
]


@pytest.mark.parametrize(("text", "options", "account", "made"), FILES, ids=range(len(FILES)))
def test_who_sends_and_for_whom(
    text: str, options: dict[str, str], account: dict[str, Any], made: dict[str, Any]
) -> None:
    imported = environment(text, **options)
    (found,) = accounts(imported).values()
    assert found == account
    (name,) = accounts(imported)
    assert relay(imported) == {"account": name, **made}
    assert "canary" not in imported.text


def test_clients_keep_their_logins_and_the_relay_would_start(tmp_path: Path) -> None:
    imported = environment(GMAIL + "SMTPD_SASL_USERS=shop@example.org:canary-1,desk@example.org:canary:2\n")
    clients = relay(imported)["clients"]
    assert [each["username"] for each in clients] == ["shop@example.org", "desk@example.org"]
    assert all(is_password_hash(each["password-hash"]) for each in clients)
    assert relay(imported)["listeners"] == [{"address": "127.0.0.1:2525", "login-without-tls": True}]
    assert "Passwords come in clear" in noted(imported)
    assert "canary" not in imported.text
    file = tmp_path / "postbearer.toml"
    file.write_text(imported.text)
    file.chmod(0o600)
    RelayPlan.of(Assembly.load(file, {}))


def test_the_login_that_a_graph_relay_asks_for_is_a_clients() -> None:
    found = relay(environment(ENTRA))
    (client,) = found["clients"]
    assert (client["username"], is_password_hash(client["password-hash"])) == ("alerts@example.org", True)
    assert (found["size"], found["listeners"][0]["address"]) == ("10485760 B", "127.0.0.1:1025")
    assert "SMTP.SendAsApp" in noted(environment(ENTRA))


LEFT = [
    ("DKIM_SELECTOR=mail", "11: DKIM_SELECTOR was not used"),
    ("POSTFIX_mynetworks=10.0.0.0/8", "11: POSTFIX_mynetworks was not used"),
    ("POSTFIX_maillog_file=/canary", "11: POSTFIX_maillog_file was not used"),
    ("Relay__AllowedRecipientDomains__0=example.org", "11: Relay__AllowedRecipientDomains__0 was not used"),
    ("XOAUTH2_SECRET=${CANARY}", "11: XOAUTH2_SECRET refers to another variable"),
    ("canary words", "11: This line is no NAME=value"),
]


@pytest.mark.parametrize(("line", "expected"), LEFT, ids=[each[1] for each in LEFT])
def test_every_variable_without_an_equal_is_named_with_its_line(line: str, expected: str) -> None:
    imported = environment(f"{GMAIL}{line}\n")
    assert [each for each in told(imported) if each.startswith(expected)], told(imported)
    assert all(each.hint for each in imported.left)
    assert "canary" not in imported.text.casefold()


DATABASE = "ENCRYPTION_KEY=canary\nSECRET_KEY=canary\nSMTP_BIND_PORT=2525\nSMTP_MAX_MESSAGE_SIZE=31457280\n"
REFUSED = [
    ("", "Nothing here says who sends"),
    (DATABASE, "Nothing here says who sends"),
    (SHORT, "No mailbox is named"),
    ("RELAYHOST=a b\nRELAYHOST_USERNAME=me@example.org\n", "1: "),
    ("RELAYHOST=mail.example.org:25\n", "1: No mailbox is named"),
    (GMAIL + "SMTP_MAX_MESSAGE_BYTES=large\n", "size"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_cannot_be_used_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        environment(text)
    assert expected in str(caught.value)
    assert "canary" not in str(caught.value)
