"""Standard input, output and error: where the caller closed one, what is opened next would take its place."""

from __future__ import annotations

import posix


def opened() -> list[int]:
    """Open those that are closed on the null device; which they were."""
    closed = []
    for descriptor in (0, 1, 2):
        try:
            posix.fstat(descriptor)
        except OSError:
            posix.open("/dev/null", posix.O_RDWR)  # takes the lowest number that is free
            closed.append(descriptor)
    return closed
