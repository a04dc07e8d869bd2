"""Manual pages and completions, which come from the same source as ``--help``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cli.conftest import Home
from cli.test_queue import SMALL, stopped
from cli.test_without_extras import leaves
from postbearer.cli.manpages import write_manual


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    write_manual(folder)
    return folder


def test_every_command_has_a_page(manual: Path) -> None:
    names = {f"postbearer-{name.replace(' ', '-')}.1" for name in leaves()}
    assert names | {"postbearer.1"} <= {path.name for path in manual.iterdir()}


def test_a_page_tells_what_help_tells(manual: Path) -> None:
    page = (manual / "postbearer-queue-list.1").read_text()
    assert ".SH NAME\npostbearer\\-queue\\-list \\- List messages" in page
    assert "\\-\\-limit" in page
    assert "default: 100" in page
    assert "queue" in (manual / "postbearer.1").read_text()


@pytest.mark.servers
def test_man_shows_every_page_without_a_warning(manual: Path) -> None:
    for path in manual.iterdir():
        command = ["man", "--warnings=w", "-l", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == "", path.name
        assert "NAME" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("postbearer check al", "alerts"),
        ("postbearer send --account al", "alerts"),
        ("postbearer accounts show al", "alerts"),
        ("postbearer token al", "alerts"),
        ("postbearer config get accounts.alerts.client-s", "accounts.alerts.client-secret"),
        ("postbearer config set relay.retr", "relay.retry"),
        ("postbearer queue show m", "m1"),
        ("postbearer queue hold m", "m1"),
        ("postbearer providers goo", "google"),
        ("postbearer providers google --grant jwt", "jwt-bearer"),
    ],
)
def test_the_shell_completes_names(home: Home, tmp_path: Path, words: str, expected: str) -> None:
    home.write(SMALL)
    (tmp_path / "state").mkdir(mode=0o700)
    stopped(tmp_path / "state")
    count = str(len(words.split()) - 1)
    asked = {"_POSTBEARER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": count}
    ran = home.run(environ=asked)
    assert f"plain,{expected}" in ran.out.split()
    assert ran.err == ""


def test_where_nothing_can_be_told_nothing_is_offered(home: Home) -> None:
    home.config.write_text("[[[")
    asked = {"_POSTBEARER_COMPLETE": "bash_complete", "COMP_WORDS": "postbearer check a", "COMP_CWORD": "2"}
    ran = home.run(environ=asked)
    assert (ran.out.strip(), ran.err) == ("", "")


@pytest.mark.parametrize("group", ["queue", "accounts", "config", "secret", "import"])
def test_purposes_are_told_in_full(home: Home, group: str) -> None:
    shown = home.run(group, "--help").out
    assert "…" not in shown.partition("Commands:")[2]
    assert "..." not in shown.partition("Commands:")[2]


def test_an_unknown_account_has_one_code(home: Home) -> None:
    for command in (("accounts", "show"), ("check",), ("token",), ("login",)):
        ran = home.run(*command, "alrets")
        assert ran.code == 78, command
        assert "Did you mean alerts?" in ran.out + ran.err


def test_a_provider_is_narrowed_to_a_grant(home: Home) -> None:
    whole = home.run("providers", "microsoft").out
    narrow = home.run("providers", "microsoft", "--grant", "client-credentials").out
    assert len(narrow.splitlines()) < len(whole.splitlines())
    assert "authorization-code" not in narrow.partition("Grants")[2].partition("Set up")[0]
    ran = home.run("providers", "microsoft", "--grant", "ropc")
    assert ran.code == 64
    assert "Did you mean password?" in ran.err
