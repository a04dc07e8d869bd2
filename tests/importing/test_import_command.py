"""`postbearer import` as a command: what it prints, what it writes, and when it leaves everything alone."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from cli.conftest import Home

MSMTP = (
    "account alerts\nhost mail.example.org\nport 587\ntls on\nauth plain\nfrom alerts@example.org\n"
    "user alerts@example.org\npassword canary-password\naliases /etc/aliases\n"
)


@pytest.fixture
def source(home: Home) -> Path:
    path = home.folder / "msmtprc"
    path.write_text(MSMTP)
    return path


def test_the_configuration_is_printed_and_what_was_left_is_told(home: Home, source: Path) -> None:
    ran = home.run("import", "msmtp", "msmtprc")
    assert ran.code == 0
    assert tomllib.loads(ran.out)["accounts"]["alerts"]["password"] == "env:ALERTS_PASSWORD"
    assert "warning: msmtprc:9: aliases was not used.\n  → Give programs whole addresses" in ran.err
    assert "note: Set ALERTS_PASSWORD: the password of alerts." in ran.err
    assert "# - line 9: aliases was not used." in ran.out
    assert "canary" not in ran.out + ran.err


def test_json_has_both(home: Home, source: Path) -> None:
    ran = home.run("import", "msmtp", "msmtprc", "--json")
    told = json.loads(ran.out)
    assert told["accounts"] == ["alerts"]
    assert tomllib.loads(told["configuration"])["accounts"]["alerts"]["provider"] == "smtp"
    assert told["not_carried_over"] == [
        {
            "file": "msmtprc",
            "line": 9,
            "message": "aliases was not used.",
            "hint": "Give programs whole addresses, such as MAILTO=you@example.org for cron.",
        }
    ]
    assert told["to_set"] == {"ALERTS_PASSWORD": "the password of alerts"}
    assert told["to_look_at"][0]["message"].startswith("msmtp lets programs choose the sender")
    assert ran.err == ""


def test_a_new_file_is_for_its_owner_alone_and_the_loader_takes_it(home: Home, source: Path) -> None:
    ran = home.run("import", "msmtp", "msmtprc", "--output", "moved.toml")
    assert ran.code == 0
    assert "moved.toml: alerts. Try: postbearer --config moved.toml check" in ran.out
    assert (home.folder / "moved.toml").stat().st_mode & 0o777 == 0o600
    assert home.run("--config", "moved.toml", "config", "validate").code == 0


def test_a_file_that_is_there_is_left_alone(home: Home, source: Path) -> None:
    before = home.config.read_text()
    ran = home.run("import", "msmtp", "msmtprc", "-o", str(home.config))
    assert ran.code == 73
    assert "add --force" in ran.err
    assert home.config.read_text() == before
    home.config.chmod(0o644)
    assert home.run("import", "msmtp", "msmtprc", "-o", str(home.config), "--force").code == 0
    assert home.config.stat().st_mode & 0o777 == 0o600


def test_without_a_usable_account_nothing_is_written(home: Home) -> None:
    (home.folder / "msmtprc").write_text(MSMTP.replace("host", "hots"))
    ran = home.run("import", "msmtp", "msmtprc", "--output", "moved.toml")
    assert ran.code == 78
    assert ran.out == ""
    assert "error: msmtprc:1: servers: is missing" in ran.err
    assert [each.name for each in home.folder.iterdir() if "moved" in each.name] == []


def test_what_cannot_be_read_or_written_is_named(home: Home, source: Path) -> None:
    ran = home.run("import", "msmtp", "gone")
    assert ran.code == 66
    assert "gone" in ran.err
    ran = home.run("import", "msmtp", "msmtprc", "-o", "nowhere/moved.toml")
    assert ran.code == 78
    assert "nowhere/moved.toml: The configuration cannot be written: No such file" in ran.err
    source.write_bytes(b"account a\nhost \xff\n")
    ran = home.run("import", "msmtp", "msmtprc")
    assert ran.code == 78
    assert "msmtprc:2: The file is not UTF-8." in ran.err


@pytest.mark.parametrize("file", ["/dev/zero", "mail.log"])
def test_a_file_far_too_large_for_a_configuration_is_not_read_to_its_end(home: Home, file: str) -> None:
    (home.folder / "mail.log").write_bytes(b"# no configuration\n" * 60_000)
    ran = home.run("import", "msmtp", file)
    assert ran.code == 78
    assert f"error: {file}: It is larger than 1 MiB, and so no configuration." in ran.err
    assert "Name the configuration file itself" in ran.err


def test_sealed_secrets_open_on_this_machine(home: Home, source: Path) -> None:
    ran = home.run("import", "msmtp", "msmtprc", "--seal", "-o", "moved.toml")
    assert ran.code == 0
    assert "canary" not in (home.folder / "moved.toml").read_text() + ran.out + ran.err
    ran = home.run("--config", "moved.toml", "secret", "test", "accounts.alerts.password")
    assert ran.code == 0, ran.err
