"""Public kit for tests: a manual clock, a scripted stream, and a whole OAuth mail provider on loopback."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.testing.clock import ManualClock as ManualClock

_EXPORTS = {"clock": ["ManualClock"]}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
