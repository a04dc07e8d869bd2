"""What an account may still send. Pure: given the past, when may the next message go?

A charge is made when an attempt begins, so a refused or unknown one counts as well: it counts at the
provider too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbearer.store import Charge

MINUTE = 60.5  # seconds: the provider counts arrivals, and ours may be half a second closer there than here
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """An account's limits; None for what is not limited."""

    messages_per_minute: int | None = None
    messages_per_day: int | None = None
    recipients_per_day: int | None = None

    def __bool__(self) -> bool:
        return any((self.messages_per_minute, self.messages_per_day, self.recipients_per_day))


def next_slot(past: Sequence[Charge], limits: Limits, *, now: float, recipients: int) -> float:
    """When an attempt for `recipients` may begin, in the same clock as `now`; at most `now` means at once.

    `past` is in order of time. A charge in the future is the trace of a clock that was set back, and
    counts as made now: the account waits one window at most, and never sends twice its limit.
    """
    charges = [Charge(min(charge.at, now), charge.recipients) for charge in past]
    return max(
        _window(charges, limits.messages_per_minute, MINUTE, now),
        _pace(charges, limits.messages_per_minute, now),
        _window(charges, limits.messages_per_day, DAY, now),
        _recipients(charges, limits.recipients_per_day, now, recipients),
    )


def _window(charges: Sequence[Charge], limit: int | None, length: float, now: float) -> float:
    """When fewer than `limit` charges will lie in the last `length` seconds."""
    if limit is None or len(charges) < limit:
        return now
    return max(now, charges[-limit].at + length)


def _pace(charges: Sequence[Charge], limit: int | None, now: float) -> float:
    """Half of a minute's messages may go at once; from there on they are spread over the minute."""
    if limit is None or not charges:
        return now
    recent = sum(1 for charge in charges if charge.at > now - MINUTE)
    return now if recent < max(1, limit // 2) else max(now, charges[-1].at + MINUTE / limit)


def _recipients(charges: Sequence[Charge], limit: int | None, now: float, wanted: int) -> float:
    """When `wanted` more recipients fit; a message too large for any day goes on an empty one."""
    if limit is None:
        return now
    room = max(0, limit - wanted)
    used = 0
    for charge in reversed(charges):
        if charge.at <= now - DAY:
            break
        used += charge.recipients
        if used > room:
            return charge.at + DAY
    return now
