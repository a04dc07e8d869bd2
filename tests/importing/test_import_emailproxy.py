"""email-oauth2-proxy's accounts: each flow, the server that fits, and tokens that nobody can carry over."""

from __future__ import annotations

import tomllib

import pytest

from cli.conftest import Home
from postbearer.errors import ConfigError
from postbearer.testing import Sandbox
from support.importing import accounts, emailproxy, noted, told

SERVERS = """\
[IMAP-1993]
server_address = outlook.office365.com
server_port = 993

[SMTP-1587]
server_address = smtp.office365.com
server_port = 587
server_starttls = True
local_address = 127.0.0.1

[SMTP-2465]
server_address = smtp.gmail.com
server_port = 465
local_address = 127.0.0.1
"""
PERSON = """
[me@example.org]
documentation = *** a note
\tthat goes on ***
permission_url = https://login.microsoftonline.com/common/oauth2/v2.0/authorize
token_url = https://login.microsoftonline.com/common/oauth2/v2.0/token
oauth2_scope = https://outlook.office.com/IMAP.AccessAsUser.All
	https://outlook.office.com/SMTP.Send offline_access
redirect_uri = http://localhost
client_id = mail-client
client_secret = canary-secret
token_salt = abc
token_iterations = 1200000
access_token = canary-locked
refresh_token = canary-locked
last_activity = 1700000000
"""
APPLICATION = """
[alerts@example.org]
token_url = https://login.microsoftonline.com/example.org/oauth2/v2.0/token
oauth2_scope = https://outlook.office365.com/.default
oauth2_flow = client_credentials
client_id = app
client_secret = canary-secret
"""


def test_a_person_signs_in_anew() -> None:
    imported = emailproxy(SERVERS + PERSON)
    assert accounts(imported) == {
        "me-example-org": {
            "provider": "microsoft",
            "address": "me@example.org",
            "grant": "authorization-code",
            "authorize-url": "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
            "tenant": "common",
            "scopes": ["https://outlook.office.com/SMTP.Send", "offline_access"],
            "client-id": "mail-client",
            "client-secret": "env:ME_EXAMPLE_ORG_CLIENT_SECRET",
        }
    }
    assert "me@example.org signs in anew" in noted(imported)
    assert told(imported) == ["1: IMAP-1993 is for fetching mail."]
    assert "canary" not in imported.text


def test_clients_find_the_relay_where_they_found_the_proxy() -> None:
    imported = emailproxy(SERVERS + PERSON + APPLICATION)
    assert tomllib.loads(imported.text)["relay"] == {
        "listen": ["127.0.0.1:1587", "127.0.0.1:2465"],
        "account": "me-example-org",
        "routes": [
            {"from": "me@example.org", "account": "me-example-org"},
            {"from": "alerts@example.org", "account": "alerts-example-org"},
        ],
    }


def test_a_proxy_for_all_the_network_becomes_a_relay_for_this_machine() -> None:
    imported = emailproxy(SERVERS.replace("local_address = 127.0.0.1\n", "") + APPLICATION)
    assert tomllib.loads(imported.text)["relay"]["listen"] == ["127.0.0.1:1587", "127.0.0.1:2465"]
    assert "[SMTP-1587] listens on all addresses" in noted(imported)


FLOWS = [
    (
        "oauth2_flow = client_credentials",
        "client_secret = canary-secret",
        {"grant": "client-credentials", "client-secret": "env:ALERTS_EXAMPLE_ORG_CLIENT_SECRET"},
    ),
    (
        "oauth2_flow = client_credentials",
        "jwt_certificate_path = /c.pem\njwt_key_path = /k.pem",
        {"grant": "client-credentials", "certificate": "file:/c.pem", "private-key": "file:/k.pem"},
    ),
    (
        "oauth2_flow = client_credentials",
        "client_secret_encrypted = canary-locked",
        {"grant": "client-credentials", "client-secret": "env:ALERTS_EXAMPLE_ORG_CLIENT_SECRET"},
    ),
    (
        "oauth2_flow = password",
        "client_secret = canary-secret",
        {"grant": "password", "password": "env:ALERTS_EXAMPLE_ORG_PASSWORD"},
    ),
    (
        "oauth2_flow = password",
        "oauth2_resource = https://outlook.example",
        {"grant": "password", "extra-token-parameters": {"resource": "https://outlook.example"}},
    ),
    (
        "oauth2_flow = device\npermission_url = https://login.example.org/device",
        "",
        {"grant": "device-code", "device-url": "https://login.example.org/device"},
    ),
]


@pytest.mark.parametrize(("flow", "secret", "keys"), FLOWS, ids=[f"{each[0]}-{each[1]}" for each in FLOWS])
def test_every_flow(flow: str, secret: str, keys: dict[str, object]) -> None:
    text = APPLICATION.replace("oauth2_flow = client_credentials", flow)
    imported = emailproxy(SERVERS + text.replace("client_secret = canary-secret", secret))
    (account,) = accounts(imported).values()
    assert account | keys == account
    assert "canary" not in imported.text


