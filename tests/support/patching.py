"""The package with a few lines more, as somebody has it who adds to it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from house.tree import PACKAGE

if TYPE_CHECKING:
    from cli.conftest import Home


def patched(place: Path, lines: Mapping[str, Mapping[str, str]]) -> Path:
    """A copy of the package below `place` in which texts of its files are replaced, each once."""
    copy = shutil.copytree(PACKAGE, place / "postbearer", ignore=shutil.ignore_patterns("__pycache__"))
    for name, changes in lines.items():
        text = (copy / name).read_text()
        for before, after in changes.items():
            assert text.count(before) == 1, f"{name} has not once {before!r}"
            text = text.replace(before, after)
        (copy / name).write_text(text)
    return place


def using(home: Home, tree: Path) -> Home:
    """`home` with commands of the package in `tree`."""
    home.environ["PYTHONPATH"] = f"{tree}:{home.environ.get('PYTHONPATH', '')}".rstrip(":")
    return home
