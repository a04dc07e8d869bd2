"""Standard error, where it cannot be written."""

from __future__ import annotations

import io
import sys


class _Unfailing(io.FileIO):
    """A file that forgets what it cannot write: on a full disk, to a reader that has gone."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


def let_errors_be_lost() -> None:
    """Have standard error never fail: a log on a full disk must not stop the mail that tells of it."""
    stream = sys.stderr
    if not isinstance(stream, io.TextIOWrapper) or stream is not sys.__stderr__:
        return
    raw = _Unfailing(stream.fileno(), "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True
    )