@pytest.mark.parametrize(
    ("client", "secret", "reference"),
    [
        ("file", "/run/key.json", "file:/run/key.json"),
        ("key", '{"private_key":\n   "canary-key"}', "env:ALERTS_EXAMPLE_COM_SERVICE_ACCOUNT"),
    ],
)
def test_a_service_account(client: str, secret: str, reference: str) -> None:
    imported = emailproxy(
        f"{SERVERS}\n[alerts@example.com]\ntoken_url = https://oauth2.googleapis.com/token\n"
        "oauth2_scope = https://mail.google.com/\noauth2_flow = service_account\n"
        f"client_id = {client}\nclient_secret = {secret}\n"
    )
    (account,) = accounts(imported).values()
    assert account["provider"] == "google"
    assert account["grant"] == "jwt-bearer"
    assert account["service-account"] == reference
    assert "canary" not in imported.text


LEFT = [
    ("[@example.com]\nclient_id = x\n", "stands for all accounts of a domain"),
    (
        PERSON.replace("http://localhost", "https://example.org/back"),
        "redirect_uri of [me@example.org] was not",
    ),
    (
        PERSON.replace("mail-client", "*** your client id here ***"),
        "me@example.org is left out: client-id: is miss",
    ),
    (
        APPLICATION.replace("alerts@", "b@").replace("client_credentials", "implicit"),
        "The flow 'implicit' is not",
    ),
    (APPLICATION.replace("alerts@", "b@") + "colour = blue\n", "colour of [b@example.org] was not used"),
]


@pytest.mark.parametrize(("text", "expected"), LEFT, ids=[each[1] for each in LEFT])
def test_what_is_not_carried_over_is_named_with_its_line(text: str, expected: str) -> None:
    imported = emailproxy(SERVERS + APPLICATION + text)
    found = [each for each in told(imported) if expected in each]
    assert found, told(imported)
    assert all(int(each.split(":")[0]) > 0 for each in found)
    assert "alerts-example-org" in accounts(imported)


REFUSED = [
    ("", "There is no account in this file"),
    ("client_secret = canary-secret\n", "emailproxy.config:1: This is no INI file"),
    ("[a@example.org]\ncanary-secret\n", "emailproxy.config:2: This is neither a section nor a key"),
    (APPLICATION + APPLICATION, "There are two sections [alerts@example.org]"),
    (APPLICATION + "client_id = canary-id\n", "The key client_id stands twice"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=[each[1] for each in REFUSED])
def test_what_is_no_configuration_of_the_proxy_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        emailproxy(text)
    assert expected in str(caught.value)
    assert "canary" not in str(caught.value)


def test_from_the_proxy_to_a_delivered_message(home: Home, postbearer_sandbox: Sandbox) -> None:
    text = (
        f"[SMTP-1587]\nserver_address = localhost\nserver_port = {postbearer_sandbox.starttls_port}\n"
        "server_starttls = True\nlocal_address = 127.0.0.1\n\n"
        f"[alerts@example.org]\ntoken_url = {postbearer_sandbox.token_url}\n"
        "oauth2_flow = client_credentials\n"
        f"oauth2_scope = {postbearer_sandbox.personality.scopes[0]}\nclient_id = sandbox-app\n"
        f"client_secret = {postbearer_sandbox.client_secret}\n"
    )
    ran = home.run("import", "emailproxy", "-", "--seal", "-o", str(home.config), "--force", stdin=text)
    assert ran.code == 0, ran.err
    assert postbearer_sandbox.client_secret not in home.config.read_text() + ran.out + ran.err
    home.environ["SSL_CERT_FILE"] = str(postbearer_sandbox.folder / "ca.pem")
    ran = home.run("send", "-a", "alerts-example-org", "--to", "you@example.org", "--text", "Hello")
    assert ran.code == 0, ran.err


def test_a_person_is_told_to_sign_in(home: Home, postbearer_sandbox: Sandbox) -> None:
    there = postbearer_sandbox.describe()
    text = (
        f"[SMTP-1587]\nserver_address = localhost\nserver_port = {postbearer_sandbox.starttls_port}\n"
        f"server_starttls = True\n\n[alerts@example.org]\npermission_url = {there['authorize_url']}\n"
        f"token_url = {postbearer_sandbox.token_url}\noauth2_scope = smtp.send\nclient_id = sandbox-app\n"
        f"client_secret = {postbearer_sandbox.client_secret}\n"
    )
    ran = home.run("import", "emailproxy", "-", "--seal", "-o", str(home.config), "--force", stdin=text)
    assert "postbearer login alerts-example-org" in ran.err
    ran = home.run("token", "alerts-example-org")
    assert ran.code == 77
    assert "postbearer login alerts-example-org" in ran.err
