"""One webhook at work, and whom it calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.hooks import Hooks, receiving
from support.webhooks import Hooked


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with receiving() as made:
        yield made


@pytest.fixture
async def hooked(tmp_path: Path, hooks: Hooks) -> AsyncIterator[Hooked]:
    made = Hooked(tmp_path, hooks)
    await made.start()
    yield made
    await made.stop()
