"""When a deferred delivery is tried again. Pure: the clock and the dice are passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits between attempts, in seconds (RFC 5321 4.5.4.1).

    They are 1, 5 and 15 times `first`, and grow by `factor` from there up to `maximum`: by default 1, 5,
    15 and 30 minutes, then an hour. `expire_after` ends it; after `warn_after` the sender hears of it.
    """

    first: float = 60.0
    factor: float = 2.0
    maximum: float = 3600.0
    expire_after: float = 5 * 86_400.0
    warn_after: float = 4 * 3600.0

    def wait(self, tries: int, dice: Callable[[], float], *, at_least: float = 0.0) -> float:
        """Seconds until the next attempt after `tries` of them.

        `dice` gives numbers from 0 to 1: the wait lies between three quarters of the planned one and
        five quarters, so that what failed together does not come back together. `at_least` is what a
        server asked for.
        """
        steps = (1.0, 5.0, 15.0)
        if tries <= len(steps):
            planned = self.first * steps[max(tries, 1) - 1]
        else:
            planned = self.first * steps[-1] * self.factor ** min(tries - len(steps), 40)
        return max(min(planned, self.maximum) * (0.75 + 0.5 * dice()), at_least)
