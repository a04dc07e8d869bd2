"""The ids of messages: made here, before anything is written, and in every log line from then on."""

from __future__ import annotations

import secrets

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u


def new_id(now: float) -> str:
    """A new id: 9 characters of time (milliseconds), so that ids sort by age, and 7 of chance."""
    return _written(int(now * 1000), 9) + _written(secrets.randbits(35), 7)


def _written(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
