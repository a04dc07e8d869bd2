"""A command that is forked is one like those that are started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import command
from support.configuration import COMPLETE

TYPED = [
    (["--version"], b""),
    (["--help"], b""),
    (["no-such-command"], b""),
    (["config", "validate", "--config", "given.toml"], b""),
    (["config", "validate", "--config", "missing.toml"], b""),
    (["config", "set", "accounts.alerts.timeout"], b""),
    (["sendmail", "-t"], b"Subject: nobody\n\nx\n"),
    (["token", "alerts", "--config", "given.toml"], b""),
    (["secret", "test", "env:GIVEN"], b""),
]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "given.toml").write_text(COMPLETE)
    (tmp_path / "given.toml").chmod(0o600)
    own = {"HOME": str(tmp_path), "POSTBEARER_STATE": str(tmp_path / "state"), "GIVEN": "x"}
    return command.plain_environment() | own


@pytest.mark.parametrize(("arguments", "stdin"), TYPED, ids=[" ".join(words) for words, _ in TYPED])
def test_it_says_and_ends_as_one_that_is_started(
    arguments: list[str], stdin: bytes, environ: dict[str, str], tmp_path: Path
) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "postbearer", *arguments],
        input=stdin,
        capture_output=True,
        cwd=tmp_path,
        env=environ,
        timeout=60,
        check=False,
    )
    forked = command.the_server().run(arguments, stdin, tmp_path, environ, 60)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )


def test_what_is_read_at_the_start_starts_one(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('from the start')")
    told = command.run(["--version"], cwd=tmp_path, env={**environ, "PYTHONPATH": str(tmp_path)})
    assert told.stdout.startswith(b"from the start\n")


def test_one_that_does_not_end_is_ended(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        command.run(["sandbox"], cwd=tmp_path, env=environ, timeout=1)
    assert command.run(["--version"], cwd=tmp_path, env=environ).returncode == 0
