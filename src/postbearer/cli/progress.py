"""What a command that takes long is waiting for: a line that changes on a terminal, else one line a wait."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

PATIENCE = 2.0  # seconds, on a terminal
PATIENCE_ELSEWHERE = 10.0  # in a log or a mail of cron, where what is said stays
_EVERY = 0.2
_WIDTH = 24


class Progress:
    """``with Progress("Sending", total=3) as progress: …; progress.advance()``.

    Without `total` the time that has passed is shown, and what `wait_for` said last. On a terminal the line
    is taken away at the end. When standard error is none, only a wait that has a name is told, once.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        *,
        stream: TextIO | None = None,
        patience: float | None = None,
    ) -> None:
        self._label = label
        self._total = total
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        usual = PATIENCE if self._terminal else PATIENCE_ELSEWHERE
        self._patience = usual if patience is None else patience
        self._done = 0
        self._awaited, self._since = "", 0.0
        self._shown = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def advance(self, steps: int = 1) -> None:
        """Note that `steps` more are done."""
        self._done += steps

    def wait_for(self, what: str) -> None:
        """Note that from now on it is `what` that is waited for; it is fit to be printed."""
        self._awaited, self._since = what, time.monotonic()

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        run = self._animate if self._terminal else self._tell
        self._thread = threading.Thread(target=run, name="progress", daemon=True)
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

    def _animate(self) -> None:
        wait = self._patience
        while not self._over.wait(wait):
            wait = _EVERY
            self._shown = True
            self._stream.write(f"\r\x1b[K{self._label} {self._bar()}")
            self._stream.flush()

    def _bar(self) -> str:
        if not self._total:
            waiting = f"waiting for {self._awaited} " if self._awaited else ""
            return f"… {waiting}{time.monotonic() - self._began:.0f} s"
        done = min(self._done / self._total, 1.0)
        filled = round(done * _WIDTH)
        return f"[{'█' * filled}{'░' * (_WIDTH - filled)}] {done:4.0%}"

    def _tell(self) -> None:
        told = ""
        while not self._over.wait(_EVERY):
            awaited = self._awaited
            if awaited != told and time.monotonic() - self._since >= self._patience:
                told = awaited
                self._stream.write(f"{self._label}: waiting for {awaited}.\n")
                self._stream.flush()
