"""SIGTERM ends a command as Ctrl-C does: what is under way, such as a new token, is kept first."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def orderly_end() -> Iterator[None]:
    """Within it SIGTERM does what Ctrl-C does; behind it the process ends by the signal, as it was asked to.

    A second signal ends it at once.
    """
    asked = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        interrupt = signal.getsignal(signal.SIGINT)  # an event loop cancels its work by it
        if not callable(interrupt):  # started in the background by a shell
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    try:
        before = signal.getsignal(signal.SIGTERM)
        if before is signal.SIG_DFL:  # else somebody else cares, or wants it ignored
            signal.signal(signal.SIGTERM, end)
    except ValueError:  # a program calls us in another thread
        before = None
    try:
        yield
    finally:
        if before is signal.SIG_DFL and signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if asked:
            for stream in (sys.stdout, sys.stderr):
                with suppress(
                    OSError, ValueError, AttributeError
                ):  # it may be closed, or not be there at all
                    stream.flush()
            os.kill(os.getpid(), signal.SIGTERM)
