"""postbearer demo --cluster: three relays on one queue, one of them killed, as people run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Home

pytestmark = pytest.mark.servers


def demo(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "postbearer", "demo", "--cluster", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=home.folder, env=home.environ, timeout=300, check=False
    )


def test_nothing_is_lost_and_one_budget_is_kept(home: Home) -> None:
    ran = demo(home, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    told = json.loads(ran.stdout)
    assert (told["nodes"], told["killed"], told["lost"]) == (3, 1, 0)
    assert told["queued"] == told["delivered"] == 21
    assert told["most_in_a_minute"] <= told["limit_of_a_minute"] == 30
    assert told["token_requests"] <= 2  # one, and one more if it was renewed by who was killed
    assert 0 <= told["duplicates"] <= 1  # of what the killed one was sending


def test_it_cannot_be_kept(home: Home) -> None:
    ran = demo(home, "--keep")
    assert ran.returncode == 64
    assert "--cluster leaves nothing running." in ran.stderr


def test_without_postgresql_it_names_the_package(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from postbearer.cli import demo_cluster
    from postbearer.errors import ConfigError

    monkeypatch.setattr(demo_cluster, "VERSIONS", Path("/nowhere"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="apt install postgresql"):
        demo_cluster._programs()
