"""A line that says what is going on, on a terminal, for whatever takes longer than two seconds."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

PATIENCE = 2.0
_EVERY = 0.2
_WIDTH = 24


class Progress:
    """``with Progress("Sending", total=3) as progress: …; progress.advance()``.

    Without `total` the time that has passed is shown. Nothing is shown when standard error is no
    terminal; the line is taken away at the end.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._label = label
        self._total = total
        self._stream = stream or sys.stderr
        self._patience = patience
        self._done = 0
        self._shown = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def advance(self, steps: int = 1) -> None:
        """Note that `steps` more are done."""
        self._done += steps

    def __enter__(self) -> Self:
        if self._stream.isatty():
            self._began = time.monotonic()
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _run(self) -> None:
        wait = self._patience
        while not self._over.wait(wait):
            wait = _EVERY
            self._shown = True
            self._stream.write(f"\r\x1b[K{self._label} {self._bar()}")
            self._stream.flush()

    def _bar(self) -> str:
        if not self._total:
            return f"… {time.monotonic() - self._began:.0f} s"
        done = min(self._done / self._total, 1.0)
        filled = round(done * _WIDTH)
        return f"[{'█' * filled}{'░' * (_WIDTH - filled)}] {done:4.0%}"
