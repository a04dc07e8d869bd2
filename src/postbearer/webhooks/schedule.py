"""When an event is sent again that did not arrive: the schedule that Standard Webhooks 1.0.0 recommends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
WAITS: Final = (
    *(5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR),
)  # seconds behind each try that failed
TRIES: Final = len(WAITS) + 1  # over three days
JITTER: Final = 0.1  # of a wait, that it may be longer: what failed together does not come again together
LONGEST: Final = WAITS[-1] * (1 + JITTER)
DEAD: Final = 5 * DAY  # seconds without anything arriving, after which nothing is sent any more


def wait(tries: int, retry_after: float | None, dice: Callable[[], float]) -> float:
    """Seconds until the next try, after `tries` that failed.

    `retry_after` is what the receiver asked for, heeded up to the longest wait; `dice` gives numbers from 0
    to 1.
    """
    usual = WAITS[min(tries, len(WAITS)) - 1] * (1 + JITTER * dice())
    return max(usual, min(retry_after or 0.0, LONGEST))
