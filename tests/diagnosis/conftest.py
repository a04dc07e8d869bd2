"""What the tests of the diagnosis share: mail providers, and a token endpoint that says what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from postbearer.testing import Sandbox
from support.tokenserver import TokenServer, serving


@pytest.fixture
async def generic() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def microsoft() -> AsyncIterator[Sandbox]:
    async with Sandbox("microsoft") as sandbox:
        yield sandbox


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with serving() as server:
        yield server
