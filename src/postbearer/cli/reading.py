"""Files that the command line names; ``-`` is standard input."""

from __future__ import annotations

import sys

from postbearer.cli.exits import Unreadable


def read_file(name: str) -> bytes:
    """All of a file. Raises `Unreadable`."""
    try:
        if name == "-":
            return sys.stdin.buffer.read()
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise unreadable(name, error) from None


def unreadable(name: str, error: OSError) -> Unreadable:
    """What to tell when a file that was named cannot be read."""
    return Unreadable(
        f"{name} cannot be read: {error.strerror or error}.", hint="Check the path and the permissions."
    )
