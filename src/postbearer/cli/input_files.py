"""Files that the command line names; ``-`` is standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from postbearer.cli.exit_codes import Unreadable


def read_file(name: str, most: int = -1) -> bytes:
    """All of a file, or its first `most` octets. Raises `Unreadable`."""
    with opened(name) as file:
        try:
            return file.read(most)
        except OSError as error:
            raise unreadable(name, error) from None


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """The file, to be read piece by piece. Raises `Unreadable` if it cannot be opened."""
    if name == "-":
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(name, "rb"))
        except OSError as error:
            raise unreadable(name, error) from None
        yield file


def unreadable(name: str, error: OSError) -> Unreadable:
    """What to tell when a file that was named cannot be read."""
    return Unreadable(
        f"{name} cannot be read: {error.strerror or error}.", hint="Check the path and the permissions."
    )
