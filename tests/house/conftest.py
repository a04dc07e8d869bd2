"""What is published is built once for all that look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from house.containers import Image
from house.machine import build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `./dev package` filled."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def deb(built: Path) -> Path:
    (package,) = built.glob("*.deb")
    return package


@pytest.fixture(scope="session")
def image(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    (archive,) = built.glob("*-image-*.tar")
    return Image.unpacked(archive, tmp_path_factory.mktemp("image"))
