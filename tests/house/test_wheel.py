"""What users install: the wheel, alone, with nothing but its declared dependencies."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from house.tree import PACKAGE, ROOT

VERSION = (PACKAGE / "_version.py").read_text().split('"')[-2]

EVERY_PUBLIC_NAME = """
import postbearer, postbearer.cli
for package in (postbearer, postbearer.cli):
    for name in package.__all__:
        getattr(package, name)
assert postbearer.__file__.startswith(__import__("sys").prefix), postbearer.__file__
print(len(postbearer.__all__), "names")
"""

# What Windows has not, taken away once the dependencies, which look at sys.platform, are loaded.
AS_ON_WINDOWS = """
import asyncio, os, signal, socket, ssl, subprocess, sys, tempfile
import click, cryptography.hazmat.primitives.ciphers.aead, httpx2, idna, msgspec, tomlkit

for name in ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
for module, names in {
    asyncio: "open_unix_connection start_unix_server",
    os: "chown fchmod fchown fork geteuid getegid getgid getuid register_at_fork O_DIRECTORY O_NOFOLLOW",
    signal: "SIGHUP SIGKILL SIGUSR1 SIGUSR2 SIGALRM",
    socket: "AF_UNIX SO_PEERCRED SO_REUSEPORT",
}.items():
    for name in names.split():
        vars(module).pop(name, None)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)], ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path) -> Path:
    """The programs folder of a fresh venv that holds the wheel, without extras."""
    home = wheel.parent / "venv"
    run([sys.executable, "-m", "venv", str(home)], wheel.parent)
    run([str(home / "bin/pip"), "install", "-qq", "--disable-pip-version-check", str(wheel)], wheel.parent)
    return home / "bin"


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("postbearer/")}
    files = {file for file in PACKAGE.rglob("*") if file.is_file() and file.parent.name != "__pycache__"}
    assert held == {str(file.relative_to(PACKAGE.parent)) for file in files}


def test_the_commands_start(bare: Path, tmp_path: Path) -> None:
    assert VERSION in run([str(bare / "postbearer"), "--version"], tmp_path)
    assert "send" in run([str(bare / "postbearer"), "--help"], tmp_path)


def test_every_public_name_imports_without_extras(bare: Path, tmp_path: Path) -> None:
    run([str(bare / "python"), "-W", "error", "-c", EVERY_PUBLIC_NAME], tmp_path)


def test_every_public_name_imports_where_unix_is_not(bare: Path, tmp_path: Path) -> None:
    run([str(bare / "python"), "-c", AS_ON_WINDOWS + EVERY_PUBLIC_NAME], tmp_path)
