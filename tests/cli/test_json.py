"""``--json``: before or behind the command, one object, one form of names and times, never cut in silence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Home
from cli.test_queue import SMALL, stopped
from cli.test_without_extras import MSMTP, NEW, leaves
from postbearer.cli.output import TIMES
from postbearer.store import Spool
from support.spooling import accept

# Command → what is typed behind it. Those that serve until they are ended are left out.
TYPED = {
    "accounts add": "desk --like alerts --address desk@example.org",
    "accounts list": "",
    "accounts show": "alerts",
    "accounts pause": "alerts",
    "accounts remove": "alerts",
    "accounts rename": "alerts mail",
    "accounts resume": "alerts",
    "api-token create": "app",
    "api-token list": "",
    "api-token revoke": "admin",
    "audit": "",
    "backup": "backup.tar",
    "check": "--explain 535",
    "console": "",
    "config get": "accounts.alerts.address",
    "config path": "",
    "config schema": "",
    "config set": "accounts.alerts.timeout 30s",
    "config show": "",
    "config unset": "accounts.alerts.grant",
    "config validate": "",
    "hooks enable": "shop",
    "hooks list": "",
    "hooks replay": "shop --message m1",
    "hooks test": "shop",
    "import dsconfig": "given",
    "import emailproxy": "given",
    "import env": "relay.env",
    "import msmtp": "msmtprc",
    "import properties": "given",
    "import sasl-xoauth2": "given",
    "import smtp2graph": "given",
    "init": f"--non-interactive --name new {NEW}",
    "login": "alerts",
    "logout": "alerts",
    "providers": "",
    "queue cancel": "m1",
    "queue export": "out",
    "queue hold": "m1",
    "queue import": "given",
    "queue list": "--all",
    "queue move": "m1 --account alerts",
    "queue release": "m1",
    "queue resend": "m1",
    "queue retry": "m1",
    "queue show": "m2",
    "queue stats": "",
    "reload": "",
    "restore": "given",
    "secret hash-password": "",
    "secret rotate-key": "",
    "secret seal": "",
    "secret test": "env:HOME",
    "secret totp": "alice",
    "send": "--account alerts --to you@example.org",
    "status": "",
    "stop": "",
    "token": "nobody",
    "top": "",
}
WITHOUT = {"demo", "sandbox", "serve", "sendmail"}
OWN_NAMES = {"config schema", "config show"}  # what they tell is named as a configuration names it
SNAKE = re.compile(r"[a-z][a-z0-9_]*")


@pytest.fixture
def queued(home: Home, tmp_path: Path) -> Home:
    home.write(SMALL)
    (tmp_path / "state").mkdir(mode=0o700)
    stopped(tmp_path / "state")
    (tmp_path / "given").write_text("nothing of the kind\n")
    (tmp_path / "msmtprc").write_text(MSMTP)
    (tmp_path / "relay.env").write_text("RELAYHOST=mail.example.org\nRELAYHOST_USERNAME=a@example.org\n")
    return home


BY_NAME = {"accounts", "grants", "clouds", "scopes"}  # tables whose keys are names themselves


def named(value: Any) -> Iterator[tuple[str, Any]]:
    """Every name in an answer, with its value."""
    match value:
        case list():
            for each in value:
                yield from named(each)
        case dict():
            for name, each in value.items():
                yield name, each
                yield from named([*each.values()] if name in BY_NAME and isinstance(each, dict) else each)


def test_every_command_is_typed_here() -> None:
    assert sorted(TYPED.keys() | WITHOUT) == sorted(leaves())


@pytest.mark.parametrize("name", TYPED)
def test_a_command_prints_one_object_wherever_it_is_said(queued: Home, name: str) -> None:
    words = [*name.split(), *TYPED[name].split()]
    group, rest = words[:1], words[1:]
    told = []
    for typed in (["--json", *words], [*group, "--json", *rest], [*words, "--json"]):
        ran = queued.run(*typed)
        assert "Traceback" not in ran.err
        answer = json.loads(ran.out)
        assert isinstance(answer, dict), typed
        told.append(answer)
        if ran.code not in (0, 65) and name != "status":
            assert answer["error"]["exit"] == ran.code
            assert set(answer["error"]) >= {"type", "message", "hint", "exit"}
    for answer in told:
        for key, value in named(answer) if name not in OWN_NAMES else ():
            assert SNAKE.fullmatch(key), key
            if key in TIMES and value is not None:
                assert datetime.fromisoformat(value).tzinfo is not None


@pytest.mark.parametrize("name", ["microsoft", "google", "smtp"])
def test_a_provider_is_told_in_the_same_form(home: Home, name: str) -> None:
    told = json.loads(home.run("providers", name, "--json").out)
    assert all(SNAKE.fullmatch(key) for key, _ in named(told))
    assert isinstance(json.loads(home.run("providers", "--json").out)["providers"], list)


def test_a_recipient_has_a_state_everywhere(queued: Home) -> None:
    for command in (("queue", "list", "--all"), ("queue", "show", "m2")):
        told = json.loads(queued.run(*command, "--json").out)
        rows = [row for each in told.get("messages", [told]) for row in each["recipients"]]
        assert {row["state"] for row in rows} <= {"ready", "delivered", "deferred"}
        assert all("status" not in row for row in rows)


@pytest.mark.parametrize(
    ("count", "limit", "more"), [(3, 2, True), (3, 3, False), (3, 4, False), (0, 1, False)]
)
def test_a_list_that_is_cut_says_so(home: Home, tmp_path: Path, count: int, limit: int, more: bool) -> None:
    async def fill(spool: Spool, now: float) -> None:
        for number in range(count):
            await accept(spool, f"m{number}", account="alerts", accepted=now - 10, due=now)

    home.write(SMALL)
    (tmp_path / "state").mkdir(mode=0o700)
    stopped(tmp_path / "state", fill)
    told = json.loads(home.run("queue", "--limit", str(limit), "--json").out)
    assert (told["more"], told["limit"], len(told["messages"])) == (more, limit, min(count, limit))
    plain = home.run("queue", "--limit", str(limit))
    assert ("more than these" in plain.err) is more


def test_a_usage_error_before_the_command_is_told_as_an_object(home: Home) -> None:
    for words in (["--json", "nothing"], ["--json", "queue", "--nothing"], ["--nothing", "--json"]):
        ran = home.run(*words)
        assert ran.code == 64
        assert json.loads(ran.out)["error"]["exit"] == 64


async def _turned(spool: Spool, now: float) -> None:
    await accept(
        spool, "turned", recipients=["gr\u00fcn\u202e\u2066b@example.net"], account="alerts", due=now
    )


def test_what_nobody_would_see_is_escaped(home: Home, tmp_path: Path) -> None:
    home.write(SMALL)
    (tmp_path / "state").mkdir(mode=0o700)
    stopped(tmp_path / "state", _turned)
    for command in ("queue list --json", "queue show turned --json", "queue export"):
        told = home.run(*command.split()).out
        assert "gr\u00fcn\\u202e\\u2066b" in told, command
        assert told.replace("\n", "").isprintable()
