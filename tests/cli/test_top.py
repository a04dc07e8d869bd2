"""``top``: the numbers of a relay that runs, live on a terminal, once for a program."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator

import pytest

from cli.conftest import Home
from postbearer.testing import Sandbox
from relay.running import Relay, relay_table
from support.local import short_folder
from support.terminal import Terminal

SCREEN, CLEAR = b"\x1b[?1049h", b"\x1b[H\x1b[2J"


@pytest.fixture
def service(home: Home, sandbox_microsoft: Sandbox) -> Iterator[tuple[Home, Relay]]:
    text = sandbox_microsoft.configuration() + relay_table('account = "sandbox"')
    with short_folder() as folder, Relay(folder, text) as relay:
        relay.start()
        home.environ |= {"POSTBEARER_STATE": relay.state.path, "POSTBEARER_CONFIG": str(relay.config)}
        yield home, relay


def test_where_nobody_looks_on_it_looks_once(service: tuple[Home, Relay]) -> None:
    home, relay = service
    home.run("accounts", "pause", "sandbox")
    assert home.run("sendmail", "-f", "app@example.org", "ops@example.org", stdin="Hello").code == 0
    ran = home.run("top")
    assert (ran.code, ran.err) == (0, "")
    first, counts, _, columns, row = ran.out.splitlines()
    assert first == "WARNING - sandbox is paused: Paused by hand."
    assert "1 ready" in counts
    assert columns.split()[:3] == ["account", "state", "waiting"]
    assert row.split()[:3] == ["sandbox", "paused", "1"]
    assert "\x1b" not in ran.out
    told = json.loads(home.run("top", "--json").out)
    assert (told["state"], told["exit"], told["counts"]) == ("warning", 1, {"ready": 1})
    assert [each["name"] for each in told["accounts"]] == ["sandbox"]
    relay.stop()
    ran = home.run("top")
    assert ran.code == 78
    assert "postbearer serve" in ran.err


def test_on_a_terminal_it_goes_on_until_somebody_types_q(service: tuple[Home, Relay]) -> None:
    home, relay = service
    with Terminal(
        "top", "--every", "0.2s", folder=home.folder, environ=home.environ, kind="xterm"
    ) as terminal:
        terminal.wait_for("OK - 1 account sends")
        home.run("accounts", "pause", "sandbox")
        terminal.wait_for("WARNING - sandbox is paused")
        relay.stop()
        terminal.wait_for("No relay of")
        relay.start()
        terminal.wait_for("WARNING - sandbox is paused")
        os.write(terminal._master, b"x")
        os.write(terminal._master, b"q")
        assert terminal.code() == 0
        assert terminal.raw.startswith(SCREEN)
        assert terminal.raw.count(CLEAR) >= 4
        assert re.search(rb"\x1b\[\?25h\x1b\[\?1049l\s*$", terminal.raw)  # all is as it was


def test_ctrl_c_ends_it_too_and_a_dumb_terminal_gets_one_look(service: tuple[Home, Relay]) -> None:
    home, _ = service
    with Terminal("top", folder=home.folder, environ=home.environ, kind="xterm") as terminal:
        terminal.wait_for("OK - 1 account sends")
        terminal._process.send_signal(signal.SIGINT)  # it has no controlling terminal that would do so
        assert terminal.code() == 0
        assert b"\x1b[?1049l" in terminal.raw
        assert "Traceback" not in terminal.seen
    with Terminal("top", folder=home.folder, environ=home.environ) as terminal:
        terminal.wait_for("sandbox  ready")
        assert terminal.code() == 0


def test_more_accounts_than_lines(home: Home, sandbox_microsoft: Sandbox) -> None:
    text = sandbox_microsoft.configuration()
    more = [text.replace("[accounts.sandbox", f"[accounts.a{number:02}") for number in range(40)]
    tables = [re.sub(r"(?s)^.*?(?=\[accounts)", "", each) for each in more]
    with (
        short_folder() as folder,
        Relay(folder, text + "".join(tables) + relay_table('account = "a00"')) as relay,
    ):
        relay.start()
        home.environ |= {"POSTBEARER_STATE": relay.state.path, "POSTBEARER_CONFIG": str(relay.config)}
        home.run("accounts", "pause", "a33")
        with Terminal("top", folder=home.folder, environ=home.environ, kind="xterm") as terminal:
            terminal.wait_for("a33")  # the one in trouble comes first
            terminal.wait_for("a00")
            terminal.wait_for("more")
            assert terminal.seen.count("ready") < 41
        assert home.run("top").out.count("\n") == 4 + 41
