"""Each of examples/*.py runs as it stands, in an empty home folder.

``# setup: sandbox`` and ``# not run: reason`` in an example mean what they mean on a page.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from house.reader import Reader
from house.tree import ROOT


def as_page(example: str) -> str:
    """The example as a page with one block."""
    marks = re.findall(r"^# ((?:setup|not run): .+)$", example, re.MULTILINE)
    return "".join(f"<!-- {mark} -->\n" for mark in marks) + f"````python\n{example}\n````\n"


def test_every_example_runs(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for example in sorted((ROOT / "examples").glob("*.py")):
        with subtests.test(example.name):
            home = tmp_path / example.stem
            home.mkdir()
            with Reader(home) as reader:
                reader.follow(as_page(example.read_text()))


def test_the_tests_among_them_pass(tmp_path: Path) -> None:
    files = sorted(map(str, (ROOT / "examples").glob("test_*.py")))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"--rootdir={tmp_path}",
        "-p",
        "no:cacheprovider",
        *files,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_example_is_a_page_with_one_block(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with Reader(tmp_path / "home") as reader:
        reader.follow(as_page("# not run: needs a tenant\nraise SystemExit(4)"))
        with pytest.raises(AssertionError, match="exit code 3"):
            reader.follow(as_page("raise SystemExit(3)"))
