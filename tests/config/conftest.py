"""A folder that only its owner may write, with a configuration in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Write a configuration as careful people do: mode 0600, in a folder of one's own."""

    def write(text: str) -> Path:
        path = tmp_path / "postbearer.toml"
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write
