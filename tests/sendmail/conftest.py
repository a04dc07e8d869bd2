"""What the tests of sendmail share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.local import short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A state folder whose sockets have short paths."""
    with short_folder() as made:
        yield made
