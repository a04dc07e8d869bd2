"""A relay with an HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.http_api import Api
from support.local import short_folder


@pytest.fixture
def home() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
async def api(home: Path) -> AsyncIterator[Api]:
    made = Api(home)
    await made.start()
    yield made
    await made.running.stop(0.0)
