"""The ids of messages: made here, before anything is written, and in every log line from then on."""

from __future__ import annotations

import secrets

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


def new_id(now: float) -> str:
    """A new id: 9 characters of time (milliseconds), so that ids sort by age, and 7 of chance."""
    number = int(now * 1000) << 35 | secrets.randbits(35)
    return "".join([_PAIRS[number >> bits & 1023] for bits in range(70, -1, -10)])
