"""What others say in the process of the relay goes into its log, in the same form."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

from postbearer.log.handlers import LOGGER


def capture_everything() -> None:
    """Have the warnings of Python and of other packages, and what nobody caught, in the log."""
    others = logging.getLogger()
    others.handlers[:] = logging.getLogger(LOGGER).handlers
    others.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    sys.unraisablehook = lambda found: _uncaught(found.exc_type, found.exc_value, found.exc_traceback)
    threading.excepthook = lambda found: _uncaught(found.exc_type, found.exc_value, found.exc_traceback)


def _uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None = None
) -> None:
    text = f"nobody caught an error: {kind.__name__}: {error}"
    logging.getLogger(LOGGER).error(text, exc_info=(kind, error or kind(), trace))
