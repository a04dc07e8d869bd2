"""No run of the tests lasts for ever, and none that is told to end leaves its servers behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from house.tree import ROOT
from relay.running import eventually

SWALLOWING = """
import asyncio

async def test_that_does_not_hear_that_its_time_is_over():
    while True:
        try:
            await asyncio.sleep(0.1)
        except BaseException:
            pass
"""
THREADED = """
import threading

def test_that_leaves_a_thread_behind():
    threading.Thread(target=threading.Event().wait).start()
"""
SERVED = """
import pathlib, time
import pytest

@pytest.fixture
def server():
    pathlib.Path("up").touch()
    yield
    pathlib.Path("down").touch()

def test_that_uses_a_server(server):
    time.sleep(600)
"""


def run_of(text: str, folder: Path, limit: int = 1, stuck: int = 10) -> subprocess.Popen[str]:
    """Tests with our conftest.py, which may take `limit` seconds, and `stuck` to end."""
    conftest = (ROOT / "tests" / "conftest.py").read_text()
    assert "STUCK = 120.0" in conftest
    (folder / "conftest.py").write_text(conftest.replace("STUCK = 120.0", f"STUCK = {stuck}.0"))
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text(f"[pytest]\ntimeout = {limit}\nasyncio_mode = auto\n")
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("text", "where"), [(SWALLOWING, "in _cancel_all_tasks"), (THREADED, "in _shutdown")]
)
def test_what_hangs_ends_the_run_and_shows_where(tmp_path: Path, text: str, where: str) -> None:
    run = run_of(text, tmp_path)
    told, _ = run.communicate(timeout=120)
    assert run.returncode == 1, told
    assert where in told.partition("Timeout (0:00:10)")[2], told


def test_who_is_told_to_end_takes_down_what_was_started(tmp_path: Path) -> None:
    run = run_of(SERVED, tmp_path, limit=300, stuck=120)
    eventually((tmp_path / "up").exists)
    run.terminate()
    told, _ = run.communicate(timeout=120)
    assert (tmp_path / "down").exists(), told
    assert run.returncode == 2, told
