"""What a person pastes at the terminal, or a program writes to standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from postbearer.errors import UsageError
from postbearer.secret import Secret

if TYPE_CHECKING:
    from types import FrameType

_LONGEST = 64 * 1024  # characters


def read_line(seconds: float | None = None) -> Secret:
    """One line of standard input.

    Raises `UsageError` for an empty one, and `TimeoutError` after so many `seconds`, except on Windows,
    where nothing ends the wait for a terminal.
    """
    with _within(seconds):
        line = _terminal() if sys.stdin.isatty() else sys.stdin.readline(_LONGEST)
    if not line.strip():
        raise UsageError(
            "Nothing was pasted.", hint="Begin again, and paste the address the browser ends at."
        )
    return Secret(line)


def _terminal() -> str:
    # Without it a terminal takes 4,095 characters of a line at most; some codes are longer.
    with suppress(ImportError):
        import_module("readline")
    try:
        return input()
    except EOFError:
        return ""


@contextmanager
def _within(seconds: float | None) -> Iterator[None]:
    """An alarm rather than a thread: a thread that waits for a terminal would keep the program alive."""
    if seconds is None or sys.platform == "win32":
        yield
        return
    import signal

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))  # 0 would mean never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
