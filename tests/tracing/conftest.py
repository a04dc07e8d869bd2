"""A collector of spans, and a home for a relay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.collector import Collector
from support.local import short_folder


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder
