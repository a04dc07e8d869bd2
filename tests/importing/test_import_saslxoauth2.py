"""sasl-xoauth2's mailboxes: Postfix's password map, a token file each, and what these override."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Home
from postbearer.errors import ConfigError
from postbearer.testing import BackgroundSandbox
from support.importing import accounts, noted, saslxoauth2, told

CONF = json.dumps(
    {"client_id": "postfix", "client_secret": "canary-secret", "log_to_syslog_on_failure": "yes"}
)
MICROSOFT = "https://login.microsoftonline.com/consumers/oauth2/v2.0/token"


def token_file(folder: Path, name: str, **keys: Any) -> None:
    (folder / name).write_text(
        json.dumps({"access_token": "canary-access", "expiry": "0", "refresh_token": "canary-refresh"} | keys)
    )


def test_each_mailbox_of_the_password_map_is_an_account(tmp_path: Path) -> None:
    token_file(tmp_path, "one")
    token_file(tmp_path, "two", token_endpoint=MICROSOFT, client_id="other", user="login@example.org")
    passwords = (
        "# token files\n[smtp.gmail.com]:587 one@example.org:/one\n"
        "[smtp-mail.outlook.com]:587\ttwo@example.org:\n\t/two\n"
    )
    imported = saslxoauth2(CONF, passwords, root=str(tmp_path))
    assert accounts(imported) == {
        "one-example-org": {
            "provider": "google",
            "address": "one@example.org",
            "servers": ["smtp.gmail.com:587"],
            "tls": "starttls",
            "mechanism": "xoauth2",
            "grant": "refresh-token",
            "client-id": "postfix",
            "client-secret": "env:ONE_EXAMPLE_ORG_CLIENT_SECRET",
            "refresh-token": "env:ONE_EXAMPLE_ORG_REFRESH_TOKEN",
        },
        "two-example-org": {
            "provider": "outlook",
            "address": "two@example.org",
            "username": "login@example.org",
            "mechanism": "xoauth2",
            "grant": "refresh-token",
            "client-id": "other",
            "client-secret": "env:TWO_EXAMPLE_ORG_CLIENT_SECRET",
            "refresh-token": "env:TWO_EXAMPLE_ORG_REFRESH_TOKEN",
        },
    }
    assert told(imported) == []
    assert "two programs that have the same one" in noted(imported)
    assert "canary" not in imported.text


def test_one_mailbox_can_be_named_without_a_password_map() -> None:
    imported = saslxoauth2(CONF, address="one@example.org")
    (account,) = accounts(imported).values()
    assert (account["provider"], account["refresh-token"]) == ("google", "env:ONE_EXAMPLE_ORG_REFRESH_TOKEN")


LEFT = [
    ("[smtp.gmail.com]:587 two@example.org:/gone", "The token file /gone cannot be read: No such file"),
    (
        "[smtp.gmail.com]:587 two@example.org:canary-pin",
        "two@example.org (line 2 of the password map) has a pass",
    ),
    ("[mail.example.org]:587 two:/one", "is left out: address: is missing"),
]


@pytest.mark.parametrize(("line", "expected"), LEFT, ids=[each[1] for each in LEFT])
def test_what_is_not_carried_over_is_named(tmp_path: Path, line: str, expected: str) -> None:
    token_file(tmp_path, "one")
    passwords = f"[smtp.gmail.com]:587 one@example.org:{tmp_path}/one\n{line}\n"
    imported = saslxoauth2(CONF, passwords)
    assert any(expected in each for each in told(imported)), told(imported)
    assert "canary" not in imported.text


@pytest.mark.parametrize(
    ("key", "value", "told_of"),
    [
        ("proxy", "http://proxy.example.org:3128", "HTTPS_PROXY"),
        ("ca_bundle_file", "/ca.pem", "SSL_CERT_FILE"),
    ],
)
def test_a_key_without_an_equal_is_named(key: str, value: str, told_of: str) -> None:
    imported = saslxoauth2(json.dumps({**json.loads(CONF), key: value}), address="one@example.org")
    (left,) = imported.left
    assert left.message.startswith(key)
    assert told_of in left.hint


REFUSED = [
    (CONF, "", "Name it: --passwords"),
    ('{"client_secret":\n canary-secret}', "a@example.org", "sasl-xoauth2.conf:2: This is not JSON"),
    ("[]", "a@example.org", "This is not a JSON object"),
    ('{"client_secret": "canary-secret"}', "a@example.org", "client-id: is missing"),
    ('{"client_id": 5}', "a@example.org", "client-id: must be a text"),
]


@pytest.mark.parametrize(("text", "address", "expected"), REFUSED, ids=[each[2] for each in REFUSED])
def test_what_cannot_be_used_is_refused(text: str, address: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        saslxoauth2(text, address=address)
    assert expected in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_token_file_that_is_none_is_not_read_to_its_end() -> None:
    imported = saslxoauth2(CONF, "[smtp.gmail.com]:587 one@example.org:/dev/zero\n")
    assert "The token file /dev/zero cannot be used: It is larger than 1 MiB" in told(imported)[0]


def test_a_broken_token_file_is_named_and_the_token_asked_for(tmp_path: Path) -> None:
    (tmp_path / "one").write_text('{"refresh_token": canary-refresh')
    imported = saslxoauth2(CONF, f"[smtp.gmail.com]:587 one@example.org:{tmp_path}/one\n")
    assert f"The token file {tmp_path}/one cannot be used" in told(imported)[0]
    assert "ONE_EXAMPLE_ORG_REFRESH_TOKEN" in imported.to_set
    assert "canary" not in imported.text


def test_from_the_plug_in_to_a_delivered_message(home: Home) -> None:
    with BackgroundSandbox("google") as sandbox:
        conf = {
            "client_id": "sandbox-app",
            "client_secret": sandbox.client_secret,
            "token_endpoint": sandbox.token_url,
        }
        token_file(home.folder, "token", refresh_token=sandbox.sign_in())
        (home.folder / "sasl-xoauth2.conf").write_text(json.dumps(conf))
        (home.folder / "sasl_passwd").write_text(
            f"[localhost]:{sandbox.starttls_port} alerts@example.org:{home.folder}/token\n"
        )
        ran = home.run(
            *("import", "sasl-xoauth2", "sasl-xoauth2.conf", "--passwords", "sasl_passwd", "--seal"),
            *("-o", str(home.config), "--force"),
        )
        assert ran.code == 0, ran.err
        home.environ["SSL_CERT_FILE"] = str(sandbox.folder / "ca.pem")
        ran = home.run("send", "-a", "alerts-example-org", "--to", "you@example.org", "--text", "Hello")
        assert ran.code == 0, ran.err
