"""Named points at which a test lets the process die as if killed: no clean-up, no flushed buffers.

``POSTBEARER_CRASH_AT=accept.after`` dies there the first time, ``accept.after:3`` the third time.
"""

from __future__ import annotations

import os

_NAME, _, _TIME = os.environ.get("POSTBEARER_CRASH_AT", "").partition(":")
_left = int(_TIME or 1)
ARMED = bool(_NAME)  # else nobody need ask


def crash(name: str) -> None:
    """Die here if the environment says so. `name`: what is done, ``.before`` or ``.after`` its commit."""
    global _left
    if name == _NAME:
        _left -= 1
        if _left <= 0:
            os._exit(137)
