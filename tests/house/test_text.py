"""What must stand in the repository's files, and what must not."""

from __future__ import annotations

import re
from pathlib import Path

from house.tree import PACKAGE, ROOT, tracked

# Written in two halves, so that this file may hold them.
REGISTRIES = re.compile(
    "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.org", "deb\\." + r"debian\.org"))
)
SOMEONES_PATH = re.compile(
    r"(?<![\w.*~-])/(?:" + "home|root|Users|work" + r")/(?!(?:u|alice)\b)[\w.-]+"
)  # u and alice are made up
LEFT_TO_DO = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + "X)\\b")


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {hit.group()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if (hit := pattern.search(line))
    ]


def texts() -> list[tuple[Path, str]]:
    contents = ((path, path.read_bytes()) for path in tracked())
    return [(path, data.decode()) for path, data in contents if b"\0" not in data]


def test_no_registry_is_named() -> None:
    """Where packages come from is the installer's setting; a lock file must not decide it."""
    assert found(REGISTRIES) == []


def test_no_path_of_someones_machine() -> None:
    assert found(SOMEONES_PATH) == []


def test_nothing_is_left_to_do() -> None:
    assert found(LEFT_TO_DO) == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_changelog_knows_this_version() -> None:
    version = (PACKAGE / "_version.py").read_text().split('"')[-2]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
