from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.tokenserver import TokenServer, serving


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with serving() as running:
        yield running
