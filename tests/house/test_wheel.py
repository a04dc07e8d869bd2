"""What users install: the wheel, alone, with nothing but its declared dependencies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
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


def run(command: list[str], folder: Path, **environ: str) -> str:
    env = {**os.environ, **environ}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
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


IMPORTED_ALONE = """
import importlib, pkgutil, sys, postbearer
extras = set(sys.argv[1:])
for module in pkgutil.walk_packages(postbearer.__path__, "postbearer."):
    try:
        if module.name != "postbearer.__main__":
            root = importlib.import_module(module.name)
            for name in getattr(root, "__all__", ()):
                getattr(root, name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        assert missing in extras, f"{module.name} needs {missing}"
"""


def test_what_a_module_needs_is_declared(bare: Path, tmp_path: Path) -> None:
    """Anything else that is missing was only there because the tests need it."""
    declared = {re.split(r"[^\w.-]", each)[0] for group in extras().values() for each in group}
    named = {name.replace("-", "_").lower() for name in declared} | {"yaml", "pytest", "opentelemetry"}
    run([str(bare / "python"), "-W", "error", "-c", IMPORTED_ALONE, *sorted(named)], tmp_path)


def extras() -> dict[str, list[str]]:
    found: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    return found


TWO_LINES = """
from postbearer.testing import RecordingMailer
mailer = RecordingMailer()
mailer.send(to="you@example.org", subject="Gr\\u00fc\\u00dfe", text="It works.")
print(ascii(mailer.messages[0].message["Subject"]))
help("postbearer")
"""


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        {"HOME": "/nonexistent", "TERM": "dumb"},
        {"HOME": "", "COLUMNS": "20"},
    ],
)
def test_two_lines_and_the_helps_wherever_it_runs(
    bare: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    assert "Gr" in run([str(bare / "python"), "-W", "error", "-c", TWO_LINES], tmp_path, **environ)
    assert "send" in run([str(bare / "postbearer"), "--help"], tmp_path, **environ)
    assert "check" in run([str(bare / "postbearer"), "check", "--help"], tmp_path, **environ)
    assert "microsoft" in run([str(bare / "postbearer"), "providers"], tmp_path, **environ)


def test_what_a_service_needs_comes_with_it(bare: Path) -> None:
    shared = bare.parent / "share" / "postbearer"
    unit = ROOT / "packaging/systemd/postbearer.service"
    assert (shared / "systemd" / unit.name).read_text() == unit.read_text()
    assert {file.name for file in (shared / "examples").iterdir()} >= {
        file.name for file in (ROOT / "examples").glob("*.py")
    }


def test_manual_pages_and_completions_come_with_it(bare: Path, tmp_path: Path) -> None:
    share = bare.parent / "share"
    pages = {path.name for path in (share / "man" / "man1").iterdir()}
    assert {"postbearer.1", "postbearer-send.1", "postbearer-queue-list.1"} <= pages
    asked = {"_POSTBEARER_COMPLETE": "bash_complete", "COMP_WORDS": "postbearer rel", "COMP_CWORD": "1"}
    assert "plain,reload" in run([str(bare / "postbearer")], tmp_path, **asked).split()
    assert "complete" in (share / "bash-completion/completions/postbearer").read_text()
    assert (share / "zsh/site-functions/_postbearer").read_text().startswith("#compdef postbearer\n")
    assert "complete" in (share / "fish/vendor_completions.d/postbearer.fish").read_text()


def test_the_metadata_says_where_things_are(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = message_from_bytes(archive.read(name))
    urls = dict(each.split(", ", 1) for each in metadata.get_all("Project-URL", []))
    assert {"Homepage", "Documentation", "Source", "Changelog", "Issues"} <= set(urls)
    text = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    local = [link for link in links if not link.startswith(("https://", "#"))]
    assert local == []
    home = f"{urls['Source']}/blob/main/"
    files = [link.removeprefix(home).partition("#")[0] for link in links if link.startswith(home)]
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_source_archive_can_be_tested_and_built(tmp_path: Path) -> None:
    run([sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)], ROOT)
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = "dev hatch_build.py CONTRIBUTING.md SECURITY.md mkdocs.yml packaging/systemd/postbearer.service"
    assert {*wanted.split(), "examples/send_one.py", "tests/house/test_wheel.py"} <= held
    assert [name for name in held if "node_modules" in name or "__pycache__" in name] == []
