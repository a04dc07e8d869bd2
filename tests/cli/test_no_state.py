"""Where nothing can be kept: what can be sent all the same is sent, with a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Home
from postbearer.errors import ConfigError
from postbearer.state import default_state_folder
from postbearer.testing import Sandbox

SEND = ["send", "--to", "anna@example.net", "--subject", "x", "--text", "x"]


def without_state(home: Home, sandbox: Sandbox, where: str) -> Home:
    home.write(sandbox.configuration("alerts"))
    home.environ |= {"POSTBEARER_STATE": where, "POSTBEARER_CONFIG": str(home.config)}
    return home


@pytest.mark.parametrize("where", ["/dev/null/state", "/proc/state"])
def test_a_message_leaves_though_there_is_no_folder_to_keep_anything_in(
    home: Home, postbearer_sandbox: Sandbox, where: str
) -> None:
    done = without_state(home, postbearer_sandbox, where).run(*SEND)
    assert done.code == 0, done.err
    assert "this process alone" in done.err
    assert len(postbearer_sandbox.inbox.messages) == 1


@pytest.mark.parametrize("where", ["/dev/null/state", "/proc/state"])
def test_sendmail_sends_though_there_is_no_folder_to_keep_anything_in(
    home: Home, postbearer_sandbox: Sandbox, where: str
) -> None:
    done = without_state(home, postbearer_sandbox, where).run(
        "sendmail", "anna@example.net", stdin=b"Subject: x\n\nx\n"
    )
    assert done.code == 0, done.err
    assert "this process alone" in done.err
    assert len(postbearer_sandbox.inbox.messages) == 1


@pytest.mark.parametrize("where", ["/dev/null/state", "/proc/state"])
def test_a_token_is_printed_though_it_cannot_be_kept(
    home: Home, postbearer_sandbox: Sandbox, where: str
) -> None:
    done = without_state(home, postbearer_sandbox, where).run("token", "alerts")
    assert done.code == 0, done.err
    assert "this process alone" in done.err


@pytest.mark.parametrize("named", ["", "somewhere/below", "~"])
def test_a_home_that_is_no_folder_of_the_file_system_is_refused(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setattr("postbearer.state.folder._user", lambda: 12345)
    monkeypatch.setenv("HOME", named)
    with pytest.raises(ConfigError) as caught:
        default_state_folder({})
    assert "POSTBEARER_STATE" in caught.value.hint


def test_a_user_whom_nobody_knows_has_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postbearer.state.folder._user", lambda: 12345)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    for environ in ({}, {"XDG_STATE_HOME": "relative"}):
        with pytest.raises(ConfigError) as caught:
            default_state_folder(environ)
        assert "POSTBEARER_STATE" in caught.value.hint
    assert default_state_folder({"XDG_STATE_HOME": str(Path("/x"))}) == "/x/postbearer"
