"""msmtp's accounts: defaults and inheritance, tokens from commands, and what has no equal."""

from __future__ import annotations

import tomllib

import pytest

from cli.conftest import Home
from postbearer.errors import ConfigError
from postbearer.testing import Sandbox
from support.importing import accounts, msmtp, noted, told

TWO = """\
# two mailboxes
defaults
tls on
tls_trust_file system
logfile ~/.msmtp.log

account work
host smtp.office365.com
port 587
auth xoauth2
from me@example.org
user me@example.org
passwordeval "oauth-helper print-token me"

account lists : work
from lists@example.org

account gmail
host smtp.gmail.com
tls_starttls off
auth oauthbearer
user someone@example.net
passwordeval gpg -dq ~/token.gpg | head -1

account default : gmail
"""


def one(*lines: str) -> str:
    return "\n".join(("account mail", "host mail.example.org", "from me@example.org", "tls on", *lines, ""))


def test_accounts_with_defaults_and_inheritance() -> None:
    imported = msmtp(TWO)
    assert accounts(imported) == {
        "work": {
            "provider": "microsoft",
            "address": "me@example.org",
            "mechanism": "xoauth2",
            "grant": "command",
            "command": "oauth-helper print-token me",
        },
        "lists": {
            "provider": "microsoft",
            "address": "lists@example.org",
            "username": "me@example.org",
            "mechanism": "xoauth2",
            "grant": "command",
            "command": "oauth-helper print-token me",
        },
        "gmail": {
            "provider": "google",
            "address": "someone@example.net",
            "mechanism": "oauthbearer",
            "grant": "command",
            "command": ["sh", "-c", "gpg -dq ~/token.gpg | head -1"],
        },
    }
    assert tomllib.loads(imported.text)["relay"] == {"account": "gmail"}
    assert told(imported) == ["5: logfile was not used."]  # once, although it is a default of all
    assert "everything leaves as the account's address" in noted(imported)


LOGINS = [
    (
        ("auth on", "user me", "password canary-password"),
        {"authentication": "password", "username": "me", "password": "env:MAIL_PASSWORD"},
    ),
    (
        ("auth plain", "user me@example.org", "passwordeval pass show mail"),
        {"authentication": "password", "password": "command:pass show mail"},
    ),
    (
        ("auth plain", "passwordeval cat ~/pin | tail -1"),
        {"authentication": "password", "password": "command:sh -c 'cat ~/pin | tail -1'"},
    ),
    (("auth login", "user me@example.org"), {"authentication": "password", "password": "env:MAIL_PASSWORD"}),
    ((), {"authentication": "none"}),
    (
        ("auth external", "tls_cert_file /etc/me.pem", "tls_key_file /etc/me.pem"),
        {"authentication": "certificate", "tls-certificate": "/etc/me.pem"},
    ),
    (
        ("auth xoauth2", "password canary-token"),
        {"grant": "static", "token": "env:MAIL_TOKEN", "mechanism": "xoauth2"},
    ),
]


@pytest.mark.parametrize(("lines", "keys"), LOGINS, ids=[" ".join(each[0]) for each in LOGINS])
def test_every_way_to_sign_in(lines: tuple[str, ...], keys: dict[str, str]) -> None:
    imported = msmtp(one(*lines))
    usual = {
        "provider": "smtp",
        "address": "me@example.org",
        "servers": ["mail.example.org:25"],
        "tls": "starttls",
    }
    assert accounts(imported)["mail"] == usual | keys
    assert "canary" not in imported.text


KEYS = [
    ("tls_starttls off", "tls", "implicit"),
    ("tls_starttls off", "servers", ["mail.example.org:465"]),
    ("timeout 30", "timeout", "30 s"),
    ("domain host.example.org", "ehlo-name", "host.example.org"),
    ("proxy_host 192.0.2.1", "proxy", "socks5://192.0.2.1:1080"),
    ("tls_trust_file /etc/ca.pem", "ca-file", "/etc/ca.pem"),
    ("from *@example.org", "sender", "allow"),
    ("host 2001:db8::1", "servers", ["[2001:db8::1]:25"]),
]


@pytest.mark.parametrize(("line", "key", "value"), KEYS, ids=[f"{each[0]}-{each[1]}" for each in KEYS])
def test_what_has_an_equal(line: str, key: str, value: object) -> None:
    imported = msmtp(one("user me@example.org", line))
    assert accounts(imported)["mail"][key] == value
    assert told(imported) == []


LEFT = [
    ("tls off", "mail has no TLS"),
    ("tls_certcheck off", "tls_certcheck was not used"),
    ("tls_fingerprint 00:11", "tls_fingerprint was not used"),
    ("aliases /etc/aliases", "aliases was not used"),
    ("eval echo host evil.example.org", "A line that a command writes was left out"),
    ("source_ip 192.0.2.9", "source_ip was not used"),
    ("tls_cert_file /a.pem\ntls_key_file /b.pem", "The certificate of mail and its key are two files"),
    ("hots mail.example.org", "hots was not used"),
    ("domain %H", "domain with a pattern"),
]


@pytest.mark.parametrize(("line", "expected"), LEFT, ids=[each[0] for each in LEFT])
def test_what_has_none_is_named_with_its_line(line: str, expected: str) -> None:
    imported = msmtp(one(line))
    assert any(expected in each and each[0].isdigit() for each in told(imported)), told(imported)
    assert all(each.hint for each in imported.left)


REFUSED = [
    ("", "There is no account in this file"),
    ("host mail.example.org", "address: is missing"),
    (one("protocol lmtp"), "it speaks LMTP"),
    (one("auth gssapi"), "it signs in by gssapi"),
    (one("from ''"), "address"),
    ("account mail\nfrom me@example.org\n", "servers: is missing"),
    (one("auth xoauth2"), "command: is missing"),
    (one("auth xoauth2", "passwordeval postbearer token mail"), "gets its tokens from postbearer already"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=[each[1] for each in REFUSED])
def test_a_file_without_one_usable_account_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        msmtp(text)
    assert expected in str(caught.value)


def test_from_an_msmtp_configuration_to_a_delivered_message(home: Home, postbearer_sandbox: Sandbox) -> None:
    token = postbearer_sandbox.register.issue("sandbox-app", None, postbearer_sandbox.personality.scopes[0])
    (home.folder / "token").write_text(token + "\n")
    text = (
        f"account sandbox\nhost localhost\nport {postbearer_sandbox.starttls_port}\ntls on\n"
        f"tls_trust_file {postbearer_sandbox.folder}/ca.pem\nauth oauthbearer\nfrom alerts@example.org\n"
        f"user alerts@example.org\npasswordeval cat {home.folder}/token | head -1\n"
    )
    ran = home.run("import", "msmtp", "-", "--output", str(home.config), "--force", stdin=text)
    assert ran.code == 0, ran.err
    ran = home.run("send", "-a", "sandbox", "--to", "you@example.org", "--text", "Hello")
    assert ran.code == 0, ran.err
    assert [each.mechanism for each in postbearer_sandbox.inbox.messages] == ["OAUTHBEARER"]
