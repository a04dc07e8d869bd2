"""The ids of messages: made here, before anything is written, and in every log line from then on."""

from __future__ import annotations

import os
from collections.abc import Iterator

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


def new_id(now: float) -> str:
    """A new id: 9 characters of time (milliseconds), so that ids sort by age, and 7 of chance."""
    number = int(now * 1000) << 35 | next(_chance)
    return "".join([_PAIRS[number >> bits & 1023] for bits in range(70, -1, -10)])


def _chances() -> Iterator[int]:
    """35 bits each of the system's chance, which is asked for a hundred of them at a time."""
    while True:
        drawn = os.urandom(500)
        for start in range(0, 500, 5):
            yield int.from_bytes(drawn[start : start + 5]) >> 5


_chance = _chances()
