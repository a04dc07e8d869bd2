"""What is published is built once for all that look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from house.containers import Image, open_folder
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
def image(built: Path) -> Iterator[Image]:
    (archive,) = built.glob("*-image-*.tar")
    with open_folder() as folder:
        yield Image.unpacked(archive, folder)


@pytest.fixture
def shared() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder
