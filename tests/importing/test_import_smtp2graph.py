"""SMTP2Graph's configuration: its application, the mailboxes it sends as, and who may submit."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Home
from postbearer.assembly import Assembly
from postbearer.daemon import RelayPlan
from postbearer.errors import ConfigError
from postbearer.submission import is_password_hash
from postbearer.testing import BackgroundSandbox
from support.importing import accounts, noted, relay, smtp2graph, told

SEND = """\
mode: full
send:
  appReg:
    tenant: contoso
    id: app
    secret: canary-secret # of the application
  forceMailbox: alerts@example.org
"""
RECEIVE = """\
receive:
  port: 2587
  listenAddress: 127.0.0.1
"""


def test_the_mailbox_that_everything_leaves_from_is_the_account() -> None:
    imported = smtp2graph(SEND + RECEIVE)
    assert accounts(imported) == {
        "alerts-example-org": {
            "provider": "microsoft",
            "address": "alerts@example.org",
            "tenant": "contoso.onmicrosoft.com",
            "grant": "client-credentials",
            "client-id": "app",
            "client-secret": "env:ALERTS_EXAMPLE_ORG_CLIENT_SECRET",
        }
    }
    assert relay(imported) == {"account": "alerts-example-org", "listen": ["127.0.0.1:2587"]}
    assert "SMTP.SendAsApp" in noted(imported)
    assert told(imported) == []
    assert "canary" not in imported.text


def test_each_sender_that_is_allowed_is_an_account_with_a_route() -> None:
    text = SEND.replace("  forceMailbox: alerts@example.org\n", "") + RECEIVE
    imported = smtp2graph(text + "  allowedFrom: [one@example.org, two@example.org]\n")
    assert list(accounts(imported)) == ["one-example-org", "two-example-org"]
    found = relay(imported)
    assert found["routes"] == [
        {"from": "one@example.org", "account": "one-example-org"},
        {"from": "two@example.org", "account": "two-example-org"},
    ]
    assert found["clients"] == [
        {
            "name": "allowed",
            "networks": ["127.0.0.0/8", "::1/128"],
            "senders": ["one@example.org", "two@example.org"],
        }
    ]


def test_clients_keep_their_networks_and_logins(tmp_path: Path) -> None:
    imported = smtp2graph(
        SEND
        + RECEIVE
        + "  maxSize: 25m\n  requireAuth: true\n  ipWhitelist:\n    - 127.0.0.1\n    - 192.0.2.0/24\n"
        "  users:\n    - username: shop\n      password: canary-password\n"
        "      allowedFrom:\n        - shop@example.org\n"
    )
    (client,) = relay(imported)["clients"]
    assert is_password_hash(client.pop("password-hash"))
    assert client == {
        "name": "shop",
        "username": "shop",
        "networks": ["127.0.0.1", "192.0.2.0/24"],
        "senders": ["shop@example.org"],
    }
    assert relay(imported)["listeners"] == [{"address": "127.0.0.1:2587", "login-without-tls": True}]
    assert "Passwords come in clear on 127.0.0.1:2587" in noted(imported)
    assert relay(imported)["size"] == "25 MiB"
    assert told(imported) == []
    assert "canary" not in imported.text
    file = tmp_path / "postbearer.toml"
    file.write_text(imported.text)
    file.chmod(0o600)
    RelayPlan.of(Assembly.load(file, {}))  # the relay would start with it


def test_other_machines_need_tls() -> None:
    everywhere = "receive:\n  port: 587\n"
    assert relay(smtp2graph(SEND + everywhere))["listen"] == ["127.0.0.1:587"]
    assert "listens on all addresses" in noted(smtp2graph(SEND + everywhere))
    secure = everywhere + "  secure: true\n  tlsKeyPath: /k.pem\n  tlsCertPath: /c.pem\n"
    assert relay(smtp2graph(SEND + secure))["listeners"] == [
        {"address": "0.0.0.0:587", "tls": "implicit", "certificate": "/c.pem", "key": "/k.pem"}
    ]


def test_a_certificate_lacks_the_certificate() -> None:
    certificate = "certificate:\n      thumbprint: ABCDEF\n      privateKeyPath: /run/client.key"
    imported = smtp2graph(SEND.replace("secret: canary-secret # of the application", certificate))
    assert accounts(imported)["alerts-example-org"]["private-key"] == "file:/run/client.key"
    assert "Of the certificate only the thumbprint is named" in told(imported)[0]


LEFT = [
    ("  banner: hello\n", "11: receive.banner was not used"),
    ("  rateLimit:\n    duration: 60\n    limit: 10\n", "11: receive.rateLimit was not used"),
    ("httpProxy:\n  host: localhost\n  password: canary-pass\n", "11: httpProxy was not used"),
    ("  colour: blue\n", "11: receive.colour was not used"),
    ("  allowedRcpt: [a@example.org]\n", "11: receive.allowedRcpt was not used"),
    ("  authLimit:\n    duration: 30\n    limit: 5\n", "11: receive.authLimit was not used"),
]


@pytest.mark.parametrize(("text", "expected"), LEFT, ids=[each[1] for each in LEFT])
def test_what_has_no_equal_is_named_with_its_line(text: str, expected: str) -> None:
    imported = smtp2graph(SEND + RECEIVE + text)
    assert [each for each in told(imported) if each.startswith(expected)], told(imported)
    assert all(each.hint for each in imported.left)
    assert "canary" not in imported.text


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(6)
)
REFUSED = [
    ("", "The file has no send.appReg"),
    ("just a text", "The file has no send.appReg"),
    ("mode: receive\n" + RECEIVE, "The file has no send.appReg"),
    ("send:\n  secret: *canary-secret\n", "config.yml:2: This is not YAML"),
    ("send: [canary-secret\n", "This is not YAML"),
    (LAUGHS, "grows without end"),
    ("a: &a [*a]", "nested too deep"),
    (SEND.replace("  forceMailbox: alerts@example.org\n", ""), "No mailbox is named"),
    (SEND.replace("alerts@example.org", "alerts"), "7: address: is no mail address"),
    (SEND.replace("    id: app\n", ""), "client-id: is missing"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=[each[1] for each in REFUSED])
def test_what_cannot_be_used_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        smtp2graph(text)
    assert expected in str(caught.value)
    assert "canary" not in str(caught.value)


def test_from_smtp2graph_to_a_delivered_message(home: Home) -> None:
    with BackgroundSandbox("microsoft") as sandbox:
        text = SEND.replace("id: app", "id: sandbox-app").replace("canary-secret", sandbox.client_secret)
        ran = home.run("import", "smtp2graph", "-", "--seal", "-o", str(home.config), "--force", stdin=text)
        assert ran.code == 0, ran.err
        there = "POSTBEARER_ACCOUNTS__ALERTS_EXAMPLE_ORG__"  # the file cannot say where Microsoft is
        home.environ |= {
            f"{there}TOKEN_URL": sandbox.token_url,
            f"{there}SERVERS": f'["localhost:{sandbox.starttls_port}"]',
            "SSL_CERT_FILE": str(sandbox.folder / "ca.pem"),
        }
        ran = home.run("send", "-a", "alerts-example-org", "--to", "you@example.org", "--text", "Hello")
        assert ran.code == 0, ran.err
