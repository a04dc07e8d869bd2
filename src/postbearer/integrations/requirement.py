"""Packages that an integration is for, and cannot be imported without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def requires(package: str, title: str) -> Iterator[None]:
    """Name the extra where `package`, imported within, is not installed: still a `ModuleNotFoundError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:  # it is there, and lacks something itself
            raise
        raise ModuleNotFoundError(
            f"This needs {title}. Install it: pip install 'postbearer[{package}]'",
            name=error.name,
            path=error.path,
        ) from None
