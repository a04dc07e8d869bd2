"""Every command runs once where no extra is installed, and names the extra that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.conftest import Home
from postbearer.cli.root import COMMANDS, command_named
from support.configuration import COMPLETE

EXTRAS = (
    *(
        "apsw",
        "uvloop",
        "botocore",
        "keyring",
        "django",
        "aiosmtplib",
        "starlette",
        "uvicorn",
        "httptools",
        "jinja2",
    ),
    *("asyncpg", "trustme", "joserfc", "yaml", "prometheus_client"),
)
RELAY, SANDBOX = "pip install 'postbearer[relay]'", "pip install 'postbearer[sandbox]'"
IMPORT = "pip install 'postbearer[import]'"
MSMTP = "account a\nhost m.example.org\nfrom a@example.org\nauth oauthbearer\npasswordeval cat /run/token\n"
NEW = "--provider smtp --server m.example.org:587 --address n@example.org --grant static --token env:T"

# Command → what is typed behind it, its exit code where that is known, and what it says.
TYPED: dict[str, tuple[str, int, str]] = {
    "accounts add": ("desk --like alerts --address desk@example.org", 0, "desk is there"),
    "accounts list": ("", 0, "alerts"),
    "accounts show": ("alerts", 0, "ready"),
    "accounts pause": ("alerts", 64, RELAY),
    "accounts remove": ("alerts", 0, "is gone"),
    "accounts rename": ("alerts mail", 0, "has its name"),
    "accounts resume": ("alerts", 64, RELAY),
    "api-token create": ("app", 0, "pbt_"),
    "api-token list": ("", 0, "no tokens"),
    "api-token revoke": ("app", 64, "no token"),
    "backup": ("backup.tar", 64, RELAY),
    "check": ("alerts", 78, "ALERTS_SECRET"),
    "config get": ("accounts.alerts.address", 0, "alerts@example.org"),
    "config path": ("", 0, ".toml"),
    "config schema": ("", 0, "properties"),
    "config set": ("accounts.alerts.timeout 30s", 0, "is set"),
    "config show": ("", 0, "alerts@example.org"),
    "config unset": ("accounts.alerts.timeout", 0, "is gone"),
    "config validate": ("", 0, "is right"),
    "console": ("", 78, "postbearer serve"),
    "demo": ("", 64, SANDBOX),
    "hooks enable": ("shop", 78, "postbearer serve"),
    "hooks list": ("", 78, "postbearer serve"),
    "hooks replay": ("shop --from 1", 78, "postbearer serve"),
    "hooks test": ("shop", 78, "postbearer serve"),
    "import dsconfig": ("given", 78, "given"),
    "import emailproxy": ("given", 78, "given"),
    "import env": ("given", 78, "given"),
    "import msmtp": ("msmtprc", 0, "[accounts.a]"),
    "import properties": ("given", 78, "given"),
    "import sasl-xoauth2": ("given", 78, "given"),
    "import smtp2graph": ("given", 64, IMPORT),
    "init": (f"--non-interactive --name new {NEW}", 0, "new is there"),
    "login": ("alerts", 78, "Nobody signs in"),
    "logout": ("alerts", 78, "Nobody signs in"),
    "providers": ("microsoft", 0, "Microsoft"),
    "audit": ("", 64, RELAY),
    "queue cancel": ("m1", 64, RELAY),
    "queue export": ("", 64, RELAY),
    "queue hold": ("m1", 64, RELAY),
    "queue import": ("given", 64, RELAY),
    "queue list": ("", 64, RELAY),
    "queue move": ("m1 --account alerts", 64, RELAY),
    "queue release": ("m1", 64, RELAY),
    "queue resend": ("m1", 64, RELAY),
    "queue retry": ("m1", 64, RELAY),
    "queue show": ("m1", 64, RELAY),
    "queue stats": ("", 64, RELAY),
    "reload": ("", 78, "postbearer serve"),
    "restore": ("backup.tar", 64, RELAY),
    "sandbox": ("", 64, SANDBOX),
    "secret hash-password": ("", 0, "$argon2id$"),
    "secret rotate-key": ("", 0, ""),
    "secret seal": ("", 0, "sealed:"),
    "secret test": ("env:HOME", 0, ""),
    "secret totp": ("alice", 0, "otpauth://"),
    "send": ("--to you@example.org --text x", 75, "127.0.0.1:9"),
    "sendmail": ("you@example.org", 75, "127.0.0.1:9"),
    "serve": ("", 64, RELAY),
    "status": ("", 2, "CRITICAL"),
    "stop": ("", 78, "postbearer serve"),
    "token": ("alerts", 78, "ALERTS_SECRET"),
    "top": ("", 78, "postbearer serve"),
}


def leaves() -> Iterator[str]:
    for name in COMMANDS:
        command = command_named(name)
        if isinstance(command, click.Group):
            yield from (f"{name} {each}" for each in command.commands)
        else:
            yield name


@pytest.fixture
def plain(home: Home, tmp_path: Path) -> Home:
    """A home where no package of an extra can be imported."""
    home.write(COMPLETE.replace("mail.example.org:587", "127.0.0.1:9"))
    folder = tmp_path / "blocked"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({EXTRAS!r}))\n")
    paths = [str(folder), *filter(None, [home.environ.get("PYTHONPATH", "")])]
    home.environ["PYTHONPATH"] = ":".join(paths)
    (tmp_path / "given").write_text("nothing of the kind\n")
    (tmp_path / "msmtprc").write_text(MSMTP)
    return home


def test_every_command_is_typed_here() -> None:
    assert sorted(TYPED) == sorted(leaves())


@pytest.mark.parametrize(
    ("name", "queue"),
    [(name, False) for name in TYPED]
    + [(name, True) for name in TYPED if name.startswith(("queue", "accounts"))],  # they look at the queue
)
def test_a_command_runs_without_extras_or_names_the_one_it_needs(plain: Home, name: str, queue: bool) -> None:
    typed, code, says = TYPED[name]
    if queue:
        (plain.folder / "state").mkdir(mode=0o700)
        (plain.folder / "state" / "spool.db").touch(0o600)
        code, says = 64, RELAY
    elif says is RELAY and name not in ("serve", "backup", "restore"):
        code, says = 78, "there is no queue"  # and the extra would not help
    if name == "queue import":  # which makes the queue
        code, says = 64, RELAY
    if name == "config unset":
        assert plain.run("config", "set", "accounts.alerts.timeout", "30s").code == 0
    ran = plain.run(*name.split(), *typed.split(), stdin=b"secret\n")
    assert "defect" not in ran.err
    assert "Traceback" not in ran.err
    assert (ran.code, says in ran.out + ran.err) == (code, True), ran


@pytest.mark.parametrize("words", [("queue",), ("accounts",), ("sendmail", "-bp"), ("sendmail", "-q")])
@pytest.mark.parametrize("configured", [True, False])
def test_the_queue_is_asked_for_in_every_way(plain: Home, words: tuple[str, ...], configured: bool) -> None:
    if not configured:
        plain.config.unlink()
    ran = plain.run(*words)
    assert ran.code == (0 if words == ("accounts",) and configured else 78)
    assert "no queue" in ran.err
    assert "defect" not in ran.err
