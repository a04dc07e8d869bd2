"""The relay of the machine, for users who have none of their own: as ``sendmail`` finds it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from cli.conftest import Home
from postbearer.cli import main
from postbearer.cli.queue_client import running_relay
from postbearer.clock import SystemClock
from postbearer.control import ControlClient
from postbearer.errors import NotPermitted
from support.local import local_relay, short_folder
from support.spooling import accept


@pytest.fixture
def user(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Somebody with neither configuration nor queue."""
    home.config.unlink()
    for name in ("POSTBEARER_STATE", "POSTBEARER_CONFIG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home.folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.config.parent.parent))
    own = home.folder / "own" / "postbearer"
    monkeypatch.setattr(
        "postbearer.state.folder.default_state_folder",
        lambda *_: os.environ.get("POSTBEARER_STATE") or str(own),
    )
    monkeypatch.setattr("postbearer.config.search.SYSTEM_FILE", str(home.folder / "none.toml"))
    return home


def machine(monkeypatch: pytest.MonkeyPatch, folder: Path | str) -> None:
    monkeypatch.setattr("postbearer.serving.local.SYSTEM_RUNTIME", str(folder))
    monkeypatch.setattr("postbearer.serving.local.SYSTEM_FOLDER", str(folder))


@pytest.mark.parametrize("command", [["queue"], ["accounts"], ["queue", "stats"]])
def test_it_is_asked_by_those_who_have_none(
    user: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    async def within(folder: Path) -> int:
        async with local_relay(folder) as relay:
            now = SystemClock().now()
            await accept(relay.spool, "m1", account="alerts", accepted=now, due=now)
            return await asyncio.to_thread(main, command)

    with short_folder() as folder:
        machine(monkeypatch, folder)
        assert asyncio.run(within(folder)) == 0
    assert "alerts" in capsys.readouterr().out or command == ["queue"]


@pytest.mark.parametrize("where", ["POSTBEARER_STATE", "own queue"])
def test_ones_own_comes_first(
    user: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    own = user.folder / "own" / "postbearer"
    own.mkdir(parents=True, mode=0o700)
    if where == "POSTBEARER_STATE":
        monkeypatch.setenv(where, str(own))
    else:
        (own / "spool.db").touch(0o600)

    async def within(folder: Path) -> int:
        async with local_relay(folder):
            return await asyncio.to_thread(main, ["queue"])

    with short_folder() as folder:
        machine(monkeypatch, folder)
        assert asyncio.run(within(folder)) in (75, 78)
    assert str(own / "spool.db") in capsys.readouterr().err


def test_where_there_is_none_that_is_told(
    user: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, user.folder / "nothing")
    assert main(["queue"]) == 78
    assert "postbearer serve" in capsys.readouterr().err
    assert running_relay() is None


def test_who_may_not_ask_is_told_so(
    user: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(self: object, path: str) -> None:
        raise PermissionError(13, "Permission denied")

    machine(monkeypatch, user.folder / "run")
    (user.folder / "run").mkdir()
    (user.folder / "run" / "control.sock").touch()
    monkeypatch.setattr("socket.socket.connect", refused)
    with pytest.raises(NotPermitted):
        ControlClient.of_machine({})
    for command in (["queue"], ["accounts", "--json"], ["queue", "stats"]):
        assert main(command) == 77
    told = capsys.readouterr()
    assert "answers its own user and root only" in told.err
    assert "as root" in told.err
    assert "serve" not in told.err
    assert json.loads(told.out)["error"]["type"] == "NotPermitted"
